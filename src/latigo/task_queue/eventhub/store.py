"""State of the queue in the ledger's database; for the tables, see ``postgres/migrations/0003_event_hubs.sql``."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from latigo.postgres.database import Pool, lend
from latigo.postgres.errors import Fault, Translations, translated_errors, unavailable
from latigo.postgres.statements import load_statements
from latigo.runtime.redaction import excerpt
from latigo.task_queue.eventhub.offsets import Position

DOWNSTREAM = "ledger"
#: Seconds for a connection, and again for a statement: an unreachable database must not hold up balancing.
TIME_LIMIT = 10.0
#: Characters that are kept of what could not be read.
MAX_DETAIL = 400
MAX_REFUSED = 10_000

SQL = load_statements("latigo.task_queue.eventhub", "queries.sql")
#: The queue continues after any fault, and logs it each time.
_TRANSLATIONS: Translations = dict.fromkeys(Fault, unavailable)


class Refusal(StrEnum):
    """Why a message was skipped or not sent."""

    UNREADABLE = "unreadable"  #: not a task
    TOO_NEW = "too_new"  #: a task in an envelope that this version does not read; to be published again
    TOO_LARGE = "too_large"  #: a task that the hub would not take


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that was skipped, or a task that was not sent (``sequence`` is None)."""

    partition: str
    sequence: int | None
    task_id: int | None
    reason: Refusal
    detail: str
    at: datetime


class QueueStore:
    """State of one channel and consumer group.

    Every method raises `Unavailable` while the database cannot be used.
    """

    def __init__(self, pool: Pool, channel: str, group: str, *, time_limit: float = TIME_LIMIT) -> None:
        self.channel = channel
        self.group = group
        self._pool = pool
        self._time_limit = time_limit

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """Return all rows of a statement whose first arguments are channel and group."""
        return await self._fetch(sql, self.channel, self.group, *arguments)

    async def checkpoints(self) -> dict[str, Position]:
        """Return the position up to which each partition is finished."""
        return {
            row["partition"]: Position(row["sequence"], row["hub_offset"])
            for row in await self.fetch(SQL["list_checkpoints"])
        }

    async def refuse_received(
        self, partition: str, sequence: int, reason: Refusal, detail: str, task_id: int | None
    ) -> bool:
        """Record a message that is skipped; return whether it was not recorded before."""
        detail = _storable(detail)
        return bool(
            await self._fetch(SQL["refuse_received"], self.channel, partition, sequence, task_id, reason.value, detail)
        )

    async def refuse_unsent(self, partition: str, task_id: int, detail: str) -> bool:
        """Record a task that is too large to be sent; return whether it was not recorded before."""
        return bool(await self._fetch(SQL["refuse_unsent"], self.channel, partition, task_id, _storable(detail)))

    async def refused(self, limit: int) -> Sequence[Refused]:
        """Return the refused messages, newest first."""
        return [
            Refused(**{**row, "reason": Refusal(row["reason"])})
            for row in await self._fetch(SQL["read_refused"], self.channel, limit)
        ]

    async def prune_refused(self, limit: int = MAX_REFUSED) -> None:
        """Delete all but the newest ``limit`` refused messages."""
        await self._fetch(SQL["prune_refused"], self.channel, limit)

    async def _fetch(self, sql: str, *arguments: Any) -> list[Any]:
        async with self._connection() as connection:
            return list(await connection.fetch(sql, *arguments, timeout=self._time_limit))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        with translated_errors("task queue's tables", downstream=DOWNSTREAM, translations=_TRANSLATIONS):
            async with lend(self._pool, self._time_limit) as connection:
                yield connection


def _storable(text: str) -> str:
    """Return the part of a text that is kept, without secrets and what PostgreSQL does not take as text."""
    return excerpt(text, MAX_DETAIL).encode("utf-8", "replace").decode().replace("\0", "")
