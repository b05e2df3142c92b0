"""A pool of connections to PostgreSQL, with time limits; errors are those of `latigo.postgres.errors`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import orjson

from latigo.postgres.errors import translated_errors

#: The name of the database in errors, where its owner gives no other.
DOWNSTREAM = "database"


class Database:
    """A pool of connections. Opened by `open_database`.

    Every method raises `Unavailable` while the server cannot be used; errors in a statement propagate as they are.

    Args:
        pool: the connections.
        downstream: the name of the database in errors.
        acquire_timeout: limit of the wait for a free connection.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", downstream: str, acquire_timeout: timedelta) -> None:
        self.pool = pool
        self._downstream = downstream
        self._acquire_timeout = acquire_timeout.total_seconds()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend a connection without a transaction: every statement commits by itself."""
        with translated_errors(self._downstream, downstream=self._downstream):
            async with self.pool.acquire(timeout=self._acquire_timeout) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """Lend a connection in one transaction."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """Return all rows of a statement."""
        async with self.connection() as connection:
            return list(await connection.fetch(sql, *arguments))

    async def row(self, sql: str, *arguments: Any) -> Any | None:
        """Return the first row of a statement, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(sql, *arguments)

    async def execute(self, sql: str, *arguments: Any) -> None:
        """Run a statement for its effect."""
        async with self.connection() as connection:
            await connection.execute(sql, *arguments)


@asynccontextmanager
async def open_database(
    url: str,
    *,
    downstream: str = DOWNSTREAM,
    size: int,
    connect_timeout: timedelta,
    statement_timeout: timedelta,
) -> AsyncIterator[Database]:
    """Connect to a database, whatever its schema.

    Args:
        url: address of the database.
        downstream: its name in errors.
        size: largest number of connections.
        connect_timeout: limit for opening a connection; twice as long for acquiring one that may be in use.
        statement_timeout: limit for each statement of every user of the pool.

    Raises:
        Unavailable: the server cannot be reached or refuses the login.
    """
    with translated_errors(downstream, downstream=downstream):
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=connect_timeout.total_seconds(),
            command_timeout=statement_timeout.total_seconds(),
            init=_prepare,
            server_settings={"application_name": "latigo", "timezone": "UTC", "jit": "off"},
        )
    try:
        yield Database(pool, downstream, connect_timeout * 2)
    finally:
        await pool.close()


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(bytes(data)[1:]),
        format="binary",
    )
