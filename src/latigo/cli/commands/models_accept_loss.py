"""``latigo models accept-loss``."""

from typing import Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, Selected, settings_of, with_ledger

EXAMPLES = ("latigo models accept-loss plant-a", "latigo models accept-loss")


def run(
    project: Annotated[
        str | None,
        typer.Argument(help="A project whose model list is quarantined; by default the list of projects itself."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Accept a list that has lost many models at once.

    Such a list is quarantined until it has stood for an hour: the model list of a project, or the list of projects by
    models.discover. Exit code 3 when there is none, 2 when there is no such project.
    """
    from latigo.actions.accept_loss import accept_discovery_loss, accept_loss
    from latigo.wiring.resources import user_at_host

    what, who = "list of projects" if project is None else f"model list of {project}", user_at_host()
    accepted = with_ledger(
        settings_of(config),
        lambda ledger: accept_discovery_loss(ledger, who) if project is None else accept_loss(ledger, who, project),
        Selected(project),
    )
    if not accepted:
        typer.echo(f"The {what} is not quarantined")
        raise typer.Exit(Exit.UNHEALTHY)
    typer.echo(f"The next {what} is accepted")
