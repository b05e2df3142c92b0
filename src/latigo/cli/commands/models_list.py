"""``latigo models list``."""

from latigo.cli.options import ConfigOption, JsonOption, ProjectOption, settings_of, with_ledger
from latigo.cli.tables import show_json, show_table
from latigo.reports.models import read_models

EXAMPLES = ("latigo models list --project plant-a", "latigo models list --json")


def run(config: ConfigOption = None, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """List the models that the ledger knows, with their state and coverage."""
    models = with_ledger(settings_of(config), lambda database: read_models(database, project))
    if as_json:
        show_json(models)
        return
    optional = ("silent_since", "parked", "not_finite_share")
    columns = ("project", "model", "revision", "state", "slot", "covered_until", *optional)
    empty = "No models are known yet; latigo status shows whether a scheduler is running"
    show_table(models, columns, empty=empty, if_any=optional)
