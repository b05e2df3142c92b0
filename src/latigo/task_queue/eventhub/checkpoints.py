"""Checkpoint store of the client library, on PostgreSQL."""

from collections.abc import Iterable, Mapping
from typing import Any

from azure.eventhub.aio import CheckpointStore

from latigo.domain.errors import Unavailable
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.task_queue.eventhub.offsets import Position
from latigo.task_queue.eventhub.store import SQL, QueueStore

_log = get_logger(__name__)

_Row = dict[str, Any]


class PostgresCheckpointStore(CheckpointStore):
    """Ownership by leases with optimistic locking; checkpoints that only grow, and only while we own the partition.

    One for each consumer client, since it remembers the owner id of its client; for the hub and group of its store,
    whatever the client calls them. Raising `Unavailable` is safe: the client keeps its partitions and retries in the
    next round. A release alone does not raise.
    """

    def __init__(self, store: QueueStore, clock: Clock) -> None:
        #: When the client last listed ownership, by the monotonic clock; at first, when it was created.
        self.listed_at = clock.monotonic()
        self._store = store
        self._clock = clock
        self._owner = ""

    async def list_ownership(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **_: Any
    ) -> list[_Row]:
        self.listed_at = self._clock.monotonic()
        rows = await self._store.fetch(SQL["list_ownership"])
        # Expiry is judged by this machine's clock, the age is by the database's: no skew between machines.
        now = self._clock.now().timestamp()
        return [
            {
                "fully_qualified_namespace": fully_qualified_namespace,
                "eventhub_name": eventhub_name,
                "consumer_group": consumer_group,
                "partition_id": row["partition"],
                "owner_id": row["owner_id"],
                "etag": str(row["etag"]),
                "last_modified_time": now - row["age"],
            }
            for row in rows
        ]

    async def claim_ownership(self, ownership_list: Iterable[_Row], **_: Any) -> list[_Row]:
        granted = []
        # One by one in the order of the key: two clients that claim the same partitions never wait for each other.
        for claim in sorted(ownership_list, key=lambda row: str(row["partition_id"])):
            self._owner = claim["owner_id"] or self._owner
            asked_at = self._clock.now().timestamp()
            try:
                etag = await self._claim(claim["partition_id"], claim["owner_id"], claim.get("etag"))
            except Unavailable as error:
                if claim["owner_id"]:
                    raise
                # The library releases a partition in a task that it does not wait for. The ownership expires.
                _log.warning("queue.release_failed", error=str(error))
                continue
            if etag:
                granted.append({**claim, "etag": etag, "last_modified_time": asked_at})
        return granted

    async def update_checkpoint(self, checkpoint: Mapping[str, Any], **_: Any) -> None:
        await self.advance({checkpoint["partition_id"]: Position(checkpoint["sequence_number"], checkpoint["offset"])})

    async def list_checkpoints(
        self, fully_qualified_namespace: str, eventhub_name: str, consumer_group: str, **_: Any
    ) -> list[_Row]:
        return [
            {
                "fully_qualified_namespace": fully_qualified_namespace,
                "eventhub_name": eventhub_name,
                "consumer_group": consumer_group,
                "partition_id": partition,
                "sequence_number": sequence,
                "offset": offset,
            }
            for partition, (sequence, offset) in (await self._store.checkpoints()).items()
        ]

    async def advance(self, positions: Mapping[str, Position]) -> None:
        """Update the checkpoints of several partitions at once."""
        await self._store.fetch(
            SQL["advance_checkpoints"],
            self._owner,
            list(positions),
            [position.sequence for position in positions.values()],
            [position.offset for position in positions.values()],
        )

    async def release(self) -> None:
        """Release partitions that the client still owns, as when it could not be closed in time."""
        if self._owner:
            await self._store.fetch(SQL["release"], self._owner)

    async def _claim(self, partition: str, owner: str, etag: str | None) -> str | None:
        if etag:
            rows = await self._store.fetch(SQL["claim_known"], partition, owner, int(etag))
        else:
            rows = await self._store.fetch(SQL["claim_new"], partition, owner)
        return str(rows[0]["etag"]) if rows else None
