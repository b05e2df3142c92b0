"""``latigo backfills retry-failed``."""

import typer

from latigo.cli.options import BackfillArgument, ConfigOption, JsonOption, WhyOption, settings_of, with_ledger
from latigo.cli.tables import show_json

EXAMPLES = ("latigo backfills retry-failed 12 --reason 'the model server is repaired'",)


def run(
    number: BackfillArgument, reason: WhyOption = "", config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Try again what has failed of a request, and go on with it.

    Exit code 1 when it was cancelled, 2 when there is no such request.
    """
    from latigo.actions.backfill import retry_failed
    from latigo.wiring.resources import user_at_host

    windows = with_ledger(settings_of(config), lambda database: retry_failed(database, user_at_host(), number, reason))
    if as_json:
        show_json({"id": number, "windows": windows})
    else:
        typer.echo(f"Request {number} is active; windows that are not parked any more: {windows}")
