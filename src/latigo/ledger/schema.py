"""Whether the ledger's schema is up to date. Apart from `latigo.ledger.migrate`, which loads Alembic and SQLAlchemy."""

from importlib import resources

import asyncpg

from latigo.ledger.database import CONNECT_SECONDS, ledger_errors


def newest_revision() -> str:
    """The newest revision that this version of Latigo knows; files are named ``NNNN_what.py``."""
    names = (each.name for each in resources.files("latigo.ledger.migrations.versions").iterdir())
    return max(name.split("_")[0] for name in names if name[:4].isdigit())


async def current_revision(url: str) -> str | None:
    """The revision of the schema at ``url``; None: there is none.

    Raises:
        Unavailable: the database is away.
    """
    with ledger_errors():
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
        try:
            if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
                return None
            found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
            return found
        finally:
            await connection.close()


async def bring_up_to_date(url: str) -> tuple[str | None, str]:
    """Migrate if need be; the revisions before and after.

    Raises:
        Unavailable: the database is away.
    """
    before, newest = await current_revision(url), newest_revision()
    if before != newest:
        from latigo.ledger.migrate import migrate  # noqa: PLC0415 - half a second and 40 MB, once in a schema's life

        await migrate(url)
    return before, newest
