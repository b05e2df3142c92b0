"""Outstanding tasks, and how one of them ended."""

from datetime import datetime, timedelta
from typing import NamedTuple

from latigo.domain.outcome import Outcome
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Listing, Report
from latigo.reports.choices import TaskState
from latigo.runtime.clock import Clock

SQL = load_statements("latigo.reports", "tasks.sql")

MOST_TASKS = 1000
#: Interval between two reads of a task that is waited for.
_POLL = timedelta(seconds=1)


class TaskFilter(NamedTuple):
    """Which tasks are wanted; None matches all."""

    project: str | None = None
    model: str | None = None
    state: TaskState | None = None
    executor: str | None = None


class OutstandingTask(Report):
    """A task that is planned and not settled. It is named by its model, window and lane."""

    project: str
    model: str
    start: datetime
    end: datetime
    lane: str
    state: TaskState
    attempts: int
    starts: int  #: that have not been settled
    executor: str  #: that has claimed it
    planned_at: datetime
    claimed_at: datetime | None
    next_attempt: datetime | None
    detail: str  #: of the last attempt


class TaskEnd(Report):
    """How a task ended, or why it waits for another attempt."""

    outcome: str  #: empty: it waits
    reason: str
    detail: str
    rows: int
    next_attempt: datetime | None

    @property
    def stored(self) -> bool:
        """True if its predictions are in the sinks."""
        return self.outcome == Outcome.STORED


async def read_tasks(database: Database, wanted: TaskFilter, *, most: int = MOST_TASKS) -> Listing[OutstandingTask]:
    """Return outstanding tasks, the oldest first, ``most`` of them (0: all)."""
    async with database.connection() as connection:
        return Listing.of(OutstandingTask, await connection.fetch(SQL["outstanding_tasks"], *wanted, most))


async def wait_for_end(database: Database, task: int, clock: Clock) -> TaskEnd | None:
    """Return how a task ended, as soon as it has, or fails for now; None if it was withdrawn."""
    while True:
        row = await database.row(SQL["task_state"], task)
        if row is None:
            return None
        if row["state"] == "ended" or (row["state"] == "waiting" and row["detail"]):
            return TaskEnd(**{name: row[name] for name in TaskEnd.model_fields})
        await clock.sleep(_POLL)
