"""Migrate the schema of a database: Alembic revisions, each a file of named SQL statements."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from latigo.postgres.database import DOWNSTREAM
from latigo.postgres.errors import translated_errors
from latigo.postgres.revisions import SchemaComparison, compare_schema, newest_revision
from latigo.postgres.servers import Servers, Url
from latigo.postgres.statements import load_statements

#: Only one process migrates; the others wait for the lock, and then nothing is left to do. It ends with the session.
_LOCK = "SELECT pg_advisory_lock(hashtext('latigo.migrate'))"
TIME_LIMIT = 300.0  #: seconds for the whole migration, the wait for another process included


def run_file(name: str) -> None:
    """Run every statement of a file, in order. For revisions."""
    connection = op.get_bind()
    for statement in load_statements("latigo.postgres.migrations", name).values():
        connection.exec_driver_sql(statement)


async def migrate(url: Url, *, downstream: str = DOWNSTREAM, connect_timeout: timedelta) -> None:
    """Migrate the schema at ``url`` to the newest revision; safe when several processes do it at once.

    Raises:
        ConfigurationError: the schema is of a newer Latigo, which this one cannot work with.
        Unavailable: the database cannot be reached.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=NullPool, async_creator=lambda: _connect(url, connect_timeout)
    )
    try:
        with translated_errors(downstream, downstream=downstream), _errors_of_the_driver():
            async with asyncio.timeout(TIME_LIMIT), engine.connect() as connection:
                await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


async def _connect(url: Url, limit: timedelta) -> Any:
    # The driver under SQLAlchemy, connected by ourselves: the URL may be a socket path that SQLAlchemy cannot express.
    return await Servers(url).connect(timeout=limit.total_seconds())


@contextmanager
def _errors_of_the_driver() -> Iterator[None]:
    """Raise what the driver has raised instead of SQLAlchemy's error about it."""
    try:
        yield
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        raise cause or error from error


def _upgrade(connection: Connection) -> None:
    connection.execute(text(_LOCK))
    current = MigrationContext.configure(connection).get_current_revision()
    if compare_schema(current, newest_revision()) is not SchemaComparison.OLDER:  # another process was first
        return
    config = Config()
    config.set_main_option("script_location", "latigo.postgres:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
