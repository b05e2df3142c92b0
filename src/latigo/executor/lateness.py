"""How late the readings of a slot were when they were read. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from latigo.domain.lateness import Observed
from latigo.domain.series import Readings
from latigo.domain.windows import from_ns, span_ns, to_ns
from latigo.providers.protocols import Part


def observe(
    parts: Sequence[Part], readings: Readings, end: datetime, resolution: timedelta, read_at: datetime
) -> list[Observed]:
    """Return how late the readings of a slot are, for each source that has any.

    A sensor has reported until ``end`` if its last reading is not further from it than the resolution, or than its own
    longest pause in the readings. One without any reading is silent rather than late, and says nothing.
    """
    observed = []
    for part in parts:
        lasts = [last for tag in part.tags if (last := _lacking_since(tag, readings, end, resolution)) is not None]
        if lasts:
            oldest = min(lasts)
            observed.append(Observed(part.source.downstream, read_at - min(oldest, end), complete=oldest >= end))
    return observed


def _lacking_since(tag: str, readings: Readings, end: datetime, resolution: timedelta) -> datetime | None:
    """Return ``end`` if a sensor has reported until then, else its last reading; None if it has none."""
    series = readings.get(tag)
    times = series.times[series.times < to_ns(end)] if series is not None else np.empty(0, np.int64)
    if not len(times):
        return None
    pause = max(span_ns(resolution), int(np.diff(times).max(initial=0)))
    return end if to_ns(end) - int(times[-1]) <= pause else from_ns(int(times[-1]))
