"""What the API answers from, out of what is open."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from latigo.actions.roster import ModelServer
from latigo.ledger.model_store import PostgresRoster
from latigo.postgres.database import Database
from latigo.providers.gordo import open_gordo
from latigo.runtime.clock import Clock
from latigo.settings import Settings
from latigo.web.api.context import Context, Kept
from latigo.wiring.resources import Resources
from latigo.wiring.retention import readings_kept_for


def context_of(resources: Resources, kept: Kept) -> Context:
    """Return what the API of a process answers from."""
    settings, database, clock = resources.settings, resources.database, resources.clock
    return Context(
        database=database,
        settings=settings,
        clock=clock,
        open_server=_server(settings, database),
        readings=resources.sensors,
        stores=[sink.store for sink in resources.sinks],
        readings_kept=lambda report: readings_kept_for(settings, clock, report=report),
        kept=kept,
    )


def context_of_ledger(database: Database, settings: Settings, clock: Clock, who: str) -> Context:
    """Return what a command answers from, which has nothing open but the ledger."""
    return Context(
        database=database,
        settings=settings,
        clock=clock,
        who=who,
        open_server=_server(settings, database),
        readings_kept=lambda report: readings_kept_for(settings, clock, report=report),
    )


def _server(settings: Settings, database: Database) -> Callable[[str], AbstractAsyncContextManager[ModelServer]]:
    @asynccontextmanager
    async def open_server(who: str) -> AsyncIterator[ModelServer]:
        async with open_gordo(settings.models, PostgresRoster(database, who)) as gordo:
            yield gordo

    return open_server
