"""A real InfluxDB for tests: one server a session, one database a test."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import numpy as np
import pytest

from latigo.domain.errors import ConfigurationError
from latigo.domain.series import Readings
from latigo.sandbox.influxd import Influxd, find_influxd
from tests.support.in_memory import folder_in_memory
from tests.support.lacking import lacking

_numbers = count(1)
_IN_TAGS = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})


class InfluxDatabase(NamedTuple):
    """An empty database of the test's own."""

    url: str  #: of the server
    name: str


def require_influxd() -> None:
    """Where there is no ``influxd`` and none can be fetched, the test is skipped, and fails in CI."""
    try:
        find_influxd()
    except ConfigurationError as error:
        lacking(str(error))


@pytest.fixture(scope="session")
def influx_server() -> Iterator[str]:
    """The URL of a server that lives as long as the test session."""
    require_influxd()
    with folder_in_memory("latigo-influxd-") as folder:
        server = Influxd(folder)
        server.open()
        try:
            yield server.url
        finally:
            server.kill()  # its files are not read again


@pytest.fixture
def influx_servers() -> Iterator["InfluxServers"]:
    """Starts servers of the test's own, with settings such as ``INFLUXDB_HTTP_MAX_BODY_SIZE``."""
    require_influxd()
    with folder_in_memory("latigo-influxd-") as folder:
        servers = InfluxServers(folder)
        try:
            yield servers
        finally:
            servers.kill()


class InfluxServers:
    """Servers of one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Influxd] = []

    def start(self, env: Mapping[str, str] | None = None, *, folder: str = "") -> Influxd:
        """A server with these settings; `Influxd.kill` and `Influxd.open` again are a crash and a restart.

        It is empty, or goes on with what a server in the same ``folder`` has left.
        """
        server = Influxd(self._folder / (folder or str(len(self._started))), env)
        self._started.append(server)
        server.open()
        return server

    def kill(self) -> None:
        """All of them."""
        for server in self._started:
            server.kill()


@pytest.fixture
async def influx_database(influx_server: str) -> AsyncIterator[InfluxDatabase]:
    """A database on the session's server."""
    async with fresh_influx_database(influx_server) as database:
        yield database


@asynccontextmanager
async def fresh_influx_database(server: str, *, name: str = "") -> AsyncIterator[InfluxDatabase]:
    """A new database on the server with this URL, dropped afterwards."""
    name = name or f"test_{next(_numbers)}"
    await administer(server, f'CREATE DATABASE "{name}"')
    try:
        yield InfluxDatabase(server, name)
    finally:
        await administer(server, f'DROP DATABASE "{name}"')


async def administer(server: str, statement: str) -> None:
    """Execute a statement that needs no answer."""
    async with aiohttp.request("POST", f"{server}/query", data={"q": statement}) as response:
        (result,) = (await response.json())["results"]
        assert "error" not in result, result


async def select(database: InfluxDatabase, statement: str) -> list[dict[str, Any]]:
    """The series of an answer as the server puts them, times in ns: a way to them that is not the product's."""
    form = {"q": statement, "db": database.name, "epoch": "ns"}
    async with aiohttp.request("POST", f"{database.url}/query", data=form) as response:
        (result,) = (await response.json())["results"]
        assert "error" not in result, result
        actual: list[dict[str, Any]] = result.get("series", [])
        return actual


def sensor_line(tag: str, value: float, time: int) -> str:
    """A reading as line protocol, in the layout that gordo-core reads; ``time`` in ns."""
    return f"{_before_value(tag)}{value!r} {time}"


def sensor_lines(readings: Readings) -> list[str]:
    """Readings as line protocol. InfluxDB holds finite values only."""
    lines: list[str] = []
    for tag, series in readings.items():
        before, finite = _before_value(tag), np.isfinite(series.values)
        pairs = zip(series.values[finite].tolist(), series.times[finite].tolist(), strict=True)
        lines += [f"{before}{value!r} {time}" for value, time in pairs]
    return lines


def _before_value(tag: str) -> str:
    return f"sensors,tag={tag.translate(_IN_TAGS)} Value="


async def write_lines(database: InfluxDatabase, lines: Sequence[str]) -> None:
    """Write line protocol as it is, by a way that is not the product's."""
    async with aiohttp.ClientSession(database.url) as session:
        for first in range(0, len(lines), 50_000):
            body = BytesIO("\n".join(lines[first : first + 50_000]).encode())
            async with session.post("/write", params={"db": database.name, "precision": "ns"}, data=body) as response:
                assert response.status == 204, await response.text()
