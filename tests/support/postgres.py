"""A real PostgreSQL for tests: one embedded server a session, one database a test."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from urllib.parse import urlsplit

import asyncpg
import pytest

from latigo.postgres.embedded import EmbeddedServer
from tests.support.in_memory import folder_in_memory

FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "128MB",
}
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server that lives as long as the test session; in memory, since each database is 900 files."""
    with folder_in_memory("latigo-pg-") as folder:
        server = EmbeddedServer(folder, FAST)
        server.open()
        try:
            yield server.url
        finally:
            server.close()


@pytest.fixture
async def database_url(postgres_server: str) -> AsyncIterator[str]:
    """The URL of an empty database of the test's own."""
    async with fresh_database(postgres_server) as url:
        yield url


@asynccontextmanager
async def fresh_database(server: str, *, template: str = "template1") -> AsyncIterator[str]:
    """A new database on the server with this URL, dropped afterwards; ``template`` must have no connections."""
    name = f"test_{next(_numbers)}"
    await execute(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield database_on(server, name)
    finally:
        await execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def database_on(server: str, name: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(server)._replace(path=f"/{name}").geturl()


async def execute(url: str, sql: str) -> None:
    """Run SQL that needs no answer, on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
