"""Bad readings, which each process reports to the ledger, so that the status knows of them."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import islice

from latigo.domain.bad_readings import BadReadingCount
from latigo.domain.errors import LatigoError
from latigo.ledger.shared import kept
from latigo.postgres.arrays import columns
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.log import get_logger

SQL = load_statements("latigo.ledger", "sql/bad_readings.sql")

#: Interval of the reports.
INTERVAL = timedelta(seconds=15)
#: Time limit of a report; the last one must not hold up the end of the process.
LIMIT = timedelta(seconds=5)
#: Age at which a report is dropped.
KEPT = timedelta(days=7)
#: Counts in one report.
MOST = 1000

_log = get_logger(__name__)


class BadReadingReports:
    """The reports of one process."""

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process
        self._reported: dict[tuple[str, ...], int] = {}

    async def report(self, counts: Sequence[BadReadingCount]) -> None:
        """Record the counts that have changed since the last report.

        Raises:
            Unavailable: the ledger cannot be reached.
        """
        changed = {
            key: count
            for count in counts
            if self._reported.get(key := (kept(count.place), kept(count.tag), count.fault)) != count.readings
        }
        rows = [
            (*key, count.readings, kept(count.example), count.first_at, count.last_at)
            for key, count in islice(changed.items(), MOST)
        ]
        if not rows:
            return
        await self._database.execute(SQL["report"], self._process, *columns(rows))
        await self._database.execute(SQL["drop_old"], KEPT)
        self._reported |= {row[:3]: row[3] for row in rows}


async def keep_bad_readings(
    reports: BadReadingReports,
    counts: Callable[[], Sequence[BadReadingCount]],
    clock: Clock,
    stop: asyncio.Event,
    *,
    interval: timedelta = INTERVAL,
) -> None:
    """Report the bad readings of this process every ``interval`` until ``stop``, and then once more."""
    while not stop.is_set():
        await pause(clock, interval, stop)
        try:
            async with asyncio.timeout(LIMIT.total_seconds()):
                await reports.report(counts())
        except (LatigoError, TimeoutError) as error:
            reason = str(error) or f"no answer within {LIMIT.total_seconds():g} s"
            _log.warning("readings.skipped_not_recorded", error=reason)
