"""Bring the ledger's schema up to date: Alembic revisions, each a file of named SQL statements."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from latigo.postgres.database import CONNECT_TIMEOUT, ledger_errors
from latigo.postgres.revisions import Standing, newest_revision, standing
from latigo.postgres.statements import load_statements

#: Only one process migrates; the others wait for it and find nothing left to do.
_LOCK = "SELECT pg_advisory_lock(hashtext('latigo.migrate'))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtext('latigo.migrate'))"
LONGEST = 300.0  #: seconds for all of it, waiting for another process included


def run_file(name: str) -> None:
    """Run every statement of a file, in order. For revisions."""
    connection = op.get_bind()
    for statement in load_statements("latigo.postgres.migrations", name).values():
        connection.exec_driver_sql(statement)


async def migrate(url: str, *, connect_timeout: timedelta = CONNECT_TIMEOUT) -> None:
    """Bring the schema at ``url`` to the newest revision; harmless when several processes do it at once.

    Raises:
        ConfigurationError: the schema is of a newer Latigo, which this one cannot work with.
        Unavailable: the database is away.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=NullPool, async_creator=lambda: _connect(url, connect_timeout)
    )
    try:
        with ledger_errors():
            async with asyncio.timeout(LONGEST), engine.connect() as connection:
                await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def _connect(url: str, within: timedelta) -> Any:
    # The driver under SQLAlchemy, connected by ourselves: the URL may be a socket path that SQLAlchemy cannot express.
    return await asyncpg.connect(url, timeout=within.total_seconds())


def _upgrade(connection: Connection) -> None:
    connection.execute(text(_LOCK))
    try:
        found = MigrationContext.configure(connection).get_current_revision()
        if standing(found, newest_revision()) is not Standing.OLDER:  # somebody else was first
            return
        config = Config()
        config.set_main_option("script_location", "latigo.postgres:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    finally:
        connection.execute(text(_UNLOCK))
