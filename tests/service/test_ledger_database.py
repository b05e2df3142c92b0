"""The connection to the ledger: its time limits, and what its errors mean."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.postgres.database import Database, changed_session
from latigo.postgres.migrate import migrate
from latigo.settings import Settings
from latigo.wiring.ledger import connect_to, open_ledger
from tests.support.ledgers import require_plain_sessions
from tests.support.waiting import eventually

#: Long enough for what a busy machine does meanwhile.
SHORTLY = timedelta(seconds=1)
WITHIN_S = 120


def ledger_at(url: str, **limits: object) -> Settings:
    return Settings.model_validate({"ledger": {"kind": "postgres", "url": url, **limits}})


async def test_a_statement_ends_at_its_time_limit(ledger_url: str):
    async with open_ledger(ledger_at(ledger_url, statement_timeout=SHORTLY)) as database, asyncio.timeout(WITHIN_S):
        with pytest.raises(Unavailable, match="TimeoutError"):
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(600)")


async def stand_still(database: Database, meanwhile: Awaitable[None]) -> None:
    """Lock the planner, then do nothing until somebody else, who waits for the lock, is done."""
    async with database.transaction() as connection:
        await connection.execute("LOCK planner")
        await meanwhile
        await connection.execute("SELECT 1")


async def test_a_process_that_is_frozen_in_a_transaction_does_not_keep_its_locks(ledger_url: str):
    async with (
        open_ledger(ledger_at(ledger_url, statement_timeout=SHORTLY)) as frozen,
        open_ledger(ledger_at(ledger_url)) as other,
        asyncio.timeout(WITHIN_S),
    ):
        with pytest.raises(Unavailable):
            await stand_still(frozen, other.execute("UPDATE planner SET holder = 'other'"))

        assert [row["holder"] for row in await other.fetch("SELECT holder FROM planner")] == ["other"]
        assert await frozen.row("SELECT 1") is not None


#: What a statement may leave in a session, by what is found of it.
CHANGES = {
    "lock_timeout": "SET lock_timeout = '3s'",
    "advisory lock": "SELECT pg_advisory_lock(1)",
    "channel any": 'LISTEN "any"',
}


@pytest.mark.parametrize("found", CHANGES)
async def test_what_a_statement_leaves_in_a_session_is_still_there_for_its_next_user_and_is_found(
    ledger_url: str, found: str
):
    async with open_ledger(ledger_at(ledger_url)) as database:
        await database.execute(CHANGES[found])

        with pytest.raises(AssertionError, match=found):
            await require_plain_sessions(database.pool)


@pytest.mark.parametrize("found", CHANGES)
async def test_what_is_changed_in_a_session_on_purpose_is_undone_before_it_is_lent_again(ledger_url: str, found: str):
    async with open_ledger(ledger_at(ledger_url)) as database:
        async with database.connection() as connection, changed_session(connection):
            await connection.execute(CHANGES[found])

        await require_plain_sessions(database.pool)


async def test_a_temporary_table_is_found(ledger_url: str):
    async with open_ledger(ledger_at(ledger_url)) as database:
        await database.execute("CREATE TEMPORARY TABLE anything ()")

        with pytest.raises(AssertionError, match="temporary anything"):
            await require_plain_sessions(database.pool)


async def test_the_server_asks_whether_there_is_anybody_at_the_other_end_of_a_session(ledger_url: str):
    async with open_ledger(ledger_at(ledger_url)) as database:
        rows = await database.fetch("SELECT name FROM pg_settings WHERE name LIKE 'tcp%' AND source = 'client'")

    assert {row["name"] for row in rows} == {"tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count"}


async def test_a_server_that_accepts_a_connection_and_never_answers_is_unavailable():
    says_nothing = asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says_nothing.wait()
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server, asyncio.timeout(WITHIN_S):
        port = server.sockets[0].getsockname()[1]
        settings = ledger_at(f"postgresql://x@127.0.0.1:{port}/x", connect_timeout=SHORTLY)
        for migrate in (False, True):
            with pytest.raises(Unavailable, match="TimeoutError"):
                async with open_ledger(settings, migrate=migrate):
                    pytest.fail("it has not even said hello")
        says_nothing.set()


async def test_a_caller_that_gets_no_connection_of_the_pool_in_time_gets_an_error(ledger_url: str):
    async with (
        connect_to(ledger_url, ledger_at(ledger_url, pool_size=2, connect_timeout=SHORTLY)) as database,
        asyncio.timeout(WITHIN_S),
    ):
        async with database.connection(), database.connection():
            with pytest.raises(Unavailable):
                await database.row("SELECT 1")
        await eventually(lambda: database.row("SELECT 1"), what="there is one again")


@pytest.mark.parametrize(
    ("code", "alarm"),
    [
        ("57P03", False),  # starting up
        ("57014", False),  # cancelled by its administrator
        ("40P01", False),  # deadlock
        ("25006", False),  # a standby
        ("53100", True),  # disk full
        ("28P01", True),  # wrong password
    ],
)
async def test_a_ledger_that_cannot_be_used_now_is_unavailable(ledger_url: str, code: str, alarm: bool):
    async with connect_to(ledger_url, ledger_at(ledger_url)) as database:
        with pytest.raises(Unavailable) as raised:
            async with database.connection() as connection:
                await connection.execute(f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$")

    assert (raised.value.downstream, raised.value.alarm) == ("ledger", alarm)


@pytest.mark.parametrize("statement", ["SELECT nothing", "SELECT 1 / 0", "DO $$ BEGIN RAISE 'no'; END $$"])
async def test_what_is_a_bug_of_ours_is_left_as_it_is(ledger_url: str, statement: str):
    async with connect_to(ledger_url, ledger_at(ledger_url)) as database:
        with pytest.raises(asyncpg.PostgresError):
            async with database.connection() as connection:
                await connection.execute(statement)


@pytest.mark.parametrize("migrate", [False, True])
async def test_a_database_without_the_characters_of_tags_is_refused(ledger_url: str, migrate: bool):
    database = f"narrow_{uuid4().hex}"
    connection = await asyncpg.connect(ledger_url)
    try:
        await connection.execute(f"CREATE DATABASE {database} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        narrow = urlsplit(ledger_url)._replace(path=f"/{database}").geturl()

        with pytest.raises(ConfigurationError, match="LATIN1"):
            async with open_ledger(ledger_at(narrow), migrate=migrate):
                pytest.fail("it was opened")
    finally:
        await connection.execute(f"DROP DATABASE {database}")
        await connection.close()


@pytest.mark.parametrize(
    "held",
    [
        pytest.param("SELECT pg_advisory_lock(hashtext('latigo.migrate'))", id="while it waits for its turn"),
        pytest.param("BEGIN; LOCK TABLE alembic_version", id="while it compares the schema"),
    ],
)
async def test_a_migration_that_loses_its_connection_is_unavailable_and_not_a_bug(ledger_url: str, held: str):
    await migrate(ledger_url, connect_timeout=timedelta(seconds=60))
    holder = await asyncpg.connect(ledger_url)
    try:
        await holder.execute(held)
        migrating = asyncio.create_task(migrate(ledger_url, connect_timeout=timedelta(seconds=60)))

        async def ended_by_the_server() -> bool:
            return bool(
                await holder.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )

        await eventually(ended_by_the_server, what="its session waits, and is ended")
        with pytest.raises(Unavailable, match="terminating connection"):
            await migrating
    finally:
        await holder.close()
