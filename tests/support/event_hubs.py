"""An emulator of Event Hubs for tests: in their own loop or in a process of its own, with the official client at it."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest_asyncio
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext

from latigo.sandbox.eventhub import EventHubsEmulator, open_event_hubs
from tests.support.process import ENDS_WITHIN, STARTS_WITHIN, environment
from tests.support.waiting import eventually

HUB = "latigo"
GROUP = "$Default"
_CLIENT_CLOSES_WITHIN = 60.0


@pytest_asyncio.fixture
async def event_hubs() -> AsyncIterator[EventHubsEmulator]:
    """An emulator with one hub, `HUB`, of four partitions."""
    async with open_event_hubs({HUB: 4}) as emulator:
        yield emulator


@asynccontextmanager
async def open_producer(where: EventHubsEmulator | str, hub: str = HUB, **options: Any) -> AsyncIterator[Any]:
    """The official client that sends, to a hub of an emulator or where a connection string leads."""
    async with EventHubProducerClient.from_connection_string(_connection_string(where, hub), **options) as producer:
        yield producer


@dataclass
class Received:
    """The events and errors that a client received."""

    client: EventHubConsumerClient
    events: list[tuple[str, EventData]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    closed: list[tuple[str, str]] = field(default_factory=list)  #: partitions, and why
    newest: dict[str, Any] = field(default_factory=dict)  #: by partition, for a client that tracks the newest events

    def bodies(self) -> list[bytes]:
        """In the order in which they came."""
        return [b"".join(cast("Iterable[bytes]", event.body)) for _, event in self.events]

    async def count(self, events: int, *, within: float = 120.0) -> None:
        """Wait until there are so many."""
        await eventually(lambda: len(self.events) >= events, within=within, what=f"{events} events are received")

    async def on_event(self, context: PartitionContext, event: EventData | None) -> None:
        if event is not None:
            self.events.append((context.partition_id, event))
            self.newest[context.partition_id] = context.last_enqueued_event_properties

    async def on_error(self, _: PartitionContext | None, error: Exception) -> None:
        self.errors.append(error)

    async def on_close(self, context: PartitionContext, reason: Any) -> None:
        self.closed.append((context.partition_id, reason.name))


@asynccontextmanager
async def receiving(
    where: EventHubsEmulator | str, hub: str = HUB, *, client: dict[str, Any] | None = None, **receive: Any
) -> AsyncIterator[Received]:
    """The official client, receiving from the start by default.

    Args:
        where: to receive from, an emulator or a connection string.
        hub: to receive from, of the emulator.
        client: options of the client.
        receive: options of ``EventHubConsumerClient.receive``.
    """
    consumer = EventHubConsumerClient.from_connection_string(_connection_string(where, hub), GROUP, **(client or {}))
    received = Received(consumer)
    receive = {"starting_position": "-1", "prefetch": 100, **receive}
    task = asyncio.create_task(
        consumer.receive(received.on_event, on_error=received.on_error, on_partition_close=received.on_close, **receive)
    )
    try:
        yield received
    finally:
        task.cancel()  # or it would sleep out its balancing interval
        await asyncio.wait({task})
        async with asyncio.timeout(_CLIENT_CLOSES_WITHIN):
            await consumer.close()


def _connection_string(where: EventHubsEmulator | str, hub: str) -> str:
    return where if isinstance(where, str) else where.connection_string(hub)


# -- in a process of its own -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EmulatorProcess:
    """An emulator that can be killed."""

    process: asyncio.subprocess.Process
    port: int
    connection_string: str

    async def kill(self) -> None:
        """End it as the kernel does when memory is out."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(ENDS_WITHIN):
            return await self.process.wait()


@asynccontextmanager
async def running_event_hubs(
    *, port: int = 0, partitions: int = 4, data_dir: Path | None = None
) -> AsyncIterator[EmulatorProcess]:
    """Start ``python -m latigo.sandbox.eventhub`` with the hub `HUB`; killed at the end if it still runs.

    One that comes in the place of another wants its ``port`` and ``data_dir``.
    """
    kept = () if data_dir is None else ("--data-dir", str(data_dir))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "latigo.sandbox.eventhub", "--hub", HUB),
        *("--port", str(port), "--partitions", str(partitions), *kept),
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the tests, which then end it
    )
    try:
        assert process.stdout
        async with asyncio.timeout(STARTS_WITHIN):
            where = json.loads(await process.stdout.readline())
        yield EmulatorProcess(process, where["port"], where["connection_strings"][HUB])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# -- a network that loses packets ------------------------------------------------------------------------------------


class FreezingProxy:
    """A proxy that passes bytes on, or drops those of its connections."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0  #: so far
        self._passes: list[asyncio.Event] = []

    def freeze(self) -> None:
        """Lose, from now on and for good, what the connections of now carry; later ones are well."""
        for passes in self._passes:
            passes.clear()
        self._passes.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """Carry one connection."""
        self.connections += 1
        passes = asyncio.Event()
        passes.set()
        self._passes.append(passes)
        there, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(reader, back, passes))
                group.create_task(_carry(there, writer, passes))
        except* OSError:
            pass  # one end was reset
        finally:
            for each in (writer, back):
                each.transport.abort()


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, passes: asyncio.Event) -> None:
    while data := await source.read(65_536):
        if passes.is_set():
            sink.write(data)
            await sink.drain()
    if passes.is_set():
        sink.close()  # so that the other direction ends too; a frozen one sends nothing


@asynccontextmanager
async def open_freezing_proxy(port: int) -> AsyncIterator[FreezingProxy]:
    """A proxy in front of a server on the loopback address."""
    proxy = FreezingProxy()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(proxy.serve(reader, writer, port)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
