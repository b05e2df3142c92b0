"""``latigo models accept-loss``."""

from typing import Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption

EXAMPLES = ("latigo models accept-loss plant-a", "latigo models accept-loss")
OVER_HTTP = True


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
    from latigo.cli.asking import with_service
    from latigo.web.api.controls import ACCEPT_LOSS

    what = "list of projects" if project is None else f"model list of {project}"
    if not with_service(config, lambda service: service.ask(ACCEPT_LOSS, project=project)).accepted:
        typer.echo(f"The {what} is not quarantined")
        raise typer.Exit(Exit.UNHEALTHY)
    typer.echo(f"The next {what} is accepted")
