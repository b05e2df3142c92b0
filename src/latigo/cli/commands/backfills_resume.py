"""``latigo backfills resume``."""

import typer

from latigo.cli.options import BackfillArgument, ConfigOption, WhyOption, settings_of, with_ledger

EXAMPLES = ("latigo backfills resume 12 --reason 'maintenance of the model server'",)


def run(number: BackfillArgument, reason: WhyOption = "", config: ConfigOption = None) -> None:
    """Go on with a paused request.

    Failed windows are counted anew for --stop-after. Exit code 1 when it is not paused, 2 when there is no such
    request.
    """
    from latigo.actions.backfill import resume_backfill
    from latigo.wiring.resources import user_at_host

    with_ledger(settings_of(config), lambda database: resume_backfill(database, user_at_host(), number, reason))
    typer.echo(f"Request {number} is active")
