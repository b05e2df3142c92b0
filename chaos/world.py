"""The world of a campaign: schedulers, executors, PostgreSQL, and a stand-in for Gordo.

Event Hubs and InfluxDB are in it if they are used.
"""

import asyncio
import os
import pwd
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from chaos.formulas import PROJECT
from chaos.judge import read_beginnings
from chaos.namespaces import open_namespaces
from chaos.network import Link, Links, Network, open_proxies
from chaos.plan import Shape
from chaos.plant import KIND
from chaos.processes import Party, environment
from chaos.sinks import DATABASE, Sink, create_influx_database, read_influx, read_postgres
from latigo.postgres.programs import find_programs
from latigo.sandbox.eventhub.server import DEVELOPMENT_KEY
from latigo.sandbox.influxd import find_influxd, settings_on
from latigo.settings.reference import to_toml

POSTGRES, HUB, GORDO, INFLUX = "postgres", "hub", "gordo", "influx"
DELAY = timedelta(seconds=2)
LEASE_S = 4
_FIRST_REVISION = 1764547200000
_PARTITIONS = 4
#: Slots that divide a day, and live tasks a second for which two cores suffice, with half of them left for faults.
_SLOTS = tuple(timedelta(seconds=seconds) for seconds in (10, 20, 30, 60, 120, 180, 300, 600))
_LIVE_PER_S = 20.0
_STARTS_WITHIN_S = 120.0
#: Exit codes that PostgreSQL may have when it is started before all children of a killed one have ended.
_POSTGRES_ENDS = {1: "shared memory is still in use"}


@dataclass(frozen=True)
class Size:
    """How large a world is."""

    schedulers: int = 2
    executors: int = 3
    models: int = 12
    horizon: timedelta = timedelta(minutes=4)
    slot: timedelta = timedelta(seconds=10)
    queue: str = "eventhub"  #: or postgres
    sink: str = "postgres"  #: or influx
    concurrency: int = 4  #: of an executor
    slowest_s: float = 2.0  #: longest time of a prediction
    max_window: timedelta = timedelta(minutes=2)

    @property
    def systems(self) -> Sequence[str]:
        """Return the systems that Latigo depends on."""
        queue, sink = [HUB] if self.queue == "eventhub" else [], [INFLUX] if self.sink == "influx" else []
        return (POSTGRES, *queue, GORDO, *sink)

    def fitting(self) -> "Size":
        """Return the same size with slots, concurrency and predictions that so many models need on two cores."""
        slot = next((slot for slot in _SLOTS if self.models <= _LIVE_PER_S * slot.total_seconds()), _SLOTS[-1])
        if slot <= self.slot:
            return self
        horizon, max_window = max(self.horizon, 4 * slot), max(self.max_window, 6 * slot)
        return replace(self, slot=slot, horizon=horizon, max_window=max_window, concurrency=16, slowest_s=0.1)


