"""Failures: what is parked, waits for another attempt, lacks rows, and messages of the queue that are no task."""

from datetime import datetime

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Listing, Report
from latigo.reports.choices import FailureOrder, FailureState

SQL = load_statements("latigo.reports", "failures.sql")
MOST_FAILURES = 1000


class Failure(Report):
    """One failure, with its cause."""

    project: str
    model: str  #: of a message, where in the queue it was
    state: str  #: parked, waiting, excepted or message
    reason: str
    detail: str
    since: datetime  #: of excepted slots: the begin of the first one
    revision: str
    first: datetime | None  #: begin of the time that it is about; None: all of it
    last: datetime | None  #: its end
    next_attempt: datetime | None
    attempts: int  #: of excepted slots: rechecks so far


async def read_failures(
    database: Database,
    project: str | None = None,
    model: str | None = None,
    reason: str | None = None,
    *,
    state: FailureState | None = None,
    order: FailureOrder = "name",
    most: int = MOST_FAILURES,
) -> Listing[Failure]:
    """Return the failures of these, ``most`` of them (0: all); None matches all."""
    async with database.connection() as connection:
        rows = await connection.fetch(SQL["failures"], project, model, reason, state, order, most)
    return Listing.of(Failure, rows)
