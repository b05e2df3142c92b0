"""The connection to PostgreSQL that all parts of the ledger share: a pool, named statements, one seam for errors."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
import orjson

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Unavailable
from latigo.domain.windows import Window, iso
from latigo.runtime.statements import load_statements

STATEMENT_SECONDS = 60.0
CONNECT_SECONDS = 5.0
DOWNSTREAM = "ledger"

SQL = load_statements("latigo.ledger", "queries.sql")


class Database:
    """A pool of connections. Opened by `open_database`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """One connection, no transaction: every statement stands alone."""
        with ledger_errors():
            async with self.pool.acquire(timeout=CONNECT_SECONDS * 2) as connection:
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
async def open_database(url: str, *, size: int = 8) -> AsyncIterator[Database]:
    """Connect to the ledger; its schema is expected to be up to date.

    Raises:
        Unavailable: the server cannot be reached or refuses us.
    """
    with ledger_errors():
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            init=_prepare,
            server_settings={"application_name": "latigo", "timezone": "UTC", "jit": "off"},
        )
    try:
        yield Database(pool)
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
    except (
        OSError,
        TimeoutError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,  # the server has ended the connection, which the driver is about to notice
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,  # shutting down, starting up, cancelled by its administrator
        asyncpg.ObjectNotInPrerequisiteStateError,  # the database takes no connections
        asyncpg.PostgresSystemError,  # I/O errors
        asyncpg.InsufficientResourcesError,  # disk full, too many connections
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.ReadOnlySQLTransactionError,  # a standby that has not been promoted
        asyncpg.TransactionRollbackError,  # deadlock
        asyncpg.IdleInTransactionSessionTimeoutError,
    ) as error:
        raise Unavailable(f"ledger: {type(error).__name__}: {error}", downstream=DOWNSTREAM) from error


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
