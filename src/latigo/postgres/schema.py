"""The revision of a database's schema; `latigo.postgres.migrate` changes it, and loads Alembic and SQLAlchemy."""

from datetime import timedelta

import asyncpg
import structlog

from latigo.domain.errors import Unavailable
from latigo.postgres.database import DOWNSTREAM
from latigo.postgres.errors import translated_errors
from latigo.postgres.revisions import SchemaComparison, compare_schema, newest_revision

_log = structlog.get_logger()


async def current_revision(url: str, *, downstream: str = DOWNSTREAM, connect_timeout: timedelta) -> str | None:
    """Return the revision of the schema at ``url``; None: there is no schema.

    Raises:
        Unavailable: the database cannot be reached.
    """
    with translated_errors(downstream, downstream=downstream):
        connection = await asyncpg.connect(url, timeout=connect_timeout.total_seconds())
        try:
            if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
                return None
            revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
            return revision
        finally:
            await connection.close()


async def upgrade(url: str, *, downstream: str = DOWNSTREAM, connect_timeout: timedelta) -> tuple[str | None, str]:
    """Migrate the schema to the newest revision where it is older; return the revisions before and after.

    Raises:
        ConfigurationError: the schema is of a newer Latigo, which this one cannot work with.
        Unavailable: the database cannot be reached.
    """
    before = await current_revision(url, downstream=downstream, connect_timeout=connect_timeout)
    newest = newest_revision()
    if before is not None and _compare_with_newest(before, newest) is not SchemaComparison.OLDER:
        return before, before
    from latigo.postgres.migrate import migrate  # noqa: PLC0415 - half a second and 40 MB, once in a schema's life

    await migrate(url, downstream=downstream, connect_timeout=connect_timeout)
    return before, newest


async def require_usable(url: str, *, downstream: str = DOWNSTREAM, connect_timeout: timedelta) -> None:
    """Check that this program can work with the schema; change nothing.

    Raises:
        ConfigurationError: the schema is of a newer Latigo, which this one cannot work with.
        Unavailable: the database cannot be reached, or its schema is older than this program.
    """
    revision = await current_revision(url, downstream=downstream, connect_timeout=connect_timeout)
    newest = newest_revision()
    if _compare_with_newest(revision, newest) is SchemaComparison.OLDER:
        state = "has no schema yet" if revision is None else f"has schema {revision}, which is older than this Latigo"
        raise Unavailable(
            f"the {downstream} {state}: `latigo migrate` brings it to {newest}, as does `latigo serve`",
            downstream=downstream,
            alarm=True,
        )


def _compare_with_newest(revision: str | None, newest: str) -> SchemaComparison:
    result = compare_schema(revision, newest)
    if result is SchemaComparison.NEWER:
        _log.warning("ledger.schema_newer", revision=revision, known=newest)
    return result
