"""The connection to PostgreSQL that all parts of the ledger share: a pool, named statements, one seam for errors."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import orjson

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Unavailable
from latigo.domain.windows import Window, iso
from latigo.postgres.errors import ERRORS, Fault, fault_of, told_by
from latigo.postgres.statements import load_statements

CONNECT_TIMEOUT = timedelta(seconds=5)
STATEMENT_TIMEOUT = timedelta(seconds=60)
DOWNSTREAM = "ledger"

SQL = load_statements("latigo.ledger", "queries.sql")


class Database:
    """A pool of connections. Opened by `open_database`.

    Args:
        pool: the connections.
        turn: how long to wait for one of them.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", turn: timedelta) -> None:
        self.pool = pool
        self._turn = turn.total_seconds()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """One connection, no transaction: every statement stands alone."""
        with ledger_errors():
            async with self.pool.acquire(timeout=self._turn) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """One connection in one transaction."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, name: str, *arguments: Any) -> list[Any]:
        """All rows of a named statement."""
        async with self.connection() as connection:
            return list(await connection.fetch(SQL[name], *arguments))

    async def row(self, name: str, *arguments: Any) -> Any | None:
        """The first row of a named statement, or None."""
        async with self.connection() as connection:
            return await connection.fetchrow(SQL[name], *arguments)

    async def execute(self, name: str, *arguments: Any) -> None:
        """Run a named statement for its effect."""
        async with self.connection() as connection:
            await connection.execute(SQL[name], *arguments)


@asynccontextmanager
async def open_database(
    url: str,
    *,
    size: int = 8,
    connect_timeout: timedelta = CONNECT_TIMEOUT,
    statement_timeout: timedelta = STATEMENT_TIMEOUT,
) -> AsyncIterator[Database]:
    """Connect to the ledger; its schema is expected to be one that we can work with.

    Args:
        url: where it is.
        size: most connections.
        connect_timeout: for making a connection; twice as long for getting one that may be in use.
        statement_timeout: for each statement, the sink's among them.

    Raises:
        Unavailable: the server cannot be reached or refuses us.
    """
    with ledger_errors():
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
        yield Database(pool, connect_timeout * 2)
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


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Nothing of the driver leaves the ledger: a database that is away is `Unavailable`; the rest is a bug of ours."""
    try:
        yield
    except ERRORS as error:
        fault = fault_of(error)
        if fault in {Fault.DATA, Fault.STATEMENT, Fault.OTHER}:
            raise
        raise Unavailable(f"ledger: {told_by(error)}", downstream=DOWNSTREAM, alarm=fault is Fault.OPERATOR) from error


def to_range(window: Window | None) -> Any:
    """A window as the driver takes a ``tstzrange``; None is all of time."""
    return asyncpg.Range(window.start, window.end) if window else asyncpg.Range()


def to_window(value: Any) -> Window:
    """A bounded ``tstzrange``, as the driver gives it."""
    return Window(value.lower, value.upper)


def to_multirange(windows: Iterable[Window]) -> str:
    """A ``tstzmultirange`` as text, because arrays of multiranges have no other unambiguous form."""
    return "{" + ",".join(f"[{iso(window.start)},{iso(window.end)})" for window in windows) + "}"


def to_coverage(value: Any) -> Coverage:
    """A ``tstzmultirange`` of bounded ranges, as the driver gives it."""
    return Coverage(tuple(Window(part.lower, part.upper) for part in value))
