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
    """Show how far executors are with the tasks in the queue.

    Of an event hub: each partition, as the scheduler read it last. Otherwise: how many tasks there are, and which of
    them the executors of other processes have taken from the ledger's database. Exit code 3 when the hub cannot be
    reached, or was recreated after its checkpoints.
    """
    from latigo.settings import EventHubQueue

    settings = settings_of(config)
    queue = settings.task_queue
    if not isinstance(queue, EventHubQueue):
        _show_ledger_queue(settings, as_json=as_json)
        return
    from latigo.reports.queue import read_partitions, read_queue_outages
    from latigo.reports.status import describe_queue_outages

    channel, group = queue.address.channel, queue.consumer_group

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


def _show_ledger_queue(settings: "Settings", *, as_json: bool) -> None:
    from latigo.reports.queue import read_ledger_queue
    from latigo.runtime.clock import SystemClock

    queue = with_ledger(settings, read_ledger_queue)
    if as_json:
        show_json(queue)
        return
    tasks, now = queue.tasks, SystemClock().now()
    oldest = f", the oldest for {age(queue.oldest, now)}" if queue.oldest else ""
    typer.echo(
        f"Tasks: {tasks.outstanding} outstanding ({tasks.live} live), {tasks.waiting} waiting for another attempt\n"
        f"In the ledger's database, not taken yet: {queue.queued}{oldest}"
    )
    rows = [{**dict(receiver), "seen": f"{age(receiver.seen_at, now)} ago"} for receiver in queue.receivers]
    show_table(rows, ("receiver", "seen", "taken"), empty="No executor of another process takes tasks from there")
