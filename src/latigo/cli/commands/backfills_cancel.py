"""``latigo backfills cancel``."""

import typer

from latigo.cli.options import BackfillArgument, ConfigOption, WhyOption, settings_of, with_ledger

EXAMPLES = ("latigo backfills cancel 12 --reason 'maintenance of the model server'",)


def run(number: BackfillArgument, reason: WhyOption = "", config: ConfigOption = None) -> None:
    """End a request for good.

    What it has predicted stays. Exit code 1 when it has ended, 2 when there is no such request.
    """
    from latigo.actions.backfill import cancel_backfill
    from latigo.wiring.resources import user_at_host

    with_ledger(settings_of(config), lambda database: cancel_backfill(database, user_at_host(), number, reason))
    typer.echo(f"Request {number} is cancelled")
