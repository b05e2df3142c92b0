"""``latigo backfills pause``."""

import typer

from latigo.cli.options import BackfillArgument, ConfigOption, WhyOption

EXAMPLES = ("latigo backfills pause 12 --reason 'maintenance of the model server'",)
OVER_HTTP = True


def run(number: BackfillArgument, reason: WhyOption = "", config: ConfigOption = None) -> None:
    """Pause a request.

    Tasks that an executor works on end by themselves; nothing else of it is done until it is resumed. Exit code 1 when
    it is not active, 2 when there is no such request.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.requests import PAUSE

    with_service(config, lambda service: service.ask(PAUSE, id=number, reason=reason))
    typer.echo(f"Request {number} is paused")
