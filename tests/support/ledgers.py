"""A migrated ledger in a database of its own, and a clock that tests turn by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import pytest

from latigo.domain.task import Task
from latigo.domain.windows import iso
from latigo.ledger.executor_store import PostgresExecutorLedger
from latigo.ledger.model_store import PostgresModelLedger, PostgresRoster
from latigo.ledger.protocol import Claim
from latigo.ledger.scheduler_store import PostgresSchedulerLedger, make_partitions
from latigo.postgres.database import Database, Pool
from latigo.postgres.migrate import migrate
from latigo.postgres.ranges import to_window
from latigo.wiring.ledger import connect_to
from tests.support.build import CONNECT_TIMEOUT, DEFAULTS, a_spec, a_task, retry_rules
from tests.support.postgres import database_on, execute, fresh_database
from tests.support.waiting import eventually

VERSION = "test"
_TEMPLATE = "ledger_template"
_WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1"
)


@dataclass
class Ledgers:
    """All faces of one ledger."""

    url: str
    database: Database
    scheduler: PostgresSchedulerLedger
    executor: PostgresExecutorLedger
    models: PostgresModelLedger
    roster: PostgresRoster

    async def set_clock(self, time: datetime) -> None:
        """Set the time of the ledger."""
        async with self.database.connection() as connection:
            await connection.execute(
                "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE "
                f"AS $$ SELECT timestamptz '{iso(time)}' + interval '0 seconds' $$"
            )
        async with self.database.transaction() as connection:
            await make_partitions(connection)

    async def message(self, task_id: int, epoch: int = 1) -> Task:
        """The task as its message has it; of any model and window where none has this number."""
        rows = await self.fetch(
            "SELECT m.project, m.name, t.span FROM task t JOIN model m ON m.id = t.model_id WHERE t.id = $1", task_id
        )
        if not rows:
            return a_task(id=task_id, epoch=epoch)
        spec = a_spec(str(rows[0]["name"]), project=str(rows[0]["project"]))
        return a_task(spec, to_window(rows[0]["span"]), id=task_id, epoch=epoch)

    async def claim(self, task_id: int, epoch: int, executor_id: str, lease: timedelta) -> Claim | None:
        """Claim the task of this number."""
        return await self.executor.claim(await self.message(task_id, epoch), executor_id, lease)

    @asynccontextmanager
    async def holding(self, statement: str) -> AsyncIterator[None]:
        """Hold the locks of this statement in a transaction of the test."""
        async with self.database.transaction() as connection:
            await connection.execute(statement)
            yield

    async def someone_waits_in(self, statement: str) -> None:
        """Wait until a transaction is kept waiting for a lock, in a statement that looks like this."""
        await eventually(lambda: self.fetch(_WAITING, statement), what=f"someone waits in {statement}")

    async def fetch(self, sql: str, *arguments: object) -> list[dict[str, object]]:
        """Ask the database directly."""
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(sql, *arguments)]


#: What statements have left in a session.
_CHANGED = """
SELECT name AS what FROM pg_settings WHERE source = 'session' AND setting IS DISTINCT FROM reset_val
UNION ALL SELECT 'advisory lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
UNION ALL SELECT 'channel ' || name FROM pg_listening_channels() AS name
UNION ALL SELECT 'temporary ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
"""


@asynccontextmanager
async def open_ledgers(url: str) -> AsyncIterator[Ledgers]:
    """Every face of the ledger at ``url``; jitter is the same in every run."""
    async with connect_to(url, DEFAULTS) as database:
        yield Ledgers(
            url=url,
            database=database,
            scheduler=PostgresSchedulerLedger(database),
            executor=PostgresExecutorLedger(database, retry_rules(), VERSION, Random(1).random),
            models=PostgresModelLedger(database),
            roster=PostgresRoster(database, "test"),
        )
        await require_plain_sessions(database.pool)


async def leave_session(_connection: object) -> None:
    """Lend a session again as it is, as pools of Latigo do."""


async def require_plain_sessions(pool: Pool) -> None:
    """Nothing is set, locked or listened to in a session of the pool: it is lent again as it is."""
    async with AsyncExitStack() as lent:
        for _ in range(pool.get_idle_size()):
            connection = await lent.enter_async_context(pool.acquire())
            changed = [row["what"] for row in await connection.fetch(_CHANGED)]
            assert not changed, changed


@pytest.fixture(scope="session")
def ledger_template(postgres_server: str) -> str:
    """A migrated database that others are copied from."""
    asyncio.run(_make_template(postgres_server))
    return _TEMPLATE


async def _make_template(postgres_server: str) -> None:
    await execute(postgres_server, f"CREATE DATABASE {_TEMPLATE}")
    url = database_on(postgres_server, _TEMPLATE)
    await migrate(url, connect_timeout=CONNECT_TIMEOUT)
    async with connect_to(url, DEFAULTS) as database:
        await PostgresSchedulerLedger(database).maintain(history=timedelta(days=30))


@pytest.fixture
async def ledger_url(postgres_server: str, ledger_template: str) -> AsyncIterator[str]:
    """The URL of a migrated, empty ledger."""
    async with fresh_database(postgres_server, template=ledger_template) as url:
        yield url


@pytest.fixture
async def ledgers(ledger_url: str) -> AsyncIterator[Ledgers]:
    """Every face of a migrated, empty ledger."""
    async with open_ledgers(ledger_url) as opened:
        yield opened
