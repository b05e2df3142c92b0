"""``latigo models show``."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, ModelArgument, model_ref
from latigo.cli.tables import show_json, show_pairs, show_table

if TYPE_CHECKING:
    from latigo.reports.models import ModelDetails

EXAMPLES = ("latigo models show plant-a/pump-001",)
OVER_HTTP = True


def run(model: ModelArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one model: what its server reports, and what the ledger knows.

    While the server cannot be asked, what the ledger knows. Exit code 3 when the server does not have it or could not
    be asked, or the model cannot be predicted; 2 when neither knows it.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.models import MODEL_ON_SERVER

    ref = model_ref(model)
    details = with_service(config, lambda service: service.ask(MODEL_ON_SERVER, project=ref.project, model=ref.name))
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
        known = asdict(details.ledger)
        show_pairs({name: known[name] for name in known if name not in {"project", "model"}})
    if details.failures:
        from latigo.cli.failure_details import detail_of

        rows = [{**dict(failure), "detail": detail_of(failure)} for failure in details.failures]
        show_table(rows, ("state", "reason", "since"), title="Failures", below="detail")
    if len(details.failures) < details.failure_count:
        command = f"latigo failures --model {details.model} --limit 0"
        typer.echo(
            f"Showing {len(details.failures)} of {details.failure_count} failures; {command} shows all", err=True
        )
