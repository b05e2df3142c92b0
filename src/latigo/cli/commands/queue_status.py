"""``latigo queue status``."""

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, settings_of, with_ledger
from latigo.cli.tables import age, show_json, show_table
from latigo.reports.queue import read_partitions
from latigo.runtime.clock import SystemClock
from latigo.wiring.resources import event_hub

EXAMPLES = ("latigo queue", "latigo queue status --json")


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how far executors are in each partition of the event hub.

    As the scheduler read it last. Exit code 3 when the hub was recreated after its checkpoints.
    """
    settings = settings_of(config)
    hub = event_hub(settings)
    partitions = with_ledger(
        settings, lambda database: read_partitions(database, hub.address.channel, hub.consumer_group)
    )
    if as_json:
        show_json(partitions)
    else:
        now = SystemClock().now()
        rows = [{**dict(partition), "read": f"{age(partition.read_at, now)} ago"} for partition in partitions]
        columns = ("partition", "begin", "last", "checkpoint", "lag", "read", "hub_recreated")
        show_table(rows, columns, empty="The scheduler has not read the event hub yet")
    if any(partition.hub_recreated for partition in partitions):
        typer.echo("The hub was recreated: latigo queue reset forgets its checkpoints", err=True)
        raise typer.Exit(Exit.UNHEALTHY)
