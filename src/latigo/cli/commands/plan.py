"""``latigo plan``."""

from typing import Annotated

import typer

from latigo.cli.options import (
    ConfigOption,
    JsonOption,
    ModelOption,
    ProjectOption,
    settings_of,
    time_range,
    with_ledger,
)
from latigo.cli.tables import show_json, show_table
from latigo.reports.plan import read_plan
from latigo.runtime.clock import SystemClock

EXAMPLES = ("latigo plan --project plant-a", "latigo plan --from -7d --to now --json")


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    since: Annotated[str | None, typer.Option("--from", help="Begin: ISO 8601, or relative such as -7d.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="End: ISO 8601, relative, or now.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would be done now, and what it would cost in calls of the model server.

    Changes nothing.
    """
    start, end = time_range(since, until, SystemClock().now())
    plan = with_ledger(settings_of(config), lambda database: read_plan(database, project, model, start, end))
    if as_json:
        show_json(plan)
        return
    columns = ("project", "model", "start", "end", "slots", "calls", "live", "held")
    show_table(plan.windows, columns, empty="Nothing is missing", if_any=("held",))
    if plan.projects:
        show_table(plan.projects, ("project", "models", "slots", "calls"), title="In all")
