"""``latigo queue status``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption
from latigo.cli.tables import age, show_json, show_table

if TYPE_CHECKING:
    from latigo.reports.queue import LedgerQueue, PartitionReading

EXAMPLES = ("latigo queue", "latigo queue status --json")
OVER_HTTP = True


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show how far executors are with the tasks in the queue.

    Of an event hub: each partition, as the scheduler read it last. Otherwise: how many tasks there are, and which of
    them the executors of other processes have taken from the ledger's database. Exit code 3 when the hub cannot be
    reached, or was recreated after its checkpoints.
    """
    from latigo.cli.asking import with_service
    from latigo.reports.status import describe_queue_outages
    from latigo.web.api.queue import QUEUE

    queue = with_service(config, lambda service: service.ask(QUEUE))
    if queue.ledger is not None:
        show_json(queue.ledger) if as_json else _show_ledger_queue(queue.ledger)
        return
    partitions, outages = queue.partitions, queue.outages
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


def _show_ledger_queue(queue: "LedgerQueue") -> None:
    from latigo.runtime.clock import SystemClock

    tasks, now = queue.tasks, SystemClock().now()
    oldest = f", the oldest for {age(queue.oldest, now)}" if queue.oldest else ""
    typer.echo(
        f"Tasks: {tasks.outstanding} outstanding ({tasks.live} live), {tasks.waiting} waiting for another attempt\n"
        f"In the ledger's database, not taken yet: {queue.queued}{oldest}"
    )
    rows = [{**dict(receiver), "seen": f"{age(receiver.seen_at, now)} ago"} for receiver in queue.receivers]
    show_table(rows, ("receiver", "seen", "taken"), empty="No executor of another process takes tasks from there")
