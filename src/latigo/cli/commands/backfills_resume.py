"""``latigo backfills resume``."""

import typer

from latigo.cli.options import BackfillArgument, ConfigOption, WhyOption

EXAMPLES = ("latigo backfills resume 12 --reason 'maintenance of the model server'",)
OVER_HTTP = True


def run(number: BackfillArgument, reason: WhyOption = "", config: ConfigOption = None) -> None:
    """Go on with a paused request.

    Failed windows are counted anew for --stop-after. Exit code 1 when it is not paused, 2 when there is no such
    request.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.requests import RESUME

    with_service(config, lambda service: service.ask(RESUME, id=number, reason=reason))
    typer.echo(f"Request {number} is active")
