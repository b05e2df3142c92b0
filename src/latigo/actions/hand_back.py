"""Take tasks back from the executors and queues that have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from latigo.actions.draining import find_executor
from latigo.actions.record import MOST_NAMES, SQL, ids_of, record
from latigo.domain.errors import Misused
from latigo.domain.task import Lane
from latigo.postgres.database import Database
from latigo.postgres.ranges import to_window
from latigo.reports.base import Report


@dataclass(frozen=True, slots=True)
class Held:
    """Which tasks are meant. They are named by their models: numbers of tasks are used again in a restored ledger."""

    names: Sequence[str] = ()  #: ``PROJECT`` or ``PROJECT/MODEL``, or patterns of these; none: of any model
    executor: str | None = None
    lane: Lane | None = None


class TakenBack(Report):
    """A task that is published again."""

    project: str
    model: str
    start: datetime
    end: datetime
    lane: str
    state: str  #: in which it was: published or claimed
    executor: str  #: that had claimed it


async def hand_back(
    database: Database, who: str, held: Held, reason: str, *, dry_run: bool = False
) -> Sequence[TakenBack]:
    """Give tasks new numbers and publish them again; what their claims still settle does not count.

    An executor learns within the interval of its renewals that its claim has ended, and cancels the task.

    Returns:
        the tasks; with ``dry_run``, nothing has changed.

    Raises:
        UnknownName: there is no such model or executor.
        Misused: none of these has a task.
    """
    async with database.transaction() as connection:
        models = await ids_of(connection, held.names) if held.names else None
        executor = None if held.executor is None else await find_executor(connection, held.executor)
        rows = await connection.fetch(SQL["select_held"], models, executor, held.lane and held.lane.value)
        if not rows:
            raise Misused("no task of these is in a queue or claimed; latigo tasks list shows which are")
        tasks = [_taken_back(row) for row in rows]
        if not dry_run:
            await connection.fetch(SQL["plan_again"], [row["id"] for row in rows])
            names = [*held.names[:MOST_NAMES]]
            selector = {"names": names, "executor": executor, "lane": held.lane, "reason": reason}
            await record(connection, "tasks_hand_back", who, selector, f"{len(tasks)} tasks published again")
    return tasks


def _taken_back(row: Any) -> TakenBack:
    span = to_window(row["span"])
    names = ("project", "model", "lane", "state", "executor")
    return TakenBack(start=span.start, end=span.end, **{name: row[name] for name in names})
