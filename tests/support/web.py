"""The API without what a test does not need: over no ledger at all, or over a ledger that was filled by statements."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from pydantic import SecretStr

from benchmarks.planning import put_models
from benchmarks.status import PLANT
from benchmarks.web_program import Process
from latigo.ledger.freshness_store import PostgresFreshnessLedger
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.postgres.database import Database
from latigo.runtime.clock import SystemClock
from latigo.runtime.metrics import metrics_of, new_registry
from latigo.settings import Settings
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint
from latigo.web.api.registry import ENDPOINTS
from latigo.web.api.tokens import Tokens
from latigo.web.app import Access, create_app
from latigo.web.server import ServerAddress, run_server
from latigo.wiring.answering import context_of_ledger

READER, OPERATOR = "token-of-a-reader", "token-of-an-operator"
TOKENS = {"reader": (SecretStr(READER), False), "anna": (SecretStr(OPERATOR), True)}
#: How long an answer takes depends on the machine: by the limit of a second, a busy one would answer 503.
PATIENT = [replace(endpoint, limit=max(endpoint.limit, timedelta(minutes=1))) for endpoint in ENDPOINTS]


def context_without_ledger() -> Context:
    """Return a context whose ledger may not be used."""
    nothing: Any = None
    return Context(Database(cast("Any", nothing), "ledger", timedelta(seconds=1)), Settings(), SystemClock())


@asynccontextmanager
async def serving_api(
    context: Context,
    endpoints: Sequence[Endpoint[Any, Any]] = PATIENT,
    *,
    required: bool = False,
    base_path: str = "",
) -> AsyncIterator[ServerAddress]:
    """Serve the API over HTTP."""
    process, access = Process(context), Access(base_path=base_path, tokens=Tokens(TOKENS, required=required))
    app = create_app(process, process, metrics_of(new_registry()), context.clock, access, endpoints)
    async with run_server(app) as address:
        yield address


async def fill_ledger(database: Database, models: int) -> None:
    """Fill a ledger with what is in one after a month: holes, exceptions, parked windows, tasks and receipts."""
    async with database.connection() as connection:
        await put_models(connection, models)
        for statement in PLANT.values():
            await connection.execute(statement)
        await connection.execute(
            "INSERT INTO project (name, revision, models, listed_at)"
            " SELECT project, '1764547200000', count(*), now() FROM model GROUP BY project"
        )
        await connection.execute("ANALYZE")
    scheduler = PostgresSchedulerLedger(database)
    term = await scheduler.acquire_lease("planner", timedelta(days=1))
    assert term is not None
    await PostgresFreshnessLedger(database).sum_slots(term, timedelta(days=1))


def context_of(database: Database, settings: Settings | None = None, who: str = "test") -> Context:
    """Return what a process answers from that has nothing open but this ledger."""
    return context_of_ledger(database, settings or Settings(), SystemClock(), who)
