"""``latigo models list``."""

from typing import Annotated

import typer

from latigo.cli.options import (
    MOST_IN_JSON,
    ConfigOption,
    JsonOption,
    LimitOption,
    ProjectOption,
)
from latigo.cli.tables import show_cut, show_json_list, show_table
from latigo.reports.choices import ModelOrder, ModelState

EXAMPLES = ("latigo models list --project plant-a", "latigo models list --state silent --sort behind --json")
OVER_HTTP = True


def run(
    config: ConfigOption = None,
    project: ProjectOption = None,
    state: Annotated[ModelState | None, typer.Option(help="Only models in this state.")] = None,
    sort: Annotated[ModelOrder, typer.Option(help="behind: least covered first; silent: longest first.")] = "name",
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the models that the ledger knows, with their state and coverage.

    A model that its server does not list any more is missing for a day, then retired; it goes on where it was when
    it is listed again. Those that a server expects and has not built are listed with --state expected only.

    All of them, unless there are more than 100 000. Exit code 2 when there is no such project.
    """
    from latigo.cli.asking import listing, with_service
    from latigo.web.api.models import MODELS

    most = MOST_IN_JSON if limit is None else limit
    projects = () if project is None else (project,)
    models = listing(
        with_service(config, lambda service: service.list(MODELS, most, project=projects, state=state, order=sort))
    )
    if as_json:
        show_json_list(models, models.total, limit)
    else:
        optional = ("silent_since", "parked", "not_finite_share", "missing_since")
        usual = ("project", "model", "revision", "state", "slot", "covered_until", *optional)
        columns = ("project", "model", "state", "since") if state == "expected" else usual
        empty = "No models are known yet; latigo status shows whether a scheduler is running"
        show_table(models, columns, empty=f"No model is {state}" if state else empty, if_any=optional)
    show_cut(len(models), models.total)
