"""What the queue keeps in the ledger's database; described in ``postgres/migrations/0003_event_hubs.sql``."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

import asyncpg

from latigo.postgres.errors import Fault, Translations, translated_errors, unavailable
from latigo.postgres.statements import load_statements
from latigo.task_queue.eventhub.offsets import Position

DOWNSTREAM = "ledger"
#: For a connection, and again for a statement: a database that is away must not hold up the balancing of partitions.
SECONDS = 10.0
#: Of what could not be read, as much is kept.
LONGEST_DETAIL = 400
MOST_REFUSED = 10_000

SQL = load_statements("latigo.task_queue.eventhub", "queries.sql")
#: Whatever the fault, the queue goes on, and logs it again each time.
_TRANSLATIONS: Translations = dict.fromkeys(Fault, unavailable)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


class Refusal(StrEnum):
    """Why a message was passed over."""

    UNREADABLE = "unreadable"  #: not a task
    TOO_NEW = "too_new"  #: a task in an envelope that this version does not read; to be published again
    TOO_LARGE = "too_large"  #: a task that the hub would not take


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that was passed over, or a task that was not sent (``sequence`` is None)."""

    partition: str
    sequence: int | None
    task_id: int | None
    reason: Refusal
    detail: str
    at: datetime


class QueueTables:
    """The rows of one channel and consumer group.

    Every method raises `Unavailable` when the database is away.
    """

    def __init__(self, pool: Pool, channel: str, group: str, *, seconds: float = SECONDS) -> None:
        self.channel = channel
        self.group = group
        self._pool = pool
        self._seconds = seconds

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """All rows of a statement that takes channel and group first."""
        return await self._ask(sql, self.channel, self.group, *arguments)

    async def checkpoints(self) -> dict[str, Position]:
        """How far each partition has been worked off."""
        return {
            row["partition"]: Position(row["sequence"], row["hub_offset"])
            for row in await self.fetch(SQL["list_checkpoints"])
        }

    async def refuse_received(
        self, partition: str, sequence: int, reason: Refusal, detail: str, task_id: int | None
    ) -> bool:
        """Record a message that is passed over; whether that is new."""
        detail = _storable(detail)
        return bool(
            await self._ask(SQL["refuse_received"], self.channel, partition, sequence, task_id, reason.value, detail)
        )

    async def refuse_unsent(self, partition: str, task_id: int, detail: str) -> bool:
        """Record a task that is too large to be sent; whether that is new."""
        return bool(await self._ask(SQL["refuse_unsent"], self.channel, partition, task_id, _storable(detail)))

    async def refused(self, most: int) -> Sequence[Refused]:
        """What was passed over, newest first."""
        return [
            Refused(**{**row, "reason": Refusal(row["reason"])})
            for row in await self._ask(SQL["read_refused"], self.channel, most)
        ]

    async def prune_refused(self, most: int = MOST_REFUSED) -> None:
        """Keep the newest ``most`` only."""
        await self._ask(SQL["prune_refused"], self.channel, most)

    async def reset(self) -> int:
        """Forget all checkpoints, and what was counted in a hub that is gone; how many there were."""
        async with self._connection() as connection, connection.transaction():
            dropped = await connection.fetch(SQL["drop_checkpoints"], self.channel, self.group)
            await connection.execute(SQL["drop_marks"], self.channel, self.group)
        return len(dropped)

    async def _ask(self, sql: str, *arguments: Any) -> list[Any]:
        async with self._connection() as connection:
            return list(await connection.fetch(sql, *arguments, timeout=self._seconds))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        with translated_errors("task queue's tables", downstream=DOWNSTREAM, translations=_TRANSLATIONS):
            async with self._pool.acquire(timeout=self._seconds) as connection:
                yield connection


def _storable(text: str) -> str:
    """As much of it as is kept, without what PostgreSQL does not take as text."""
    return text[:LONGEST_DETAIL].encode("utf-8", "replace").decode().replace("\0", "")
