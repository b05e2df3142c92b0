"""The schema of the ledger as it is found; what changes it, `latigo.postgres.migrate`, loads Alembic and SQLAlchemy."""

from datetime import timedelta

import asyncpg
import structlog

from latigo.domain.errors import Unavailable
from latigo.postgres.database import CONNECT_TIMEOUT, DOWNSTREAM, ledger_errors
from latigo.postgres.revisions import Standing, newest_revision, standing

_log = structlog.get_logger()


async def current_revision(url: str, *, connect_timeout: timedelta = CONNECT_TIMEOUT) -> str | None:
    """The revision of the schema at ``url``; None: there is none.

    Raises:
        Unavailable: the database is away.
    """
    with ledger_errors():
        connection = await asyncpg.connect(url, timeout=connect_timeout.total_seconds())
        try:
            if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
                return None
            found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
            return found
        finally:
            await connection.close()


async def bring_up_to_date(url: str, *, connect_timeout: timedelta = CONNECT_TIMEOUT) -> tuple[str | None, str]:
    """Migrate if need be; the revisions before and after.

    Raises:
        ConfigurationError: the schema is of a newer Latigo, which this one cannot work with.
        Unavailable: the database is away.
    """
    found, newest = await current_revision(url, connect_timeout=connect_timeout), newest_revision()
    if found is not None and _stands(found, newest) is not Standing.OLDER:
        return found, found
    from latigo.postgres.migrate import migrate  # noqa: PLC0415 - half a second and 40 MB, once in a schema's life

    await migrate(url, connect_timeout=connect_timeout)
    return found, newest


async def expect_usable(url: str, *, connect_timeout: timedelta = CONNECT_TIMEOUT) -> None:
    """Change nothing.

    Raises:
        ConfigurationError: the schema is of a newer Latigo, which this one cannot work with.
        Unavailable: the database is away, or its schema is older than this program.
    """
    found, newest = await current_revision(url, connect_timeout=connect_timeout), newest_revision()
    if _stands(found, newest) is Standing.OLDER:
        says = "has no schema yet" if found is None else f"has schema {found}, which is older than this Latigo"
        raise Unavailable(
            f"the ledger {says}: `latigo migrate` brings it to {newest}, as does `latigo serve`",
            downstream=DOWNSTREAM,
            alarm=True,
        )


def _stands(found: str | None, newest: str) -> Standing:
    seen = standing(found, newest)
    if seen is Standing.NEWER:
        _log.warning("ledger.schema_newer", found=found, known=newest)
    return seen
