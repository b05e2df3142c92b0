"""The revision of a database's schema; `latigo.postgres.migrate` changes it, and loads Alembic and SQLAlchemy."""

from datetime import timedelta

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.postgres.database import DOWNSTREAM
from latigo.postgres.errors import translated_errors
from latigo.postgres.revisions import SchemaComparison, compare_schema, newest_revision
from latigo.postgres.servers import Servers, Url
from latigo.runtime.log import get_logger

_log = get_logger(__name__)
_ENCODINGS = {"UTF8", "SQL_ASCII"}  #: SQL_ASCII keeps every octet as it is
_HIDDEN = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'alembic_version' LIMIT 1"


async def current_revision(url: Url, *, downstream: str = DOWNSTREAM, connect_timeout: timedelta) -> str | None:
    """Return the revision of the schema at ``url``; None: there is no schema.

    Raises:
        ConfigurationError: the database has an encoding without the characters of names and messages.
        Unavailable: the database cannot be reached.
    """
    with translated_errors(downstream, downstream=downstream):
        connection = await Servers(url).connect(timeout=connect_timeout.total_seconds())
        try:
            _require_encoding(await connection.fetchval("SHOW server_encoding"), downstream)
            if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
                return None
            revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
            return revision
        finally:
            await connection.close()


def _require_encoding(encoding: str, downstream: str) -> None:
    if encoding not in _ENCODINGS:
        raise ConfigurationError(
            f"the database of the {downstream} has the encoding {encoding}, which lacks characters that names of tags"
            " and messages have: create one with ENCODING 'UTF8' TEMPLATE template0"
        )


async def upgrade(url: Url, *, downstream: str = DOWNSTREAM, connect_timeout: timedelta) -> tuple[str | None, str]:
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


async def recreate(url: Url, *, downstream: str = DOWNSTREAM, connect_timeout: timedelta) -> bool:
    """Create the schema where a database that had one has none any more; return whether it was created.

    Raises:
        ConfigurationError: the schema is there, but not in the ``search_path`` of the role.
        Unavailable: the database cannot be reached.
    """
    with translated_errors(downstream, downstream=downstream):
        connection = await Servers(url).connect(timeout=connect_timeout.total_seconds())
        try:
            if await connection.fetchval("SELECT to_regclass('alembic_version')") is not None:
                return False
            hidden = await connection.fetchval(_HIDDEN)
        finally:
            await connection.close()
    if hidden is not None:
        raise ConfigurationError(
            f"the tables of the {downstream} are in the schema {hidden}, which is not in the search_path of the role"
        )
    await upgrade(url, downstream=downstream, connect_timeout=connect_timeout)
    return True


async def require_usable(url: Url, *, downstream: str = DOWNSTREAM, connect_timeout: timedelta) -> None:
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
