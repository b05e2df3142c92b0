"""``latigo retry``."""

from typing import Annotated

import typer

from latigo.actions.retry import retry
from latigo.cli.options import ConfigOption, JsonOption, ModelOption, ProjectOption, settings_of, with_ledger
from latigo.cli.tables import show_json, show_table
from latigo.domain.errors import Reason
from latigo.wiring.resources import user_at_host

EXAMPLES = ("latigo retry --project plant-a --reason unknown_sensor", "latigo retry --all")


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    model: ModelOption = None,
    reason: Annotated[Reason | None, typer.Option(help="Only what was parked for this.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All projects and models.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Try again what is parked or waits for another attempt.

    Name a project, a model or a reason, or use --all. The request is recorded with who and when.
    """
    if not (project or model or reason or everything):
        raise typer.BadParameter("Name --project, --model or --reason, or use --all")
    unparked = with_ledger(
        settings_of(config), lambda database: retry(database, user_at_host(), project, model, reason)
    )
    if as_json:
        show_json(unparked)
    else:
        columns = ("project", "model", "reason")
        show_table(unparked, columns, title="No longer parked", empty="Nothing was parked")
