"""The links between the parties of a campaign, each of which can be cut, slowed and made lossy in either direction."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import NamedTuple, Protocol

LOOPBACK = "127.0.0.1"
_CHUNK = 65_536
#: What a lost packet costs a connection over a proxy, in seconds; some are lost so often that the connection breaks.
_RETRANSMISSION = 0.3
_BROKEN = 0.1


class Links(StrEnum):
    """How the parties reach each other."""

    NAMESPACES = "network namespaces"
    PROXIES = "proxies"
    NONE = "nothing between them"  #: so that no link can be cut, and nothing but the parties takes CPU


class Link(NamedTuple):
    """The connections that one party opens to another."""

    client: str
    server: str

    def __str__(self) -> str:
        return f"{self.client}>{self.server}"


class Way(NamedTuple):
    """One direction of a link."""

    cut: bool = False
    delay: float = 0.0  #: seconds
    loss: float = 0.0  #: share of what is lost


class Condition(NamedTuple):
    """Both directions of a link, as its client sees them."""

    there: Way = Way()
    back: Way = Way()


SOUND = Condition()


class Network(Protocol):
    """Where the parties are, and the state of the links between them."""

    def command(self, party: str, command: Sequence[str]) -> Sequence[str]:
        """Return the command that runs another one at the place of a party."""

    def listens_at(self, server: str) -> tuple[str, int]:
        """Return host and port at which a server has to listen."""

    def reaches_at(self, link: Link) -> tuple[str, int]:
        """Return host and port at which the client of a link finds its server."""

    def put(self, link: Link, condition: Condition) -> None:
        """Change the state of a link."""


class Proxies:
    """A network on the loopback address, with a TCP proxy for each link: needs no privileges.

    A cut holds back what is sent, as TCP does until it gives up, and delivers it when the link is sound again. Other
    links than those are direct.
    """

    def __init__(self, ports: Mapping[str, int], links: Mapping[Link, int], chance: random.Random) -> None:
        """Name the ports of the servers, and those of the proxies in front of them."""
        self._ports = ports
        self._links = links
        self._chance = chance
        self._conditions: dict[Link, Condition] = {}
        self._changed = asyncio.Event()

    def command(self, party: str, command: Sequence[str]) -> Sequence[str]:  # noqa: ARG002 - all are in one place
        return command

    def listens_at(self, server: str) -> tuple[str, int]:
        return LOOPBACK, self._ports[server]

    def reaches_at(self, link: Link) -> tuple[str, int]:
        return LOOPBACK, self._links.get(link, self._ports[link.server])

    def put(self, link: Link, condition: Condition) -> None:
        self._conditions[link] = condition
        self._changed.set()
        self._changed = asyncio.Event()

    async def carry(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until one of its ends closes it."""
        writers = [writer]
        try:
            there, back = await asyncio.open_connection(*self.listens_at(link.server))
            writers.append(back)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, back, lambda: self._conditions.get(link, SOUND).there))
                group.create_task(self._pass_on(there, writer, lambda: self._conditions.get(link, SOUND).back))
        except* OSError:
            pass  # one end was reset, or nothing listens
        finally:
            for each in writers:
                each.transport.abort()

    async def _pass_on(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, condition: Callable[[], Way]
    ) -> None:
        while data := await source.read(_CHUNK):
            while (way := condition()).cut:
                await self._changed.wait()
            await asyncio.sleep(way.delay)
            if self._chance.random() < way.loss:
                if self._chance.random() < _BROKEN:
                    raise ConnectionResetError
                await asyncio.sleep(_RETRANSMISSION)
            sink.write(data)
            await sink.drain()
        while condition().cut:
            await self._changed.wait()
        raise ConnectionResetError  # the end of one direction is the end of both: no party half-closes


@asynccontextmanager
async def open_proxies(servers: Sequence[str], links: Sequence[Link], chance: random.Random) -> AsyncIterator[Proxies]:
    """Open a network on the loopback address."""
    listening: dict[Link, asyncio.Server] = {}
    tasks: set[asyncio.Task[None]] = set()
    ports = {server: _free_port() for server in servers}
    network = Proxies(ports, places := {}, chance)
    try:
        for link in links:
            listening[link] = await asyncio.start_server(_connected(network, link, tasks), LOOPBACK, 0)
            places[link] = listening[link].sockets[0].getsockname()[1]
        yield network
    finally:
        for server in listening.values():
            server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _connected(
    network: Proxies, link: Link, tasks: set[asyncio.Task[None]]
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(network.carry(link, reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return connected


def _free_port() -> int:
    """Return a port that the system does not assign by chance, since its server will be down at times."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server((LOOPBACK, port)):
            return port
