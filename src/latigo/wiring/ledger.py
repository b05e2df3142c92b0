"""The ledger's database: all that a command needs that only asks, and so without any other system."""

import asyncio
import getpass
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import NamedTuple, assert_never

from latigo.domain.errors import LatigoError, Unavailable
from latigo.ledger.protocol import DOWNSTREAM
from latigo.postgres.database import Database, open_database
from latigo.postgres.schema import recreate, require_usable, upgrade
from latigo.postgres.servers import Url
from latigo.runtime.log import get_logger
from latigo.settings import EmbeddedLedger, PostgresLedger, Settings

_log = get_logger(__name__)


@asynccontextmanager
async def open_ledger(settings: Settings, *, migrate: bool = False) -> AsyncIterator[Database]:
    """Open the ledger's database; start it if it is embedded.

    Args:
        settings: all of them.
        migrate: migrate its schema, and create an embedded ledger that does not exist yet. An embedded ledger that
            exists is always migrated.

    Raises:
        ConfigurationError: it cannot be used, or its schema is of a newer Latigo, which this one cannot work with.
        Unavailable: it is unreachable or does not exist, or its schema is older than this program and is not to be
            migrated.
    """
    limit = settings.ledger.connect_timeout
    migrates = migrate or isinstance(settings.ledger, EmbeddedLedger)
    async with ledger_server(settings, create=migrate) as server:
        if migrates:
            before, after = await upgrade(server.url, downstream=DOWNSTREAM, connect_timeout=limit)
            if before != after:
                _log.info("ledger.migrated", before=before, after=after)
        else:
            await require_usable(server.url, downstream=DOWNSTREAM, connect_timeout=limit)
        async with connect_to(server.url, settings) as database:
            database.server_trouble = server.trouble
            keeping = asyncio.create_task(_keep_schema(database, server.url, limit)) if migrates else None
            try:
                yield database
            finally:
                if keeping is not None:
                    keeping.cancel()
                    await asyncio.wait((keeping,))


async def _keep_schema(database: Database, url: Url, limit: timedelta) -> None:
    """Create the schema again where the database was dropped and created anew while it was in use."""
    while True:
        await database.failed.wait()
        database.failed.clear()
        try:
            if await recreate(url, downstream=DOWNSTREAM, connect_timeout=limit):
                await database.forget_connections()
                _log.error("ledger.recreated")
        except LatigoError as error:
            _log.error("ledger.not_recreated", error=str(error))


def connect_to(url: Url, settings: Settings) -> AbstractAsyncContextManager[Database]:
    """Connect to the ledger, whatever its schema."""
    ledger = settings.ledger
    return open_database(
        url,
        downstream=DOWNSTREAM,
        size=ledger.pool_size,
        connect_timeout=ledger.connect_timeout,
        statement_timeout=ledger.statement_timeout,
    )


class LedgerServer(NamedTuple):
    """The server of the ledger; ``trouble`` returns why it is not there, where that is known."""

    url: Url
    trouble: Callable[[], str] = str


@asynccontextmanager
async def ledger_server(settings: Settings, *, create: bool = False) -> AsyncIterator[LedgerServer]:
    """Yield the server of the ledger; run the embedded one while the context lasts.

    Raises:
        ConfigurationError: an embedded ledger cannot be used.
        Unavailable: an embedded ledger does not exist and is not to be created, or does not start.
    """
    match settings.ledger:
        case EmbeddedLedger(data_dir=data_dir):
            from latigo.postgres.embedded import DOWNSTREAM as EMBEDDED
            from latigo.postgres.embedded import has_database, open_server

            if not create and not has_database(data_dir):
                raise Unavailable(
                    f"the ledger does not exist yet: latigo serve creates it in {data_dir} (ledger.data_dir)",
                    downstream=EMBEDDED,
                )
            async with open_server(data_dir) as server:
                yield LedgerServer(server.url, lambda: server.trouble)
        case PostgresLedger(url=secret):
            yield LedgerServer(secret.get_secret_value)
        case _:
            assert_never(settings.ledger)


def user_at_host() -> str:
    """Return ``user@host`` for the audit log."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
