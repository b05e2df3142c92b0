"""What the API answers from, out of what is open."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from latigo.postgres.database import Database
from latigo.runtime.clock import Clock
from latigo.settings import Settings
from latigo.web.api.context import Context, Kept, KeptFor, PredictsAgain, ReadingsKept

if TYPE_CHECKING:
    from latigo.actions.roster import ModelServer
    from latigo.domain.model import ModelRef
    from latigo.reports.explain import Explanation
    from latigo.reports.verification import Verification
    from latigo.wiring.resources import Resources


def context_of(resources: "Resources", kept: Kept) -> Context:
    """Return what the API of a process answers from."""
    settings, database, clock = resources.settings, resources.database, resources.clock
    return Context(
        database=database,
        settings=settings,
        clock=clock,
        open_server=_server(settings, database),
        readings=resources.sensors,
        stores=[sink.store for sink in resources.sinks],
        readings_kept=_retention(settings, clock),
        predict_again=_again(resources),
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
        readings_kept=_retention(settings, clock),
    )


def _again(resources: "Resources") -> PredictsAgain:
    settings, stores = resources.settings, [sink.store for sink in resources.sinks]

    async def again(ref: "ModelRef", moment: "Explanation") -> "Verification":
        from latigo.executor.budget import ByteBudget
        from latigo.providers.gordo import open_gordo
        from latigo.wiring.predicting import predict_again
        from latigo.wiring.roster import NoRoster

        share = ByteBudget(settings.read_budget).share
        async with open_gordo(settings.models, NoRoster()) as gordo:
            return await predict_again(gordo, resources.sensors, stores, ref, moment, max_bytes=share)

    return again


def _retention(settings: Settings, clock: Clock) -> ReadingsKept:
    async def readings_kept(report: Callable[[str], None]) -> KeptFor:
        from latigo.wiring.retention import readings_kept_for

        return await readings_kept_for(settings, clock, report=report)

    return readings_kept


def _server(settings: Settings, database: Database) -> Callable[[str], AbstractAsyncContextManager["ModelServer"]]:
    @asynccontextmanager
    async def open_server(who: str) -> AsyncIterator["ModelServer"]:
        from latigo.ledger.model_store import PostgresRoster
        from latigo.providers.gordo import open_gordo

        async with open_gordo(settings.models, PostgresRoster(database, who)) as gordo:
            yield gordo

    return open_server
