"""``latigo backfills cancel``."""

import typer

from latigo.cli.options import BackfillArgument, ConfigOption, WhyOption

EXAMPLES = ("latigo backfills cancel 12 --reason 'maintenance of the model server'",)
OVER_HTTP = True


def run(number: BackfillArgument, reason: WhyOption = "", config: ConfigOption = None) -> None:
    """End a request for good.

    What it has predicted stays. Exit code 1 when it has ended, 2 when there is no such request.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.requests import CANCEL

    with_service(config, lambda service: service.ask(CANCEL, id=number, reason=reason))
    typer.echo(f"Request {number} is cancelled")
