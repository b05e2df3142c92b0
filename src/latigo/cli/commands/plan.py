"""``latigo plan``."""

from typing import Annotated

import typer

from latigo.cli.options import (
    MOST_IN_JSON,
    ConfigOption,
    JsonOption,
    LimitOption,
    ModelOption,
    ProjectOption,
    selection,
    time_range,
)
from latigo.cli.tables import show_cut, show_json, show_table
from latigo.reports.choices import WindowOrder, WindowState

EXAMPLES = ("latigo plan --project plant-a", "latigo plan --from -7d --to now --sort slots --json")
OVER_HTTP = True


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    since: Annotated[str | None, typer.Option("--from", help="Begin: ISO 8601, or relative such as -7d.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="End: ISO 8601, relative, or now.")] = None,
    state: Annotated[WindowState | None, typer.Option(help="Only windows in this state.")] = None,
    sort: Annotated[WindowOrder, typer.Option(help="Which come first.")] = "newest",
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would be done now, and what it would cost in calls of the model server.

    Changes nothing. At most 1000 windows are shown, with --json 100 000, where total is how many there are. Exit code 2
    when there is no such project or model.
    """
    from latigo.cli.asking import with_service
    from latigo.reports.plan import MOST_WINDOWS
    from latigo.runtime.clock import SystemClock
    from latigo.web.api.queue import PLAN

    start, end = time_range(since, until, SystemClock().now())
    selected = selection(project, model)
    most = limit if limit is not None else MOST_IN_JSON if as_json else MOST_WINDOWS
    wanted = {
        "project": selected.project,
        "model": selected.model,
        "since": start and start.isoformat(),
        "until": end and end.isoformat(),
        "state": state,
        "order": sort,
    }
    plan = with_service(config, lambda service: service.list(PLAN, most, **wanted))
    total = plan.total or 0
    if as_json:
        show_json({"windows": plan.items, "projects": plan.projects, "total": total})
    else:
        columns = ("project", "model", "start", "end", "slots", "calls", "live", "held", "repair", "requested")
        empty = "Nothing like that is missing" if state or start or end else "Nothing is missing"
        show_table(plan.items, columns, empty=empty, if_any=("held", "repair", "requested"))
        if plan.projects:
            show_table(plan.projects, ("project", "models", "slots", "calls"), title="In all")
    show_cut(len(plan.items), total)
