"""Bring the ledger's schema up to date: Alembic revisions, each a file of named SQL statements."""

import asyncio
from collections.abc import Callable
from typing import Any

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from latigo.ledger.database import ledger_errors
from latigo.ledger.schema import newest_revision
from latigo.runtime.statements import load_statements

#: Only one process migrates; the others wait for it and find nothing left to do.
_LOCK = "SELECT pg_advisory_lock(hashtext('latigo.migrate'))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtext('latigo.migrate'))"
LONGEST = 300.0  #: seconds for all of it, waiting for another process included


def run_file(name: str, package: str = "latigo.ledger.migrations") -> None:
    """Run every statement of a file, in order. For revisions."""
    connection = op.get_bind()
    for statement in load_statements(package, name).values():
        connection.exec_driver_sql(statement)


async def migrate(url: str) -> tuple[str | None, str]:
    """Bring the schema at ``url`` to the newest revision; answers with the revisions before and after.

    Raises:
        Unavailable: the database is away.
    """
    async with asyncio.timeout(LONGEST):
        return await _on_connection(url, _upgrade)


async def _on_connection(url: str, work: Callable[[Connection], tuple[str | None, str]]) -> tuple[str | None, str]:
    engine = create_async_engine("postgresql+asyncpg://", poolclass=NullPool, async_creator=lambda: _connect(url))
    try:
        with ledger_errors():
            async with engine.connect() as connection:
                answer = await connection.run_sync(work)
                await connection.commit()
                return answer
    finally:
        await engine.dispose()


async def _connect(url: str) -> Any:
    import asyncpg  # noqa: PLC0415 - the driver under SQLAlchemy; the URL may be a socket path it cannot express

    return await asyncpg.connect(url, timeout=5)


def _upgrade(connection: Connection) -> tuple[str | None, str]:
    connection.execute(text(_LOCK))
    try:
        before = _current(connection)
        config = Config()
        config.set_main_option("script_location", "latigo.ledger:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        return before, newest_revision()
    finally:
        connection.execute(text(_UNLOCK))


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
