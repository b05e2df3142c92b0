"""Late readings, which each process adds to the ledger, so that the status knows which delay would do."""

import asyncio
from datetime import timedelta

from latigo.domain.errors import LatigoError
from latigo.domain.lateness import LatenessCounts
from latigo.postgres.arrays import columns
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.log import get_logger

SQL = load_statements("latigo.ledger", "sql/lateness.sql")

#: Interval of the reports.
INTERVAL = timedelta(seconds=30)
#: Time limit of a report; the last one must not hold up the end of the process.
LIMIT = timedelta(seconds=5)
#: How long counts are kept.
KEPT = timedelta(days=7)

_log = get_logger(__name__)


async def report_lateness(database: Database, counts: LatenessCounts) -> None:
    """Add what a process has counted since its last report; what cannot be added is counted again.

    Raises:
        Unavailable: the ledger cannot be reached.
    """
    taken = counts.take()
    if not taken:
        return
    try:
        await database.execute(SQL["add"], *columns((*kind, slots) for kind, slots in taken.items()))
    except BaseException:
        counts.put_back(taken)
        raise
    await database.execute(SQL["drop_old"], KEPT)


async def keep_lateness(
    database: Database, counts: LatenessCounts, clock: Clock, stop: asyncio.Event, *, interval: timedelta = INTERVAL
) -> None:
    """Report late readings every ``interval`` until ``stop``, and then once more."""
    while not stop.is_set():
        await pause(clock, interval, stop)
        try:
            async with asyncio.timeout(LIMIT.total_seconds()):
                await report_lateness(database, counts)
        except (LatigoError, TimeoutError) as error:
            reason = str(error) or f"no answer within {LIMIT.total_seconds():g} s"
            _log.warning("lateness.not_recorded", error=reason)
