"""``latigo models accept-loss``."""

from typing import Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, Selected, settings_of, with_ledger

EXAMPLES = ("latigo models accept-loss plant-a",)


def run(
    project: Annotated[str, typer.Argument(help="A project whose model list is quarantined.")],
    config: ConfigOption = None,
) -> None:
    """Accept a model list that has lost many models at once.

    Such a list is quarantined until it has stood for an hour. Exit code 3 when the project has none, 2 when there is no
    such project.
    """
    from latigo.actions.accept_loss import accept_loss
    from latigo.wiring.resources import user_at_host

    accepted = with_ledger(
        settings_of(config), lambda database: accept_loss(database, user_at_host(), project), Selected(project)
    )
    if not accepted:
        typer.echo(f"The model list of {project} is not quarantined")
        raise typer.Exit(Exit.UNHEALTHY)
    typer.echo(f"The next model list of {project} is accepted")
