"""What a sink has of a window, slot by slot. Pure."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from latigo.domain.coverage import Coverage
from latigo.domain.series import Predictions, Times
from latigo.domain.windows import to_ns


def slots_with_rows(stored: Sequence[Predictions], within: Coverage, slot: timedelta, *, fewest: int) -> Coverage:
    """Return the slots within some windows of which there are at least so many rows, of all revisions together."""
    times = np.unique(np.concatenate([predictions.finite_times for predictions in stored] or [np.empty(0, np.int64)]))
    return _slots(times, within, slot, fewest)


def slots_of(times: Times, within: Coverage, slot: timedelta) -> Coverage:
    """Return the slots within some windows that have one of these times (ns, ascending)."""
    return _slots(times, within, slot, 1)


def rows_within(predictions: Predictions, slots: Coverage) -> Predictions:
    """Return the rows of predictions that are in some slots and have a finite value."""
    kept = np.isfinite(predictions.values).any(axis=1)
    inside = np.zeros(len(predictions), bool)
    for window in slots:
        low, high = np.searchsorted(predictions.times, (to_ns(window.start), to_ns(window.end)))
        inside[low:high] = True
    kept &= inside
    return Predictions(
        predictions.model, predictions.revision, predictions.times[kept], predictions.columns, predictions.values[kept]
    )


def _slots(times: Times, within: Coverage, slot: timedelta, fewest: int) -> Coverage:
    chosen = []
    for window in within:
        for part in window.slots(slot):
            low, high = np.searchsorted(times, (to_ns(part.start), to_ns(part.end)))
            if high - low >= fewest:
                chosen.append(part)
    return Coverage.of(chosen)
