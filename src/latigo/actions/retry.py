"""Try again what is parked or waits."""

from collections.abc import Sequence
from typing import NamedTuple

from latigo.actions.record import SQL, record
from latigo.postgres.database import Database
from latigo.reports.base import Report


class Unparked(Report):
    """A model that is no longer parked for this reason."""

    project: str
    model: str
    reason: str


class RetryResult(NamedTuple):
    """What a retry has changed."""

    unparked: Sequence[Unparked]
    woken: int  #: tasks that waited for another attempt


class Retried(Report):
    """How much a retry tries again."""

    windows: int  #: parked
    waiting: int  #: tasks that wait for another attempt


async def count_retried(
    database: Database, project: str | None = None, model: str | None = None, reason: str | None = None
) -> Retried:
    """Return how much `retry` would try again; None matches all."""
    async with database.connection() as connection:
        return Retried(**await connection.fetchrow(SQL["count_retried"], project, model, reason))


async def retry(
    database: Database, who: str, project: str | None = None, model: str | None = None, reason: str | None = None
) -> RetryResult:
    """Unpark what is parked, and end the back-off of what waits; None matches all."""
    async with database.transaction() as connection:
        parked = [Unparked(**row) for row in await connection.fetch(SQL["unpark"], project, model, reason)]
        await connection.execute(SQL["revive_models"], project, model)
        woken = len(await connection.fetch(SQL["end_waiting"], project, model, reason))
        selector = {"project": project, "model": model, "reason": reason}
        await record(connection, "retry", who, selector, f"{len(parked)} unparked, {woken} woken")
    return RetryResult(parked, woken)
