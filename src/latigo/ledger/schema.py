"""How the ledger's schema stands to this program; `latigo.ledger.migrate`, apart from it, loads Alembic and SQLAlchemy.

Revisions are named ``NNNN``. Those of one thousand only add to each other, so that a program that is older than the
schema works with it as before; a revision that older programs could not work with begins the next thousand.
"""

from datetime import timedelta
from enum import Enum, auto
from importlib import resources

import asyncpg
import structlog

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.ledger.database import CONNECT_TIMEOUT, DOWNSTREAM, ledger_errors

_log = structlog.get_logger()


class Standing(Enum):
    """How a schema stands to a program."""

    OLDER = auto()  #: or there is none
    SAME = auto()
    NEWER = auto()  #: and has everything that the program needs


def standing(found: str | None, known: str) -> Standing:
    """How the schema ``found`` stands to a program that knows revisions up to ``known``.

    Raises:
        ConfigurationError: it is so much newer that the program cannot work with it.
    """
    if found is None or found < known:
        return Standing.OLDER
    if found == known:
        return Standing.SAME
    if found[0] == known[0]:
        return Standing.NEWER
    raise ConfigurationError(
        f"the schema of the ledger is {found}, of a newer Latigo, and this one knows it up to {known} and cannot work"
        " with it: update this program"
    )


def newest_revision() -> str:
    """The newest revision that this version of Latigo knows; files are named ``NNNN_what.py``."""
    names = (each.name for each in resources.files("latigo.ledger.migrations.versions").iterdir())
    return max(name.split("_")[0] for name in names if name[:4].isdigit())


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
    from latigo.ledger.migrate import migrate  # noqa: PLC0415 - half a second and 40 MB, once in a schema's life

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
