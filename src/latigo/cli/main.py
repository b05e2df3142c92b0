"""``latigo``: all commands under one name."""

import sys
from typing import Annotated

import typer

from latigo import __version__
from latigo.cli import asking, demo, models, predict, queue, service
from latigo.cli.context import fail
from latigo.domain.errors import LatigoError

cli = typer.Typer(
    name="latigo",
    help="Continuous prediction for Gordo: every model has a prediction for every moment that matters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@cli.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Continuous prediction for Gordo."""


for group in (service, demo, asking, queue, models, predict):
    group.add_to(cli)


def run() -> None:
    """The entry of the ``latigo`` program."""
    try:
        cli()
    except LatigoError as error:
        sys.exit(fail(error))
