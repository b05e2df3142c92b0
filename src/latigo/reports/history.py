"""How the service did: lines over time, from what was kept every five minutes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from latigo.ledger.history import Sample
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Report
from latigo.reports.choices import HistorySeries
from latigo.reports.status import Status

SQL = load_statements("latigo.reports", "history.sql")
PERIOD = timedelta(minutes=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Line(Report):
    """One series; a value for each time, None where nothing was kept."""

    series: HistorySeries
    values: Sequence[float | None]


class History(Report):
    """Series over a range of time."""

    start: datetime  #: of the first stretch
    step_s: float  #: length of each
    points: int
    lines: Sequence[Line]


def sample_of(status: Status) -> Sample:
    """Return what is kept of a status. Pure."""
    oldest = status.outstanding.oldest_live_at
    return Sample(
        fresh=status.freshness.fresh,
        stale=status.freshness.stale,
        live_oldest_s=0.0 if oldest is None else max((status.now - oldest).total_seconds(), 0.0),
        backlog=float(status.backlog.slots),
        rate=status.rates.covered_slots_per_second,
    )


async def read_history(
    database: Database, series: Sequence[HistorySeries], now: datetime, length: timedelta, points: int
) -> History:
    """Return these series of the last ``length``, at ``points`` times at most."""
    step = max(PERIOD, -(-length // (points * PERIOD)) * PERIOD)
    end = _EPOCH + -(-(now - _EPOCH) // step) * step
    count = max(length // step, 1)
    start = end - count * step
    rows = {row["at"]: row for row in await database.fetch(SQL["history"], step, start, end)}
    found = [rows.get(start + number * step) for number in range(count)]
    return History(
        start=start,
        step_s=step.total_seconds(),
        points=count,
        lines=[Line(series=name, values=[row[name] if row else None for row in found]) for name in series],
    )
