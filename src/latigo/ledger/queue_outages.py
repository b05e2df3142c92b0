"""Outages of the task queue, which each process reports to the ledger, so that the status knows of them."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

from latigo.domain.errors import LatigoError
from latigo.ledger.shared import kept
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.log import get_logger

SQL = load_statements("latigo.ledger", "sql/queue_outages.sql")

#: Interval of the reports. A report that was not renewed for a minute does not count.
INTERVAL = timedelta(seconds=5)
#: Time limit of a report; the last one must not hold up the end of the process.
LIMIT = timedelta(seconds=5)

_log = get_logger(__name__)


class QueueOutages:
    """The reports of one process."""

    def __init__(self, database: Database, process: str) -> None:
        self._database = database
        self._process = process
        self._reported: frozenset[str] = frozenset()

    async def report(self, outages: Mapping[str, str]) -> None:
        """Record in which roles the queue is unreachable now, and why; it is reachable in all others.

        Raises:
            Unavailable: the ledger cannot be reached.
        """
        for role, reason in outages.items():
            await self._database.execute(SQL["report"], self._process, role, kept(reason))
        if over := self._reported - outages.keys():
            await self._database.execute(SQL["clear"], self._process, sorted(over))
        self._reported = frozenset(outages)


async def keep_queue_outages(
    reports: QueueOutages,
    outages: Callable[[], Mapping[str, str]],
    clock: Clock,
    stop: asyncio.Event,
    *,
    interval: timedelta = INTERVAL,
) -> None:
    """Report what is known of the queue, every ``interval`` until ``stop``; then report nothing.

    Args:
        reports: those of this process.
        outages: returns the reason by role (``scheduler``, ``executor``), without a call to the queue.
        clock: of this machine.
        stop: ends it.
        interval: between two reports; well below the minute after which one no longer counts.
    """
    await pause(clock, interval, stop)  # a queue that was not called yet is not unreachable
    while not stop.is_set():
        await _try(reports, outages())
        await pause(clock, interval, stop)
    await _try(reports, {})


async def _try(reports: QueueOutages, outages: Mapping[str, str]) -> None:
    try:
        async with asyncio.timeout(LIMIT.total_seconds()):
            await reports.report(outages)
    except (LatigoError, TimeoutError) as error:
        _log.warning("queue.outage_not_recorded", error=str(error) or f"no answer within {LIMIT.total_seconds():g} s")
