"""The limits of the settings and those that hold now, and the executors that work within them."""

from collections.abc import Sequence
from datetime import datetime

from latigo.domain.limits import BACKFILL_PAUSED, most_outstanding
from latigo.postgres.database import Database
from latigo.reports.base import Report
from latigo.reports.snapshot import SQL
from latigo.reports.status_parts import ExecutorStatus


class ConfiguredLimits(Report):
    """What the settings say."""

    concurrency: int  #: executor.concurrency, of each executor
    backfill_share: float  #: backfill.min_share
    outstanding: int  #: task_queue.max_outstanding; 0: measured


class LimitStatus(Report):
    """One limit."""

    name: str
    key: str  #: of the settings
    settings: float
    now: float
    measured: bool = False  #: from the throughput
    changed_at: datetime | None = None  #: None: as the settings say
    changed_by: str = ""
    reason: str = ""


class BackfillPause(Report):
    """That backfill is paused, with who, when and why."""

    who: str
    at: datetime
    reason: str


class LimitsReport(Report):
    """All limits."""

    limits: Sequence[LimitStatus]
    backfill_paused: BackfillPause | None
    executors: Sequence[ExecutorStatus]  #: what each of them holds to


_KEYS = {
    "concurrency": "executor.concurrency",
    "backfill_share": "backfill.min_share",
    "outstanding": "task_queue.max_outstanding",
}


async def read_limits(database: Database, configured: ConfiguredLimits) -> LimitsReport:
    """Return the limits of the settings, and those that hold now."""
    async with database.snapshot() as connection:
        changed = {row["name"]: row for row in await connection.fetch(SQL["changed_limits"])}
        executors = await connection.fetch(SQL["executors"])
        settled = (await connection.fetchrow(SQL["settled_lately"]))["settled"]
    paused = changed.get(BACKFILL_PAUSED)
    limits = []
    for name, key in _KEYS.items():
        row, value = changed.get(name), float(getattr(configured, name))
        now = row["value"] if row else value
        measured = name == "outstanding" and not now
        limits.append(
            LimitStatus(
                name=name,
                key=key,
                settings=value,
                now=most_outstanding(0, settled) if measured else now,
                measured=measured,
                changed_at=row["at"] if row else None,
                changed_by=row["who"] if row else "",
                reason=row["reason"] if row else "",
            )
        )
    return LimitsReport(
        limits=limits,
        backfill_paused=BackfillPause(who=paused["who"], at=paused["at"], reason=paused["reason"]) if paused else None,
        executors=[ExecutorStatus(**row) for row in executors],
    )


async def read_executors(database: Database) -> Sequence[ExecutorStatus]:
    """Return the executors that were seen within the last minute."""
    return [ExecutorStatus(**row) for row in await database.fetch(SQL["executors"])]
