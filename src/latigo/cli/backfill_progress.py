"""Progress of a request, until it has ended."""

import sys
from datetime import timedelta

import typer

from latigo.cli.asking import Service
from latigo.reports.backfills import Backfill
from latigo.reports.status import BACKFILL_WAITS
from latigo.runtime.clock import Clock
from latigo.runtime.units import rough_time
from latigo.web.api.requests import REQUEST

#: Interval between two looks at a request; a line of progress comes on a terminal each time, elsewhere now and then.
_POLL = timedelta(seconds=1)
_LINES_APART = 30


async def follow(service: Service, number: int, clock: Clock) -> Backfill:
    """Report progress on standard error until a request is not active any more; return it as it is then."""
    began, first, looks = clock.monotonic(), None, 0
    while (backfill := await service.ask(REQUEST, id=number)).state == "active":
        first = backfill.slots_left if first is None else first
        if sys.stderr.isatty() or looks % _LINES_APART == 0:
            typer.echo(progress_line(backfill, first - backfill.slots_left, clock.monotonic() - began), err=True)
        looks += 1
        await clock.sleep(_POLL)
    return backfill


def progress_line(backfill: Backfill, done: int, seconds: float) -> str:
    """Describe how far a request is, of which ``done`` slots were predicted in the last ``seconds``."""
    line = f"{backfill.share_done:.1%} of {backfill.slots} slots, {backfill.tasks} tasks out"
    if backfill.slots_parked:
        line += f", {backfill.slots_parked} slots failed"
    if backfill.backfill_paused:
        return f"{line}, waits: {BACKFILL_WAITS}"
    if done <= 0 or seconds <= 0:
        return line
    rate, left = done / seconds, backfill.slots_left - backfill.slots_parked
    return f"{line}, {rate:.3g} slots/s, {rough_time(timedelta(seconds=left / rate))} left"
