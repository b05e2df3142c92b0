"""``latigo queue status``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, settings_of, with_ledger
from latigo.cli.tables import age, show_json, show_table

if TYPE_CHECKING:
    from latigo.postgres.database import Database
    from latigo.reports.queue import PartitionReading
    from latigo.reports.snapshot import QueueOutage
    from latigo.settings import Settings

EXAMPLES = ("latigo queue", "latigo queue status --json")


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how far executors are in each partition of the event hub.

    As the scheduler read it last. A queue within the process has no partitions: its tasks are counted. Exit code 3 when
    the hub cannot be reached, or was recreated after its checkpoints.
    """
    from latigo.settings import EventHubQueue

    settings = settings_of(config)
    if not isinstance(settings.task_queue, EventHubQueue):
        _show_internal(settings, as_json=as_json)
        return
    from latigo.reports.queue import read_partitions, read_queue_outages
    from latigo.reports.status import describe_queue_outages

    channel, group = settings.task_queue.address.channel, settings.task_queue.consumer_group

    async def work(database: "Database") -> "tuple[Sequence[PartitionReading], Sequence[QueueOutage]]":
        return await read_partitions(database, channel, group), await read_queue_outages(database)

    partitions, outages = with_ledger(settings, work)
    if as_json:
        show_json(partitions)
    else:
        _show_partitions(partitions)
    troubles = [describe_queue_outages(outages)] if outages else []
    if any(partition.hub_recreated for partition in partitions):
        troubles.append("The hub was recreated: latigo queue reset forgets its checkpoints")
    for trouble in troubles:
        typer.echo(trouble, err=True)
    if troubles:
        raise typer.Exit(Exit.UNHEALTHY)


def _show_partitions(partitions: "Sequence[PartitionReading]") -> None:
    from latigo.runtime.clock import SystemClock

    now = SystemClock().now()
    rows = [{**dict(partition), "read": f"{age(partition.read_at, now)} ago"} for partition in partitions]
    columns = ("partition", "begin", "last", "checkpoint", "lag", "read", "hub_recreated")
    show_table(rows, columns, empty="The scheduler has not read the event hub yet")


def _show_internal(settings: "Settings", *, as_json: bool) -> None:
    from latigo.reports.queue import read_outstanding

    tasks = with_ledger(settings, read_outstanding)
    kind = f'The queue is within the process of latigo serve (task_queue.kind = "{settings.task_queue.kind}")'
    typer.echo(f"{kind}: it has no partitions", err=as_json)
    if as_json:
        show_json([])
    else:
        typer.echo(
            f"Tasks: {tasks.outstanding} outstanding ({tasks.live} live), {tasks.waiting} waiting for another attempt"
        )
