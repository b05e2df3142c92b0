"""``latigo queue reset``."""

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

EXAMPLES = ("latigo queue reset --yes",)


def run(
    config: ConfigOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Forget all checkpoints of an event hub that was deleted and created again.

    Its events are numbered from the start, so executors read it from its beginning. Nothing is lost and nothing is done
    twice: what the old hub held is planned again, and tasks that are done already are skipped.
    """
    from latigo.actions.reset_queue import reset_queue
    from latigo.wiring.resources import event_hub, user_at_host

    settings = settings_of(config)
    hub = event_hub(settings)
    require_terminal("latigo queue reset", yes=yes)
    if not yes:
        confirm("Forget how far executors are, and read the hub from its beginning?")
    count = with_ledger(
        settings, lambda database: reset_queue(database, user_at_host(), hub.address.channel, hub.consumer_group)
    )
    if as_json:
        show_json({"forgotten": count})
    else:
        typer.echo(f"Forgot {count} checkpoints; latigo queue status shows how far executors are")