@dataclass
class World:
    """The running world."""

    folder: Path
    size: Size
    network: Network
    shape: Shape
    parties: Mapping[str, Party] = field(default_factory=dict)
    revisions: list[str] = field(default_factory=lambda: [str(_FIRST_REVISION)])
    begins: dict[str, int] = field(default_factory=dict)  #: when each model begins, as it was when it was first seen

    @property
    def ledger_url(self) -> str:
        """The database as the campaign itself reaches it, by a socket that no link is in the way of."""
        _, port = self.network.listens_at(POSTGRES)
        return f"postgresql://postgres@/postgres?host={self.folder / 'socket'}&port={port}"

    @property
    def influx_socket(self) -> Path:
        """InfluxDB as the campaign itself reaches it."""
        return self.folder / "influx.socket"

    @property
    def sink(self) -> Sink:
        """Where predictions go."""
        if self.size.sink == "influx":
            return partial(read_influx, self.influx_socket)
        return partial(read_postgres, self.ledger_url)

    def of(self, *parties: str) -> Sequence[Party]:
        """Return these parties."""
        return [self.parties[name] for name in parties]

    def deploy(self) -> str:
        """Publish a new revision of all models, also when Gordo does not run; return it."""
        self.revisions.append(str(int(self.revisions[-1]) + 1000 * random.Random(len(self.revisions)).randrange(1, 90)))
        self.parties[GORDO].send({"revision": self.revisions[-1]})
        return self.revisions[-1]

    def config(self, party: str, *, ledger_url: str = "") -> Path:
        """Write the configuration of one process, which names the links as that party sees them."""
        path = self.folder / f"{party}.toml"
        path.write_text(to_toml(self._settings(party, ledger_url)), encoding="utf-8")
        return path

    def _settings(self, party: str, ledger_url: str) -> Mapping[str, Any]:
        reaches = party in (*self.shape.schedulers, *self.shape.executors)
        at = {
            system: "{}:{}".format(*self.network.reaches_at(Link(party, system))) if reaches else "127.0.0.1:1"
            for system in self.size.systems
        }
        slot_s, window_s = (int(length.total_seconds()) for length in (self.size.slot, self.size.max_window))
        return {
            "schedule": {
                "interval": f"{slot_s}s",
                "delay": f"{int(DELAY.total_seconds())}s",
                "max_window": f"{window_s}s",
            },
            "backfill": {"horizon": f"{int(self.size.horizon.total_seconds())}s"},
            "planner": {"lease": f"{LEASE_S}s", "renew": "1s"},
            "ledger": {
                "kind": "postgres",
                "url": ledger_url or f"postgresql://postgres@{at[POSTGRES]}/postgres",
                "pool_size": 5,
                "connect_timeout": "2s",
                "statement_timeout": "10s",
            },
            "task_queue": _event_hub(at[HUB]) if HUB in at else {"kind": "postgres", "expiration": "4s"},
            "models": {
                "kind": "gordo",
                "url": f"http://{at[GORDO]}",
                "projects": [PROJECT],
                "refresh": "2s",
                "connect_timeout": "2s",
                "list_timeout": "5s",
                "predict_timeout": "10s",
            },
            "sensors": {"kind": KIND},
            "predictions": [_influx_sink(at[INFLUX]) if INFLUX in at else {"kind": "postgres", "write_timeout": "10s"}],
            "executor": {
                "concurrency": self.size.concurrency,
                "lease": f"{LEASE_S}s",
                "renew": "1s",
                "grace": "5s",
                # A fault of the campaign lasts longer than the pauses here: nothing may be parked for it.
                "max_attempts": 100,
                "backoff_first": "1s",
                "backoff_longest": "4s",
            },
            "circuit": {"failures": 3, "probe_first": "500ms", "probe_longest": "2s"},
            "http": {"port": 0},
            "log": {"format": "json", "level": "info"},
        }


def _event_hub(address: str) -> Mapping[str, Any]:
    key = f"SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey={DEVELOPMENT_KEY}"
    return {
        "kind": "eventhub",
        "connection_string": f"Endpoint=sb://{address};{key};UseDevelopmentEmulator=true;EntityPath=latigo",
        "balance": "1s",
        "expiration": "4s",
    }


def _influx_sink(address: str) -> Mapping[str, Any]:
    """Return a sink whose writes end within a lease, so that many are given up and arrive later all the same."""
    limits = {"connect_timeout": "2s", "write_timeout": "3s"}
    return {"kind": "influx", "url": f"http://{address}", "database": DATABASE, **limits}


@asynccontextmanager
async def open_world(folder: Path, size: Size, seed: int, *, over: Links = Links.PROXIES) -> AsyncIterator[World]:
    """Start everything; end it all at the end."""
    schedulers = [f"scheduler-{number}" for number in range(1, size.schedulers + 1)]
    executors = [f"executor-{number}" for number in range(1, size.executors + 1)]
    links = [Link(client, server) for client in (*schedulers, *executors) for server in size.systems]
    links = [link for link in links if link.server != INFLUX or link.client in executors]
    links = [] if over is Links.NONE else links
    shape = Shape(schedulers, executors, size.systems, links, LEASE_S)
    chance = random.Random(seed)
    async with AsyncExitStack() as opened:
        network: Network
        if over is Links.NAMESPACES:
            network = await opened.enter_async_context(open_namespaces(shape.parties, chance))
        else:
            network = await opened.enter_async_context(open_proxies(size.systems, links, chance))
        world = World(folder, size, network, shape)
        world.parties = {name: _party(world, name, seed) for name in shape.parties}
        _initialise_postgres(world)
        if INFLUX in size.systems:
            await asyncio.to_thread(find_influxd)  # which may have to be fetched
        for party in world.parties.values():
            opened.push_async_callback(party.close)
        for party in world.parties.values():
            await party.start()
            if party.name == POSTGRES:
                await _until_answered(lambda: _connect(world.ledger_url))
            elif party.name == INFLUX:
                await _until_answered(lambda: create_influx_database(world.influx_socket))
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(party.watch()) for party in world.parties.values()]
            watching.append(group.create_task(_note_beginnings(world)))
            try:
                yield world
            finally:
                for task in watching:
                    task.cancel()


