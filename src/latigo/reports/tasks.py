"""Outstanding tasks, and how one of them ended."""

from datetime import datetime
from typing import NamedTuple

from latigo.domain.outcome import Outcome
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Listing, Names, Report, likes
from latigo.reports.choices import TaskState

SQL = load_statements("latigo.reports", "tasks.sql")

MOST_TASKS = 1000


class TaskFilter(NamedTuple):
    """Which tasks are wanted; None matches all."""

    project: Names = None
    model: Names = None
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
    detail: str  #: of the last attempt, and of a waiting one what is paused


class TaskEnd(Report):
    """How a task ended, or why it waits: for another attempt, or for the end of a pause."""

    outcome: str  #: empty: it waits
    reason: str
    detail: str
    rows: int
    next_attempt: datetime | None  #: None: it has ended, or waits for the end of a pause, which `detail` names

    @property
    def stored(self) -> bool:
        """True if its predictions are in the sinks."""
        return self.outcome == Outcome.STORED


async def read_tasks(
    database: Database, wanted: TaskFilter, *, most: int = MOST_TASKS, skip: int = 0
) -> Listing[OutstandingTask]:
    """Return outstanding tasks, the oldest first, ``most`` of them (0: all) after the first ``skip``."""
    parameters = likes(wanted.project), likes(wanted.model), *wanted[2:], most, skip
    return Listing.of(OutstandingTask, await database.fetch(SQL["outstanding_tasks"], *parameters), skip)


async def read_task_end(database: Database, task: int) -> tuple[bool, TaskEnd | None]:
    """Return whether a task is known, which it is not if it was withdrawn, and how it ended or fails for now."""
    row = await database.row(SQL["task_state"], task)
    if row is None:
        return False, None
    if row["state"] == "ended" or (row["state"] == "waiting" and row["detail"]):
        return True, TaskEnd(**{name: row[name] for name in TaskEnd.model_fields})
    return True, None
