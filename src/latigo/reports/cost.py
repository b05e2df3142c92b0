"""What predictions cost in Gordo cores, from the receipts of the last day."""

from datetime import datetime, timedelta
from typing import Any

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.gordo_cost import Backlog, Capacity, GordoCost, Group, ModelCalls, Sample, Times, estimate
from latigo.runtime.off_loop import off_loop

SQL = load_statements("latigo.reports", "cost.sql")
#: Receipts that are read: at 9000 models, those of five slots.
MOST_CALLS = 50_000
_MANY_MODELS = 500  #: of which the estimate takes several milliseconds


async def read_cost(database: Database, capacity: Capacity, within: timedelta, at: datetime) -> GordoCost:
    """Return the Gordo cores that predictions need.

    Args:
        database: the ledger's.
        capacity: settings that the cost depends on.
        within: the time in which the backlog is to be done.
        at: now.
    """
    async with database.snapshot() as connection:
        rows = await connection.fetch(SQL["calls"], at, MOST_CALLS)
        groups = [Group(**row) for row in await connection.fetch(SQL["groups"])]
        backlog = Backlog(**await connection.fetchrow(SQL["backlog"]))

    def work() -> GordoCost:
        return estimate(_sample(rows), groups, backlog, capacity, within, at)

    return await off_loop(len(rows), _MANY_MODELS, work)


def _sample(rows: Any) -> Sample:
    *models, total = sorted(rows, key=lambda row: row["model"] is None)
    return Sample(total["calls"], total["since"], list(map(_calls, models)), total["last_hour"])


def _calls(row: Any) -> ModelCalls:
    return ModelCalls(
        project=row["project"],
        model=row["model"],
        keras=row["keras"],
        slot=row["slot"],
        live=Times(row["live_calls"], row["live_ms"]),
        fast_ms=row["fast_ms"],
        in_a_row=Times(row["row_calls"], row["row_ms"]),
        backfill=Times(row["backfill_calls"], row["backfill_ms"]),
    )
