"""Predict the newest slot of one model now."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from latigo.actions.record import SQL, lock_planner, record
from latigo.domain.errors import LatigoError
from latigo.domain.model import ModelRef
from latigo.domain.windows import Window
from latigo.ledger.shared import REPAIR_AFTER, let_wait, withdraw_tasks
from latigo.postgres.database import Database
from latigo.postgres.ranges import to_window


class RunningNow(NamedTuple):
    """A task for the newest slot of a model."""

    task: int
    window: Window
    claimed_by: str  #: an executor that was at it already; empty: it was planned by this
    waits: bool  #: until another task of the model has ended


async def run_now(database: Database, who: str, model: ModelRef, reason: str) -> RunningNow:
    """Plan the newest due slot of a model in lane live, before everything that is not planned yet.

    Also if it is covered or parked: it is predicted again and overwritten. Live tasks of the model, and those with this
    slot, make room if no executor has begun; what they were for is planned again later, or waits for the lane with
    what is known of it. One that has begun with this slot is left to end.

    Raises:
        LatigoError: the model is not predicted now, or has no due slot.
    """
    async with database.transaction() as connection:
        await lock_planner(connection)
        await connection.fetch(SQL["lock_selected"], *model)
        row = await connection.fetchrow(SQL["newest_slot"], *model)
        _check(model, row)
        window = Window(row["low"], row["high"])
        tasks = await connection.fetch(SQL["tasks_of_model"], row["id"])
        running = await _make_room(connection, tasks, window)
        if running is None:
            running = await _plan(connection, row, window, _starts(tasks, window))
        selector = {"project": model.project, "model": model.name, "reason": reason}
        result = f"{window}" + (f", which {running.claimed_by} was at already" if running.claimed_by else "")
        await record(connection, "models_run_now", who, selector, result)
    return running


async def _plan(connection: Any, row: Any, window: Window, starts: int) -> RunningNow:
    await connection.execute(SQL["unpark_window"], row["id"], window.start, window.end)
    await connection.execute(SQL["delete_unparked"], row["id"])
    left = await connection.fetch(SQL["tasks_of_model"], row["id"])
    waits = any(task["lane"] == "live" and task["state"] != "waiting" for task in left)
    state = "waiting" if waits else "planned"
    times = (window.start, window.end)
    planned = await connection.fetchrow(SQL["plan_by_hand"], row["id"], row["epoch"], *times, state, starts)
    return RunningNow(planned["id"], window, "", waits)


def _starts(tasks: Sequence[Any], window: Window) -> int:
    """Return how often a task with the window was started and never settled."""
    return max((task["starts"] for task in tasks if to_window(task["span"]).intersect(window) is not None), default=0)


async def _make_room(connection: Any, tasks: Sequence[Any], window: Window) -> RunningNow | None:
    """Withdraw what overlaps or has the lane, and has not begun; return what has begun with this window.

    What has starts, attempts or sinks to remember waits, without this window: planned anew, it would have none.
    """
    withdrawn: list[int] = []
    shortened: list[int] = []
    waiting: list[int] = []
    for task in tasks:
        span = to_window(task["span"])
        overlaps = span.intersect(window) is not None
        if task["state"] == "claimed" and overlaps:
            return RunningNow(task["id"], span, task["executor"], waits=False)
        if overlaps:
            (shortened if task["is_kept"] and span.start < window.start else withdrawn).append(task["id"])
        elif task["lane"] == "live" and task["state"] not in {"waiting", "claimed"}:
            (waiting if task["is_kept"] else withdrawn).append(task["id"])
    await withdraw_tasks(connection, withdrawn)
    if shortened:
        await connection.execute(SQL["shorten_tasks"], shortened, window.start, REPAIR_AFTER)
    await let_wait(connection, waiting)
    return None


def _check(model: ModelRef, row: Any) -> None:
    if row["state"] == "paused":
        raise LatigoError(f"{model} is paused; latigo resume {model} resumes it")
    if row["state"] != "active":
        raise LatigoError(
            f"{model} is {row['state']}, and only active models are predicted; see latigo models show {model}"
        )
    if row["low"] < row["since"]:
        raise LatigoError(f"{model} has no due slot yet")
