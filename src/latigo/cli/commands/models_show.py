"""``latigo models show``."""

import typer

from latigo.cli.exits import Exit
from latigo.cli.failure_details import detail_of
from latigo.cli.options import ConfigOption, JsonOption, ModelArgument, model_ref, settings_of
from latigo.cli.tables import show_json, show_pairs, show_table
from latigo.reports.models import ModelDetails, read_model_details
from latigo.runtime.event_loop import run_async
from latigo.wiring.resources import open_resources

EXAMPLES = ("latigo models show plant-a/pump-001",)


def run(model: ModelArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one model: what its server reports, and what the ledger knows.

    Exit code 3 when the server does not have it or it cannot be predicted.
    """
    ref, settings = model_ref(model), settings_of(config)

    async def work() -> ModelDetails:
        async with open_resources(settings) as resources:
            return await read_model_details(resources.database, resources.models, ref)

    details = run_async(work)
    if as_json:
        show_json(details)
    else:
        _show(details)
    if not details.exists or details.problem:
        raise typer.Exit(Exit.UNHEALTHY)


def _show(details: ModelDetails) -> None:
    of_server = details.model_dump(include={"model", "exists", "registered", "revision", "problem"})
    show_pairs({**of_server, "tags": ", ".join(details.tags)}, width=16)
    if details.ledger:
        typer.echo("\nIn the ledger")
        show_pairs(details.ledger.model_dump(exclude={"project", "model"}), width=16)
    if details.failures:
        rows = [{**dict(failure), "detail": detail_of(failure)} for failure in details.failures]
        show_table(rows, ("state", "reason", "since"), title="Failures", below="detail")
