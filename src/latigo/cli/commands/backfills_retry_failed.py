"""``latigo backfills retry-failed``."""

import typer

from latigo.cli.options import BackfillArgument, ConfigOption, JsonOption, WhyOption
from latigo.cli.tables import show_json

EXAMPLES = ("latigo backfills retry-failed 12 --reason 'the model server is repaired'",)
OVER_HTTP = True


def run(
    number: BackfillArgument, reason: WhyOption = "", config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Try again what has failed of a request, and go on with it.

    Exit code 1 when it was cancelled, 2 when there is no such request.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.requests import RETRY_FAILED

    windows = with_service(config, lambda service: service.ask(RETRY_FAILED, id=number, reason=reason)).unparked
    if as_json:
        show_json({"id": number, "windows": windows})
    else:
        typer.echo(f"Request {number} is active; windows that are not parked any more: {windows}")
