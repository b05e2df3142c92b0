"""``latigo models show``."""

from typing import TYPE_CHECKING

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, ModelArgument, model_ref, settings_of
from latigo.cli.tables import show_json, show_pairs, show_table
from latigo.domain.errors import Unavailable

if TYPE_CHECKING:
    from latigo.providers.gordo import Gordo
    from latigo.reports.models import ModelDetails
    from latigo.reports.names import KnownNames

EXAMPLES = ("latigo models show plant-a/pump-001",)


def run(model: ModelArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one model: what its server reports, and what the ledger knows.

    While the server cannot be asked, what the ledger knows. Exit code 3 when the server does not have it or could not
    be asked, or the model cannot be predicted; 2 when neither knows it.
    """
    from latigo.reports.models import read_model_details, within_limit
    from latigo.reports.names import not_on_server, read_names, require_project
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.resources import open_models

    ref, settings = model_ref(model), settings_of(config)

    async def require_known(server: "Gordo", known: "KnownNames") -> None:
        await require_project(server.catalogue, ref.project, known)
        if not await server.catalogue.model_exists(ref):
            raise await not_on_server(server.catalogue, ref, known)

    async def work() -> "ModelDetails":
        async with open_models(settings) as (database, server):
            known = await read_names(database, settings.models.projects)
            if ref not in known.models:
                try:
                    await within_limit(require_known(server, known))
                except Unavailable:
                    known.require(*ref)
            return await read_model_details(database, server.execution, ref)

    details = run_async(work)
    if as_json:
        show_json(details)
    else:
        _show(details)
    if not details.exists or details.problem:
        raise typer.Exit(Exit.UNHEALTHY)


def _show(details: "ModelDetails") -> None:
    of_server = details.model_dump(include={"model", "exists", "registered", "revision", "problem"})
    if details.not_asked:
        of_server["exists"] = f"unknown, the model server cannot be asked: {details.not_asked}"
    show_pairs({**of_server, "tags": ", ".join(details.tags)})
    if details.ledger:
        typer.echo("\nIn the ledger")
        show_pairs(details.ledger.model_dump(exclude={"project", "model"}))
    if details.failures:
        from latigo.cli.failure_details import detail_of

        rows = [{**dict(failure), "detail": detail_of(failure)} for failure in details.failures]
        show_table(rows, ("state", "reason", "since"), title="Failures", below="detail")
    if len(details.failures) < details.failure_count:
        command = f"latigo failures --model {details.model} --limit 0"
        typer.echo(
            f"Showing {len(details.failures)} of {details.failure_count} failures; {command} shows all", err=True
        )
