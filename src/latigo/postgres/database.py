"""A pool of connections to PostgreSQL, with time limits; errors are those of `latigo.postgres.errors`."""

import asyncio
import copy
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
import orjson

from latigo.domain.errors import Unavailable
from latigo.postgres.errors import ERRORS, is_of_wrong_session, translated_errors
from latigo.postgres.servers import Servers, Url
from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.log import get_logger

_log = get_logger(__name__)

#: The name of the database in errors, where its owner gives no other.
DOWNSTREAM = "database"
#: Every session. A process that is frozen or cut off in the middle of a transaction keeps its locks until the server
#: ends its session, and everybody else waits for them: so the server asks whether the other end is still there.
SESSION = {
    "application_name": "latigo",
    "timezone": "UTC",
    "jit": "off",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
#: Sorts and hashes of a snapshot: all models at once, which take up to 20 MB at a hundred thousand, are not written to
#: files. Lasts for one transaction, and lowers nothing.
_MEMORY = """SELECT set_config('work_mem', '32MB', true)
WHERE pg_size_bytes(current_setting('work_mem')) < pg_size_bytes('32MB')"""
#: Time for connections to end in order; those that do not are cut off.
CLOSING = timedelta(seconds=5)
#: An error that needs an operator is logged again after this, and counts as mended when it has not come again.
REMINDER = timedelta(seconds=30)

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


@asynccontextmanager
async def lend(pool: Pool, timeout: float | None = None) -> AsyncIterator[Any]:  # noqa: ASYNC109 - as in the driver
    """Lend a connection of a pool; ``timeout`` limits the seconds until there is a free one, or a new one.

    An error that only a session of the wrong kind gets expires every connection of the pool, since the others are most
    likely of the same kind: each is replaced when it is next used.
    """
    async with pool.acquire(timeout=timeout) as connection:
        try:
            yield connection
        except ERRORS as error:
            if is_of_wrong_session(error):
                await pool.expire_connections()
            raise


@asynccontextmanager
async def changed_session(connection: Any) -> AsyncIterator[None]:
    """Undo what statements set or lock in a session.

    A pool lends sessions again as they are, since no statement outside of this changes one.
    """
    try:
        yield
    finally:
        try:
            if not connection.is_closed():
                await connection.reset()
        except BaseException:
            connection.terminate()
            raise


@asynccontextmanager
async def _limited(connection: Any, limit: timedelta | None) -> AsyncIterator[None]:
    """Let the server end each statement of a session after a time; None: leave the session as it is."""
    if limit is None:
        yield
        return
    async with changed_session(connection):
        await connection.execute(f"SET statement_timeout = {max(limit // timedelta(milliseconds=1), 1)}")
        yield


@dataclass(slots=True)
class _Trouble:
    """The last error that an operator has to repair."""

    text: str = ""
    at: float = -math.inf
    logged_kind: type[object] = object
    logged_at: float = -math.inf


class Database:
    """A pool of connections. Opened by `open_database`.

    Every method raises `Unavailable` while the server cannot be used; errors in a statement propagate as they are.

    Args:
        pool: the connections.
        downstream: the name of the database in errors.
        acquire_timeout: limit of the wait for a free connection.
        clock: measures how long ago an error was.
    """

    def __init__(
        self,
        pool: Pool,
        downstream: str,
        acquire_timeout: timedelta,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.pool = pool
        self.server_trouble: Callable[[], str] = str  #: returns why the server is not there, where that is known
        self.failed = asyncio.Event()  #: set by an error that needs an operator; those who wait for it clear it
        self._downstream = downstream
        self._acquire_timeout = acquire_timeout.total_seconds()
        self._clock = clock or SystemClock()
        self._trouble = _Trouble()
        self._limit: timedelta | None = None  # of each statement, within that of the pool

    def limited(self, limit: timedelta) -> "Database":
        """Return the same database, whose server ends each statement after this time."""
        other = copy.copy(self)
        other._limit = limit  # noqa: SLF001 - of the same class
        return other

    @property
    def trouble(self) -> str:
        """What an operator has to repair, by the last error of that kind; empty when it has not come again."""
        recent = self._clock.monotonic() < self._trouble.at + REMINDER.total_seconds()
        return self.server_trouble() or (self._trouble.text if recent else "")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend a connection without a transaction: every statement commits by itself."""
        try:
            with translated_errors(self._downstream, downstream=self._downstream):
                async with lend(self.pool, self._acquire_timeout) as connection, _limited(connection, self._limit):
                    yield connection
        except Unavailable as error:
            if error.alarm and error.downstream == self._downstream:
                self._remember(error)
            if trouble := self.server_trouble():
                raise Unavailable(f"{self._downstream}: {trouble}", downstream=self._downstream, alarm=True) from error
            raise

    def _remember(self, error: Unavailable) -> None:
        """Remember an error that needs an operator; log it once in a while for each kind."""
        now = self._clock.monotonic()
        kind: type[object] = type(error.__cause__)
        trouble = self._trouble
        if kind is not trouble.logged_kind or now >= trouble.logged_at + REMINDER.total_seconds():
            _log.error("database.failing", downstream=self._downstream, error=str(error))
            trouble.logged_kind, trouble.logged_at = kind, now
        trouble.text, trouble.at = str(error).removeprefix(f"{self._downstream}: "), now
        self.failed.set()

    async def forget_connections(self) -> None:
        """Replace every connection when it is next used, and forget what failed on them."""
        await self.pool.expire_connections()
        self._trouble.at = -math.inf

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """Lend a connection in one transaction."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Any]:
        """Lend a connection for statements that read the same state of the database; only their clock goes on."""
        async with self.connection() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(_MEMORY)
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
    url: Url,
    *,
    downstream: str = DOWNSTREAM,
    size: int,
    connect_timeout: timedelta,
    statement_timeout: timedelta,
) -> AsyncIterator[Database]:
    """Connect to a database, whatever its schema; only to a server that takes writes.

    Args:
        url: address of the database, see `Servers`.
        downstream: its name in errors.
        size: largest number of connections.
        connect_timeout: limit for opening a connection to each of its servers; once more for acquiring one that may be
            in use.
        statement_timeout: limit for each statement of every user of the pool, and for the time between two of them in
            a transaction, after which the server ends the session.

    Raises:
        Unavailable: the server cannot be reached, takes no writes, or refuses the login.
    """
    servers = Servers(url)
    with translated_errors(downstream, downstream=downstream):
        pool = await asyncpg.create_pool(
            min_size=1,
            max_size=size,
            connect=servers.connect,
            timeout=connect_timeout.total_seconds(),
            command_timeout=statement_timeout.total_seconds(),
            init=_prepare,
            reset=_leave,
            server_settings={
                **SESSION,
                "idle_in_transaction_session_timeout": str(statement_timeout // timedelta(milliseconds=1)),
            },
        )
    try:
        yield Database(pool, downstream, connect_timeout * (1 + len(servers)))
    finally:
        try:
            async with asyncio.timeout(CLOSING.total_seconds()):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def _leave(_connection: Any) -> None:
    """Spare the statement that would undo what is set in a session; see `changed_session`."""


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(bytes(data)[1:]),
        format="binary",
    )
