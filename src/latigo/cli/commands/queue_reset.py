"""``latigo queue reset``."""

from typing import Annotated

import typer

from latigo.actions.reset_queue import reset_queue
from latigo.cli.options import ConfigOption, JsonOption, settings_of, with_ledger
from latigo.cli.tables import show_json
from latigo.wiring.resources import event_hub, user_at_host

EXAMPLES = ("latigo queue reset --yes",)


def run(
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget all checkpoints of an event hub that was deleted and created again.

    Its events are numbered from the start, so executors read it from its beginning. Nothing is lost and nothing is done
    twice: what the old hub held is planned again, and tasks that are done already are skipped.
    """
    settings = settings_of(config)
    hub = event_hub(settings)
    if not yes:
        typer.confirm("Forget how far executors are, and read the hub from its beginning?", abort=True)
    count = with_ledger(
        settings, lambda database: reset_queue(database, user_at_host(), hub.address.channel, hub.consumer_group)
    )
    if as_json:
        show_json({"forgotten": count})
    else:
        typer.echo(f"Forgot {count} checkpoints; latigo queue status shows how far executors are")
