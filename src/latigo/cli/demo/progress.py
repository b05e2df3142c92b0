"""Progress of the demo, and its summary."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from latigo import __version__
from latigo.cli.tables import last_line
from latigo.domain.windows import floor_to_slot
from latigo.postgres.database import Database
from latigo.reports.progress import count_claimed, count_live_slots, count_stored_rows, read_totals
from latigo.reports.status import read_status
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.sandbox.demo import SLOT
from latigo.sandbox.gordo import SandboxGordo
from latigo.sandbox.gordo.controls import PREDICTING

#: Interval between two lines of progress.
REPORT_INTERVAL = timedelta(seconds=2)
#: Time for processes to hand back their tasks.
DRAIN_LIMIT = timedelta(seconds=20)
_POLL = timedelta(milliseconds=200)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command."""

    cycles: int
    models: int
    port: int
    distributed: bool  #: over an emulated event hub
    executors: int  #: processes; 0: as many as the other options say
    influx: bool
    timeseries_api: bool
    verbose: bool

    @property
    def readings_in_a_server(self) -> bool:
        """Return whether Latigo reads from a server, and not from the plant itself."""
        return self.influx or self.timeseries_api


@dataclass(frozen=True)
class Progress:
    """The demo under way; `report` takes lines for people."""

    options: Options
    clock: Clock
    began: datetime
    gordo: SandboxGordo
    stop: asyncio.Event
    report: Callable[[str], None]

    async def follow(self, database: Database) -> None:
        """Report progress until the demo is stopped, or until the cycles of the options are done."""
        reported = ""
        while not (await pause(self.clock, REPORT_INTERVAL, self.stop)):
            done = await count_live_slots(database, floor_to_slot(self.began, SLOT))
            totals = await read_totals(database)
            slowest = min(done.values(), default=0)
            line = (
                f"{totals.models:>4} models   {totals.slots_covered:>7.0f} slots covered   "
                f"{totals.slots_left:>6.0f} to do   {totals.rows_settled:>8} rows   {self.calls():>6} calls   "
                f"{slowest:>3} live slots of every model"
            )
            if line != reported:
                self.report(line)
                reported = line
            complete = totals.slots_left <= 0 or totals.parked  # what is parked does not come by itself
            if self.options.cycles and len(done) == self.options.models and slowest >= self.options.cycles and complete:
                self.stop.set()

    async def drained(self, database: Database) -> None:
        """Wait until no task is claimed any more; for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_LIMIT.total_seconds()):
                while await count_claimed(database):
                    await self.clock.sleep(_POLL)

    async def summary(self, database: Database) -> Mapping[str, Any]:
        """Return the sums over everything that was done, once no task is claimed any more."""
        totals, status = await read_totals(database), await read_status(database, __version__)
        done = await count_live_slots(database, floor_to_slot(self.began, SLOT))
        return {
            "models": totals.models,
            "live_slots_of_every_model": min(done.values(), default=0),
            "slots_due": round(totals.slots_due),
            "slots_covered": round(totals.slots_covered),
            "slots_excepted": round(totals.exceptions),
            # Due since it was stopped, parked, or still claimed by a process that was killed.
            "slots_left": round(totals.slots_left),
            "exceptions": {row.state: round(row.slots) for row in status.exceptions},
            "rows_settled": totals.rows_settled,
            "rows_written": await count_stored_rows(database),
            "gordo_calls": self.calls(),
            "tasks_settled": totals.tasks_settled,
            "parked": totals.parked,
            "parked_because": {failure.reason: last_line(failure.example) for failure in status.failures},
            "in_hand": await count_claimed(database),
            "seconds": round((self.clock.now() - self.began).total_seconds(), 1),
        }

    def calls(self) -> int:
        """Return how often the model server was called for predictions."""
        return self.gordo.controls.count(PREDICTING)
