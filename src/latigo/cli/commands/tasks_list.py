"""``latigo tasks list``."""

from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.options import (
    MOST_IN_JSON,
    ConfigOption,
    ExecutorOption,
    JsonOption,
    LimitOption,
    ModelOption,
    ProjectOption,
    selection,
)
from latigo.cli.tables import age, show_cut, show_json_list, show_table
from latigo.reports.choices import TaskState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latigo.reports.tasks import OutstandingTask

EXAMPLES = ("latigo tasks", "latigo tasks list --state claimed", "latigo tasks list --model plant-a/pump-001 --json")
OVER_HTTP = True


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    state: Annotated[TaskState | None, typer.Option(help="Only tasks in this state.")] = None,
    executor: ExecutorOption = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List tasks that are planned and not settled, the oldest first.

    A planned task waits for its place in the queue, a published one is in it, a claimed one has an executor, and a
    waiting one has failed and is tried again, or goes on after a pause. At most 1000 are shown, with --json 100 000.
    Exit code 2 when there is no such project or model.
    """
    from latigo.cli.asking import listing, with_service
    from latigo.reports.tasks import MOST_TASKS
    from latigo.web.api.queue import TASKS

    selected = selection(project, model)
    most = limit if limit is not None else MOST_IN_JSON if as_json else MOST_TASKS
    wanted = {"project": selected.project, "model": selected.model, "state": state, "executor": executor}
    tasks = listing(with_service(config, lambda service: service.list(TASKS, most, **wanted)))
    if as_json:
        show_json_list(tasks, tasks.total, limit)
    else:
        _show(tasks)
    show_cut(len(tasks), tasks.total)


def _show(tasks: "Sequence[OutstandingTask]") -> None:
    from latigo.cli.tables import last_line
    from latigo.runtime.clock import SystemClock

    now = SystemClock().now()
    rows = [
        {
            **dict(task),
            "from": task.start,
            "to": task.end,
            "since": age(task.claimed_at or task.planned_at, now),
            "detail": last_line(task.detail) if task.state == "waiting" else "",
        }
        for task in tasks
    ]
    columns = ("project", "model", "from", "to", "lane", "state", "since", "attempts", "next_attempt", "executor")
    shown = ("attempts", "next_attempt", "executor")
    show_table(rows, columns, empty="No task is planned", if_any=shown, below="detail")
