"""``latigo failures``."""

from typing import Annotated

import typer

from latigo.cli.failure_details import detail_of
from latigo.cli.options import ConfigOption, JsonOption, ModelOption, ProjectOption, settings_of, with_ledger
from latigo.cli.tables import show_json, show_table
from latigo.reports.failures import CAUSES, read_failures

EXAMPLES = ("latigo failures --project plant-a", "latigo failures --reason crashed --json")


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    reason: Annotated[str | None, typer.Option(help="Only this cause, such as crashed or unreadable.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List what has failed, with its cause.

    That is what is parked, what waits for another attempt, and messages of the queue that are no task.
    """
    if reason is not None and reason not in CAUSES:
        raise typer.BadParameter(f"There is no cause {reason}; known: {', '.join(CAUSES)}", param_hint="--reason")
    failures = with_ledger(settings_of(config), lambda database: read_failures(database, project, model, reason))
    if as_json:
        show_json(failures)
        return
    rows = [{**dict(failure), "detail": detail_of(failure)} for failure in failures]
    columns = ("project", "model", "state", "reason", "since")
    show_table(rows, columns, empty="Nothing has failed", below="detail")
