"""Progress of the ledger: sums over all models, for the demo and for tests."""

from collections.abc import Mapping
from datetime import datetime

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Report

SQL = load_statements("latigo.reports", "progress.sql")


class Totals(Report):
    """Sums over all models, as of one moment."""

    models: int
    slots_due: float
    slots_covered: float
    exceptions: float  #: slots
    parked: int
    rows_settled: int
    tasks_settled: int

    @property
    def slots_left(self) -> float:
        """Return the slots that are due and neither covered nor excepted."""
        return self.slots_due - self.slots_covered - self.exceptions


async def read_totals(database: Database) -> Totals:
    """Return the sums over all models."""
    async with database.connection() as connection:
        return Totals(**await connection.fetchrow(SQL["totals"]))


async def count_live_slots(database: Database, since: datetime) -> Mapping[str, int]:
    """Return how many slots that began at or after ``since`` are settled, by model."""
    async with database.connection() as connection:
        rows = await connection.fetch(SQL["live_progress"], since)
    return {f"{row['project']}/{row['model']}": int(row["slots"]) for row in rows}


async def count_claimed(database: Database) -> int:
    """Return the number of tasks that an executor has begun and not settled."""
    async with database.connection() as connection:
        count: int = await connection.fetchval(SQL["claimed"])
        return count


async def count_stored_rows(database: Database) -> int:
    """Return the number of rows in the ledger's own store of predictions."""
    async with database.connection() as connection:
        count: int = await connection.fetchval(SQL["stored_rows"])
        return count