async def _note_beginnings(world: World) -> None:
    """Note when the models begin, as soon as the ledger knows them; until it knows all."""
    while len(world.begins) < world.size.models:
        with suppress(OSError, asyncpg.PostgresError, TimeoutError):  # it is killed as well
            begins = await read_beginnings(world.ledger_url, world.size.horizon, world.size.slot)
            world.begins = {**begins, **world.begins}
        await asyncio.sleep(0.5)


def _party(world: World, name: str, seed: int) -> Party:
    def command() -> Sequence[str]:
        return world.network.command(name, _command(world, name, seed))

    return Party(name, command, world.folder / f"{name}.log", _POSTGRES_ENDS if name == POSTGRES else {})


def _command(world: World, name: str, seed: int) -> Sequence[str]:
    match name:
        case "postgres":
            return _postgres(world)
        case "hub":
            return _hub(world)
        case "influx":
            return _influx(world)
        case "gordo":
            return _gordo(world, seed)
        case _:
            config = str(world.config(name))
            return _python("latigo", "serve", "--role", name.partition("-")[0], "--config", config)


def _python(module: str, *arguments: str) -> Sequence[str]:
    return (sys.executable, "-m", module, *arguments)


def _gordo(world: World, seed: int) -> Sequence[str]:
    host, port = world.network.listens_at(GORDO)
    revisions = [option for revision in world.revisions for option in ("--revision", revision)]
    size = (("--models", str(world.size.models)), ("--slowest", str(world.size.slowest_s)), ("--seed", str(seed)))
    options = ("--host", host, "--port", str(port), *(part for option in size for part in option))
    return _python("chaos.gordo_program", *options, *revisions)


def _hub(world: World) -> Sequence[str]:
    host, port = world.network.listens_at(HUB)
    options = ("--host", host, "--port", str(port), "--hub", "latigo", "--partitions", str(_PARTITIONS))
    return _python("latigo.sandbox.eventhub", *options, "--data-dir", str(world.folder / "hub"))


def _influx(world: World) -> Sequence[str]:
    host, port = world.network.listens_at(INFLUX)
    settings = {
        **settings_on(world.folder / "influx"),
        "INFLUXDB_HTTP_BIND_ADDRESS": f"{host}:{port}",
        "INFLUXDB_HTTP_UNIX_SOCKET_ENABLED": "true",
        "INFLUXDB_HTTP_BIND_SOCKET": str(world.influx_socket),
    }
    variables = [f"{name}={value}" for name, value in settings.items()]
    return ("env", *variables, str(find_influxd()), "run", "-config", os.devnull)


def _postgres(world: World) -> Sequence[str]:
    host, port = world.network.listens_at(POSTGRES)
    settings = {
        "listen_addresses": host,
        "port": port,
        "unix_socket_directories": world.folder / "socket",
        "fsync": "off",  # the machine does not crash, only processes do
        "max_connections": 100,
        "timezone": "UTC",
    }
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    return (*_unprivileged(), str(find_programs() / "postgres"), "-D", str(world.folder / "data"), *options)


def _initialise_postgres(world: World) -> None:
    """Create an empty cluster that everybody may connect to: it listens on addresses of the campaign only."""
    for name in ("data", "socket"):
        (world.folder / name).mkdir()
    if account := _account():
        for name in ("data", "socket"):
            os.chown(world.folder / name, account.pw_uid, account.pw_gid)
        world.folder.chmod(0o711)
    programs, data = find_programs(), world.folder / "data"
    options = ("-D", str(data), "--auth=trust", "--encoding=UTF8", "--no-locale", "--username=postgres", "--no-sync")
    subprocess.run(
        [*_unprivileged(), str(programs / "initdb"), *options],
        check=True,
        cwd=data,
        env={**environment(), "LC_ALL": "C", "TZ": "UTC"},
        stdout=subprocess.DEVNULL,
    )
    with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write("host all all 10.77.0.0/24 trust\n")


def _unprivileged() -> Sequence[str]:
    """Return how to run what refuses root."""
    account = _account()
    if account is None:
        return ()
    return ("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--pdeathsig=KILL")


def _account() -> pwd.struct_passwd | None:
    if os.geteuid():
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


async def _until_answered(ask: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(_STARTS_WITHIN_S):
        while True:
            try:
                return await ask()
            except (OSError, asyncpg.PostgresError, aiohttp.ClientError):
                await asyncio.sleep(0.1)


async def _connect(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    await connection.close()


def newest_due(size: Size) -> datetime:
    """Return the end of the newest slot that is due by now."""
    now, slot = datetime.now(UTC).timestamp() - DELAY.total_seconds(), size.slot.total_seconds()
    return datetime.fromtimestamp(now // slot * slot, UTC)
