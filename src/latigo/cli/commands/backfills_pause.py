"""``latigo backfills pause``."""

import typer

from latigo.cli.options import BackfillArgument, ConfigOption, WhyOption, settings_of, with_ledger

EXAMPLES = ("latigo backfills pause 12 --reason 'maintenance of the model server'",)


def run(number: BackfillArgument, reason: WhyOption = "", config: ConfigOption = None) -> None:
    """Pause a request.

    Tasks that an executor works on end by themselves; nothing else of it is done until it is resumed. Exit code 1 when
    it is not active, 2 when there is no such request.
    """
    from latigo.actions.backfill import pause_backfill
    from latigo.wiring.resources import user_at_host

    with_ledger(settings_of(config), lambda database: pause_backfill(database, user_at_host(), number, reason))
    typer.echo(f"Request {number} is paused")
