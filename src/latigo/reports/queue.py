"""The task queue: its tasks, and the partitions of an event hub as the scheduler read them last."""

from collections.abc import Sequence
from datetime import datetime

from latigo.postgres.database import Database
from latigo.reports.base import Report
from latigo.reports.snapshot import SQL, OutstandingTasks, QueueOutage


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


async def read_outstanding(database: Database) -> OutstandingTasks:
    """Return the tasks that are planned and not settled, whatever queue they are in."""
    async with database.connection() as connection:
        return OutstandingTasks(**await connection.fetchrow(SQL["outstanding"]))
