"""The Event Hubs queue against the emulator, with intervals that a test can wait for."""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import asyncpg
from pydantic import SecretStr

from latigo.domain.errors import Unavailable
from latigo.domain.task import Task
from latigo.runtime.clock import SystemClock
from latigo.sandbox.eventhub import EventHubsEmulator, open_event_hubs
from latigo.settings import EventHubQueue
from latigo.task_queue.envelope import HIGHEST, encode
from latigo.task_queue.eventhub.lag import PartitionLag, read_lag, read_refused, reset_checkpoints
from latigo.task_queue.eventhub.partitions import partition_of
from latigo.task_queue.eventhub.receiver import MAX_EVENTS, EventHubReceiver, open_receiver
from latigo.task_queue.eventhub.sender import EventHubSender, SenderTiming, open_sender
from latigo.task_queue.eventhub.session import ReceiverTiming
from latigo.task_queue.eventhub.store import Refused
from latigo.task_queue.limits import cancel_all
from tests.support.build import a_spec, a_task
from tests.support.ledgers import leave_session, require_plain_sessions
from tests.support.process import ROOT, environment
from tests.support.waiting import eventually

HUB = "tasks"


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


QUICK = ReceiverTiming(
    flush_interval=seconds(0.1),
    close_timeout=seconds(5),
    poll_interval=seconds(0.5),
    poll_timeout=seconds(2),
    unreachable_after=seconds(3),
    stuck_after=seconds(3),
    first_probe=seconds(0.3),
    longest_probe=seconds(1),
)
#: As patient as in production: nothing becomes unavailable, however busy the machine is.
QUICK_SENDER = SenderTiming(
    first_pause=seconds(0.1),
    longest_pause=seconds(0.5),
    keep_alive=seconds(0),
    poll_interval=seconds(0.1),
    poll_timeout=seconds(2),
)


def some_tasks(count: int, first: int = 1) -> list[Task]:
    return [a_task(a_spec(f"pump-{number}"), id=number) for number in range(first, first + count)]


def hub_section(connection_string: str, **options: Any) -> EventHubQueue:
    """The settings of a hub; partitions change hands in a second or two, not in half a minute."""
    quick = {"balance": seconds(0.5), "expiration": seconds(3)}
    return EventHubQueue(connection_string=SecretStr(connection_string), **(quick | options))


def secret_of(section: EventHubQueue) -> str:
    assert section.connection_string is not None
    return section.connection_string.get_secret_value()


@dataclass
class HubQueue:
    """A hub in the emulator, and a database for it."""

    emulator: EventHubsEmulator
    database: str
    pool: "asyncpg.Pool[asyncpg.Record]"
    section: EventHubQueue

    @asynccontextmanager
    async def sender(self, timing: SenderTiming = QUICK_SENDER) -> AsyncIterator[EventHubSender]:
        async with open_sender(self.section, self.pool, clock=SystemClock(), timing=timing) as sender:
            yield sender

    @asynccontextmanager
    async def receiver(
        self,
        *,
        concurrency: int = 8,
        max_behind: int = 20_000,
        max_events: int = MAX_EVENTS,
        balancing: Mapping[str, timedelta] | None = None,
        **timing: Any,
    ) -> AsyncIterator[EventHubReceiver]:
        async with open_receiver(
            self.section.model_copy(update=dict(balancing or {})),
            self.pool,
            clock=SystemClock(),
            concurrency=concurrency,
            max_behind=max_behind,
            max_events=max_events,
            timing=replace(QUICK, **timing),
        ) as receiver:
            yield receiver

    @asynccontextmanager
    async def receiver_process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """A receiver in a process of its own, to be killed: it takes every task and is done with none."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from tests.support.event_hub_queue import take_everything; take_everything()",
            env=environment() | {"HUB": secret_of(self.section), "DATABASE": self.database},
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def put(self, body: bytes, partition: str = "0") -> None:
        """Put an event into the hub behind everybody's back: one AMQP data section."""
        self.emulator.hub(HUB).publish(
            [b"\x00\x53\x75\xb0" + len(body).to_bytes(4, "big") + body],
            self.emulator.namespace.now(),
            partition=partition,
        )

    def put_tasks(self, tasks: Sequence[Task]) -> None:
        """Put tasks where a sender would, which takes a second less."""
        count = len(self.emulator.hub(HUB).partitions)
        for task in tasks:
            self.put(encode(task), str(partition_of(task.ref, count)))

    async def lag(self) -> Sequence[PartitionLag]:
        return await read_lag(self.pool, self.section.address.channel, self.section.consumer_group)

    async def refused(self) -> Sequence[Refused]:
        return await read_refused(self.pool, self.section.address.channel)

    async def reset(self) -> int:
        async with self.pool.acquire() as connection, connection.transaction():
            return await reset_checkpoints(connection, self.section.address.channel, self.section.consumer_group)

    async def checkpoints(self) -> dict[str, int]:
        return {
            row["partition"]: row["sequence"]
            for row in await self.pool.fetch("SELECT partition, sequence FROM queue_checkpoint")
        }

    async def owners(self) -> dict[str, str]:
        return {
            row["partition"]: row["owner_id"]
            for row in await self.pool.fetch("SELECT partition, owner_id FROM queue_ownership")
        }

    def ends(self) -> dict[str, int]:
        """The newest event of each partition that has any."""
        partitions = self.emulator.hub(HUB).partitions
        return {each.id: each.last_sequence_number for each in partitions if each.events}


