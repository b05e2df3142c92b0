"""Lag of the executors: how far they are behind the hub, which messages it can still hold, whether it was recreated.

The scheduler's side: `Monitor` reads the partitions of the hub and writes them next to the checkpoints, so that status,
metrics, scaling and the ledger's search for lost tasks need the database only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from latigo.domain.errors import Unavailable
from latigo.postgres.database import Pool
from latigo.runtime.log import get_logger
from latigo.task_queue.eventhub.connection import AnyClient, Hub
from latigo.task_queue.eventhub.offsets import Position
from latigo.task_queue.eventhub.partitions import Partition
from latigo.task_queue.eventhub.store import SQL, QueueStore, Refused

_log = get_logger(__name__)

#: Rounds of the monitor between two deletions of old refused messages.
_ROUNDS_TO_PRUNE = 100


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """Lag of one partition, as the scheduler read it last.

    Args:
        partition: its name.
        begin: the oldest event in it.
        last: the newest; -1 when nothing was ever in it.
        checkpoint: everything up to this event is finished; None: nothing is yet.
        lag: unfinished events, those in progress included.
        read_at: when begin and last were read.
        drained_to: a task that was published to it before this time is finished or lost; None: not known yet.
        hub_recreated: the checkpoint is ahead of the end, so the hub is another one; nothing is received from it before
            its checkpoints are reset.
    """

    partition: str
    begin: int
    last: int
    checkpoint: int | None
    lag: int
    read_at: datetime
    drained_to: datetime | None
    hub_recreated: bool


class Mark(NamedTuple):
    """Everything that was in the partition at ``at`` has a sequence number up to ``sequence``."""

    sequence: int
    at: datetime


def next_mark(
    mark: Mark | None, drained_to: datetime | None, partition: Partition, checkpoint: int | None, at: datetime
) -> tuple[Mark | None, datetime | None]:
    """Return the mark to keep, and the time up to which the partition is drained.

    Args:
        mark: the mark kept so far.
        drained_to: the time known so far.
        partition: read after ``at``.
        checkpoint: read at ``at``.
        at: the ledger's time.
    """
    if partition.is_behind(checkpoint):
        return None, drained_to  # checkpoint and mark are those of another hub
    if mark is None or mark.sequence > partition.last:
        return Mark(partition.last, at), drained_to
    if partition.passed(checkpoint) >= mark.sequence:
        return Mark(partition.last, at), mark.at if drained_to is None else max(mark.at, drained_to)
    return mark, drained_to


class Monitor:
    """Reads all partitions at intervals and records them.

    Args:
        hub: where to read.
        store: where to record.
        interval: between two readings.
        timeout: for each partition.
    """

    def __init__(self, hub: Hub, store: QueueStore, *, interval: timedelta, timeout: timedelta) -> None:
        self._hub = hub
        self._store = store
        self._interval = interval
        self._timeout = timeout
        self._recreated: set[str] = set()

    async def run(self) -> None:
        """Poll until cancelled, whatever is unavailable."""
        client = self._hub.producer()
        rounds = 0
        try:
            while True:
                try:
                    await self.poll(client)
                    if rounds % _ROUNDS_TO_PRUNE == 0:
                        await self._store.prune_refused()
                    rounds += 1
                except Unavailable as error:
                    log = _log.error if error.alarm else _log.warning
                    log("queue.lag_read_failed", channel=self._hub.channel, error=str(error))
                await self._hub.clock.sleep(self._interval)
        finally:
            await self._hub.close(client)

    async def poll(self, client: AnyClient) -> None:
        """Read and record all partitions once.

        Raises:
            Unavailable: the hub or the database cannot be reached.
        """
        rows = await self._store.fetch(SQL["read_marks"])
        checkpoints = await self._store.checkpoints()
        at = rows[0]["at"]
        known = {row["partition"]: row for row in rows if row["partition"] is not None}
        lines = []
        for name in await self._hub.partition_ids(client, self._timeout):
            partition = await self._hub.partition(client, name, self._timeout)
            row = known.get(name)
            mark = Mark(row["mark_sequence"], row["mark_at"]) if row and row["mark_at"] is not None else None
            checkpoint = checkpoints[name].sequence if name in checkpoints else None
            kept, drained_to = next_mark(mark, row and row["drained_to"], partition, checkpoint, at)
            lines.append(
                (
                    *(name, partition.begin, partition.last, at, partition.is_behind(checkpoint)),
                    *(kept or (None, None)),
                    drained_to,
                )
            )
        await self._store.fetch(SQL["write_partitions"], *map(list, zip(*lines, strict=True)))
        self._report_recreated({line[0] for line in lines if line[4]}, checkpoints)

    def _report_recreated(self, partitions: set[str], checkpoints: Mapping[str, Position]) -> None:
        if partitions - self._recreated:
            ahead = {name: checkpoints[name].sequence for name in sorted(partitions)}
            _log.error("queue.hub_recreated", channel=self._hub.channel, checkpoints=ahead)
        self._recreated = partitions


async def read_lag(pool: Pool, channel: str, group: str) -> Sequence[PartitionLag]:
    """Return all partitions of a hub as the scheduler read them last; none before its first reading.

    Raises:
        Unavailable: the database cannot be reached.
    """
    return [
        PartitionLag(
            partition=row["partition"],
            begin=row["begin_sequence"],
            last=row["last_sequence"],
            checkpoint=row["checkpoint"],
            lag=row["lag"],
            read_at=row["read_at"],
            drained_to=row["drained_to"],
            hub_recreated=row["hub_recreated"],
        )
        for row in await QueueStore(pool, channel, group).fetch(SQL["read_partitions"])
    ]


async def read_refused(pool: Pool, channel: str, limit: int = 100) -> Sequence[Refused]:
    """Return messages that were skipped and tasks that were too large to send, newest first.

    Raises:
        Unavailable: the database cannot be reached.
    """
    return await QueueStore(pool, channel, "").refused(limit)


async def reset_checkpoints(connection: Any, channel: str, group: str) -> int:
    """Delete the checkpoints of a hub that was created anew, to start from its beginning; return their number.

    Tasks that were in the old hub count as lost once the new one is drained up to now.

    Args:
        connection: in a transaction of the caller.
        channel: the hub.
        group: its consumer group.
    """
    dropped = await connection.fetch(SQL["drop_checkpoints"], channel, group)
    await connection.execute(SQL["drop_marks"], channel, group)
    return len(dropped)
