"""The Gordo servers that share the models: addresses that come and go, and which server should run which model."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import LatigoError
from latigo.domain.model import ModelRef
from latigo.providers.gordo.affinity import assign, ranked
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import off_loop
from latigo.settings import GordoModels

_log = get_logger(__name__)

#: Pause between two look-ups of the addresses, and between two reads of the models.
LOOK_UP, READ_MODELS = timedelta(seconds=10), timedelta(minutes=1)
#: Time limit of a look-up.
_LOOK_UP_LIMIT = 5.0
#: Models and servers, multiplied, that take several milliseconds to assign.
_MUCH_WORK = 5_000
_MANY_MODELS = 5_000  #: of which the names take several milliseconds

#: Returns the addresses of a host, for a port.
LookUp = Callable[[str, int], Awaitable[Sequence[str]]]
#: Returns every model that is predicted.
ReadModels = Callable[[], Awaitable[Sequence[ModelRef]]]


@dataclass(frozen=True, slots=True)
class Server:
    """One of the servers."""

    downstream: str  #: name of its circuit
    url: str
    host: str = (
        ""  #: name, and port where the URL names one, of what it is a part of; empty where ``url`` has its own name
    )


class Servers:
    """The servers of ``[models]``. With a single URL there is one, which has no circuit of its own.

    Args:
        models: the section of the settings.
        read_models: the models to be shared out evenly; without it, shares are even by chance.
        look_up: returns the addresses of a host.
    """

    def __init__(self, models: GordoModels, read_models: ReadModels | None, look_up: LookUp | None = None) -> None:
        self._by_dns = models.endpoints == "dns"
        self._urls = models.urls
        self._read_models = read_models
        self._look_up = look_up or _addresses
        self._servers: Mapping[str, Server] = {}
        self._models: Sequence[str] = ()
        self._assigned: Mapping[str, str] = {}
        if not self._by_dns and len(self._urls) > 1:
            self._servers = {server.downstream: server for server in map(_listed, self._urls)}
        self._changed = asyncio.Event()
        self.faults = 0  #: unexpected errors while addresses and models were followed

    @property
    def are_several(self) -> bool:
        """Whether each server has an address and a circuit of its own."""
        return self._by_dns or len(self._urls) > 1

    @property
    def names(self) -> Sequence[str]:
        """The names of the servers' circuits; empty while none is known, and where there is a single one."""
        return tuple(self._servers)

    def preferred(self, model: ModelRef) -> Sequence[str]:
        """Return the names of all servers in the order in which they should be asked for a model."""
        key, names = str(model), list(self._servers)
        if len(names) < 2:
            return names
        order = ranked(key, names)
        own = self._assigned.get(key)
        own = own if own in self._servers else None
        return order if own is None else [own, *(name for name in order if name != own)]

    def server(self, name: str = "") -> Server:
        """Return the server of this name, or any one; the name of the settings while no address is known."""
        if name in self._servers:
            return self._servers[name]
        return next(iter(self._servers.values()), Server("", self._urls[0]))

    async def found(self) -> Sequence[str]:
        """Return `names`, looked up first where none is known yet."""
        if self._by_dns and not self._servers:
            await self.look_up()
        return self.names

    async def follow(self) -> None:
        """Follow addresses and models until cancelled; an unexpected error is logged and counted, and ends nothing."""
        async with asyncio.TaskGroup() as group:
            if self._by_dns:
                group.create_task(self._repeat(self.look_up, LOOK_UP))
            if self._read_models is not None:
                group.create_task(self._repeat(partial(self._read, self._read_models), READ_MODELS))
            while True:
                await self._changed.wait()
                self._changed.clear()
                if not await self._attempt(self._assign):
                    group.create_task(self._assign_later())

    async def _repeat(self, work: Callable[[], Awaitable[None]], pause: timedelta) -> None:
        while True:
            await self._attempt(work)
            await asyncio.sleep(pause.total_seconds())

    async def _attempt(self, work: Callable[[], Awaitable[None]]) -> bool:
        try:
            await work()
        except Exception:  # noqa: BLE001 - calls would go on to servers that are gone
            self.faults += 1
            _log.exception("servers.not_followed")
            return False
        return True

    async def _assign(self) -> None:
        work = partial(assign, self._models, list(self._servers))
        self._assigned = await off_loop(len(self._models) * len(self._servers), _MUCH_WORK, work)

    async def _assign_later(self) -> None:
        await asyncio.sleep(LOOK_UP.total_seconds())
        self._changed.set()

    async def look_up(self) -> None:
        """Look up the addresses once; the known ones stay while there is no answer."""
        parts = urlsplit(self._urls[0])
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(_LOOK_UP_LIMIT):
                addresses = sorted(set(await self._look_up(host, port)))
        except OSError as error:  # a time-out is one
            _log.warning("servers.not_found", error=f"{host}: {error or 'no answer in time'}")
            return
        servers = {server.downstream: server for server in (_addressed(self._urls[0], each) for each in addresses)}
        if servers and servers.keys() != self._servers.keys():
            _log.info("servers.changed", count=len(servers))
            self._servers = servers
            self._changed.set()

    async def _read(self, read: ReadModels) -> None:
        try:
            refs = await read()
        except LatigoError as error:
            _log.warning("models.not_read", error=str(error))
            return
        models = await off_loop(len(refs), _MANY_MODELS, lambda: list(map(str, refs)))
        if models != self._models:
            self._models = models
            self._changed.set()


def _listed(url: str) -> Server:
    return Server(circuit_name(System.MODEL_SERVER, url.partition("://")[2]), url)


def _addressed(url: str, address: str) -> Server:
    """Return the server at an address of the host that a URL names."""
    parts = urlsplit(url)
    literal = f"[{address}]" if ipaddress.ip_address(address.partition("%")[0]).version == 6 else address
    at = f"{literal}:{parts.port}" if parts.port else literal
    return Server(circuit_name(System.MODEL_SERVER, at), f"{parts.scheme}://{at}{parts.path}", parts.netloc)


async def _addresses(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
