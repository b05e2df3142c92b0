"""The task queue: its tasks, and the partitions of an event hub as the scheduler read them last."""

from collections.abc import Sequence
from datetime import datetime

from latigo.postgres.database import Database
from latigo.reports.base import Report
from latigo.reports.snapshot import SQL
from latigo.reports.status_parts import OutstandingTasks, QueueOutage


class PartitionReading(Report):
    """One partition: its events, and the checkpoint of the executors."""

    partition: str
    begin: int  #: the oldest event
    last: int  #: the newest; -1 when nothing was ever in it
    checkpoint: int | None  #: everything up to this event is done; None: nothing is yet
    lag: int
    read_at: datetime
    hub_recreated: bool  #: the hub was recreated after these checkpoints


async def read_partitions(database: Database, channel: str, group: str) -> Sequence[PartitionReading]:
    """Return all partitions; none before a scheduler has read them."""
    from latigo.task_queue.eventhub.lag import read_lag  # noqa: PLC0415 - an extra

    return [
        PartitionReading(
            partition=row.partition,
            begin=row.begin,
            last=row.last,
            checkpoint=row.checkpoint,
            lag=row.lag,
            read_at=row.read_at,
            hub_recreated=row.hub_recreated,
        )
        for row in await read_lag(database.pool, channel, group)
    ]


async def read_queue_outages(database: Database) -> Sequence[QueueOutage]:
    """Return the processes that cannot reach the task queue now, by role."""
    return [QueueOutage(**row) for row in await database.fetch(SQL["queue_outages"])]


class Receiver(Report):
    """An executor that takes tasks out of the ledger's database."""

    receiver: str
    seen_at: datetime
    taken: int  #: tasks that it works on, or will soon


class LedgerQueue(Report):
    """The queue in the ledger's database."""

    tasks: OutstandingTasks  #: whatever queue they are in
    queued: int  #: that no executor has taken
    oldest: datetime | None  #: when the first of them was sent
    receivers: Sequence[Receiver]


async def read_ledger_queue(database: Database) -> LedgerQueue:
    """Return what is in the queue, and who takes it."""
    async with database.snapshot() as connection:
        rows = await connection.fetch(SQL["receivers"])
        queued = await connection.fetchrow(SQL["queued"])
        tasks = OutstandingTasks(**await connection.fetchrow(SQL["outstanding"]))
    return LedgerQueue(tasks=tasks, **queued, receivers=[Receiver(**row) for row in rows])