@asynccontextmanager
async def open_hub_queue(database: str, *, partitions: int = 2, **emulator_options: Any) -> AsyncIterator[HubQueue]:
    """A hub of the test's own; ``database`` is a migrated ledger's URL."""
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(
            asyncpg.create_pool(database, min_size=1, max_size=6, reset=leave_session)
        )
        emulator = await opened.enter_async_context(open_event_hubs({HUB: partitions}, **emulator_options))
        yield HubQueue(emulator, database, pool, hub_section(emulator.connection_string(HUB)))
        await require_plain_sessions(pool)


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Wait for what a cancelled client still does, so that it does not affect the next test."""
    before = asyncio.all_tasks()
    try:
        yield
    finally:
        await cancel_all(*(task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()))
        await asyncio.sleep(0)  # for transports to be closed
        gc.collect()


@dataclass
class Worker:
    """Takes tasks, and is done with each at once."""

    seen: list[int] = field(default_factory=list)

    async def sees(self, tasks: Sequence[Task]) -> None:
        """Wait until all of them have come."""
        wanted = {task.id for task in tasks}
        await eventually(lambda: wanted <= set(self.seen), what=f"{len(wanted)} tasks to arrive")

    async def run(self, receiver: EventHubReceiver) -> None:
        async with aclosing(receiver.receive()) as deliveries:
            async for delivery in deliveries:
                self.seen.append(delivery.task.id)
                await delivery.done()


@asynccontextmanager
async def working(receiver: EventHubReceiver) -> AsyncIterator[Worker]:
    """Someone who takes tasks as long as the body runs."""
    worker = Worker()
    task = asyncio.create_task(worker.run(receiver))
    try:
        yield worker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def publish(sender: EventHubSender, tasks: Sequence[Task]) -> dict[int, str]:
    """Send all of them, as a scheduler would: again and again until the hub has them."""
    places: dict[int, str] = {}

    async def sent() -> bool:
        left = [task for task in tasks if task.id not in places]
        with suppress(Unavailable):
            places.update(await sender.publish(left, HIGHEST) if left else {})
        return len(places) == len(tasks)

    await eventually(sent, within=120, every=0.2, what="all tasks are sent")
    return places


def take_everything() -> None:
    """The program of `HubQueue.receiver_process`."""
    asyncio.run(_take_everything(hub_section(os.environ["HUB"]), os.environ["DATABASE"]))


async def _take_everything(section: EventHubQueue, database: str) -> None:
    async with (
        asyncpg.create_pool(database, min_size=1, max_size=2) as pool,
        open_receiver(section, pool, clock=SystemClock(), concurrency=8, timing=QUICK) as receiver,
    ):
        async for _ in receiver.receive():
            pass
