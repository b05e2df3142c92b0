"""``latigo ledger restored``."""

import typer

from latigo.cli.options import (
    ConfigOption,
    JsonOption,
    YesOption,
    confirm,
    require_terminal,
    settings_of,
    with_ledger,
)
from latigo.cli.tables import show_json

EXAMPLES = ("latigo ledger restored", "latigo ledger restored --yes --json")
OVER_HTTP = "it needs the ledger's database itself, while no service runs"


def run(
    config: ConfigOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start a new incarnation of a ledger that was restored from a backup.

    Run it once after every restore, and after a failover to a standby that had not received everything. Schedulers and
    executors may be running.

    A restored ledger does not know the tasks that were planned after the backup, and hands out their numbers again,
    while the task queue still has their messages. In the new incarnation executors skip those messages, and all
    outstanding tasks are planned again under new numbers. Nothing is lost: what was predicted after the backup is a
    gap again, and is predicted again.

    On a ledger that was not restored, only the work that is under way is repeated.
    """
    from latigo.actions.mark_restored import mark_restored
    from latigo.wiring.ledger import user_at_host

    settings = settings_of(config)
    require_terminal("latigo ledger restored", yes=yes)
    if not yes:
        confirm("Start a new incarnation of the ledger, and plan its outstanding tasks again?")
    restored = with_ledger(settings, lambda database: mark_restored(database, user_at_host()))
    if as_json:
        show_json(restored)
    else:
        typer.echo(
            f"The ledger is in incarnation {restored.incarnation}; {restored.replanned} outstanding tasks are planned "
            "again; latigo status shows how it recovers"
        )
