"""How far executors are behind the hub, which messages can still be in it, and whether it is still the same hub.

The scheduler's side: `Monitor` reads the hub's partitions and writes them beside the checkpoints, so that anybody with
the database (status, metrics, scaling, the ledger's search for lost tasks) can tell without asking the hub.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from latigo.domain.errors import Unavailable
from latigo.task_queue.eventhub.connection import AnyClient, Hub
from latigo.task_queue.eventhub.offsets import Position
from latigo.task_queue.eventhub.partitions import Partition
from latigo.task_queue.eventhub.store import SQL, Pool, QueueTables, Refused

_log = structlog.get_logger()

#: Of refused messages, those beyond the newest are dropped so often, in rounds of the monitor.
_ROUNDS_TO_PRUNE = 100


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition, as the scheduler read it last.

    Args:
        partition: its name.
        begin: the oldest event that it holds.
        last: the newest; -1 when nothing was ever in it.
        checkpoint: everything up to this event is done with; None: nothing is yet.
        lag: events that nobody is done with, those being worked on among them.
        read_at: when begin and last were read.
        drained_to: a task that was published to it before this time is done with, or lost; None: not known yet.
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
    """Whatever was in the partition at this time has a sequence number up to this one."""

    sequence: int
    at: datetime


def next_mark(
    mark: Mark | None, drained_to: datetime | None, partition: Partition, checkpoint: int | None, at: datetime
) -> tuple[Mark | None, datetime | None]:
    """The mark to keep, and the time up to which the partition is drained.

    Args:
        mark: the one kept so far.
        drained_to: as far as was known.
        partition: read after ``at``.
        checkpoint: read at ``at``.
        at: the ledger's time.
    """
    if partition.is_behind(checkpoint):
        return None, drained_to  # the checkpoint says nothing about this hub, and the mark neither
    if mark is None or mark.sequence > partition.last:
        return Mark(partition.last, at), drained_to
    if partition.passed(checkpoint) >= mark.sequence:
        return Mark(partition.last, at), mark.at if drained_to is None else max(mark.at, drained_to)
    return mark, drained_to


class Monitor:
    """Reads all partitions again and again, as long as it runs.

    Args:
        hub: to ask.
        tables: to write to.
        every: between two readings.
        within: for each partition.
    """

    def __init__(self, hub: Hub, tables: QueueTables, *, every: timedelta, within: timedelta) -> None:
        self._hub = hub
        self._tables = tables
        self._every = every
        self._within = within
        self._recreated: set[str] = set()

    async def run(self) -> None:
        """Until cancelled. What is away comes back."""
        client = self._hub.producer()
        rounds = 0
        try:
            while True:
                try:
                    await self.look(client)
                    if rounds % _ROUNDS_TO_PRUNE == 0:
                        await self._tables.prune_refused()
                    rounds += 1
                except Unavailable as error:
                    told = _log.error if error.alarm else _log.warning
                    told("queue.lag_not_read", channel=self._hub.channel, because=str(error))
                await self._hub.clock.sleep(self._every)
        finally:
            await self._hub.close(client)

    async def look(self, client: AnyClient) -> None:
        """Read and write all partitions once.

        Raises:
            Unavailable: the hub or the database is away.
        """
        rows = await self._tables.fetch(SQL["read_marks"])
        checkpoints = await self._tables.checkpoints()
        at = rows[0]["at"]
        known = {row["partition"]: row for row in rows if row["partition"] is not None}
        found = []
        for each in await self._hub.partition_ids(client, self._within):
            partition = await self._hub.partition(client, each, self._within)
            row = known.get(each)
            mark = Mark(row["mark_sequence"], row["mark_at"]) if row and row["mark_at"] is not None else None
            checkpoint = checkpoints[each].sequence if each in checkpoints else None
            kept, drained_to = next_mark(mark, row and row["drained_to"], partition, checkpoint, at)
            found.append(
                (
                    *(each, partition.begin, partition.last, at, partition.is_behind(checkpoint)),
                    *(kept or (None, None)),
                    drained_to,
                )
            )
        await self._tables.fetch(SQL["write_partitions"], *map(list, zip(*found, strict=True)))
        self._tell_recreated({row[0] for row in found if row[4]}, checkpoints)

    def _tell_recreated(self, partitions: set[str], checkpoints: Mapping[str, Position]) -> None:
        if partitions - self._recreated:
            ahead = {each: checkpoints[each].sequence for each in sorted(partitions)}
            _log.error("queue.hub_recreated", channel=self._hub.channel, checkpoints=ahead)
        self._recreated = partitions


async def read_lag(pool: Pool, channel: str, group: str) -> Sequence[PartitionLag]:
    """All partitions of a hub, as the scheduler read them last; none before it ever has.

    Raises:
        Unavailable: the database is away.
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
        for row in await QueueTables(pool, channel, group).fetch(SQL["read_partitions"])
    ]


async def read_refused(pool: Pool, channel: str, most: int = 100) -> Sequence[Refused]:
    """Messages that were passed over and tasks that were too large to send, newest first.

    Raises:
        Unavailable: the database is away.
    """
    return await QueueTables(pool, channel, "").refused(most)


async def reset_checkpoints(pool: Pool, channel: str, group: str) -> int:
    """After the hub was made anew: start from its beginning; returns how many checkpoints there were.

    What was in the old hub comes back as lost once the new one has been worked off up to now.

    Raises:
        Unavailable: the database is away.
    """
    return await QueueTables(pool, channel, group).reset()
