"""What the receipt of a window says about its readings and its predictions, from what is at hand anyway. Pure."""

from typing import Final

import numpy as np

from latigo.dataset.build import Buckets
from latigo.domain.receipt import Inputs, Score
from latigo.domain.series import Column, Predictions, Readings, Series
from latigo.domain.windows import Window, to_ns

_TOTAL: Final = Column("total-anomaly-scaled", "")
_CONFIDENCE: Final = Column("total-anomaly-confidence", "")
_NOTHING: Final = Series.empty()
_SECOND: Final = 1_000_000_000


def measure_inputs(buckets: Buckets, readings: Readings, window: Window) -> Inputs:
    """Count the readings and cells of a window, whose buckets are filled as far as they will be."""
    start, end = to_ns(window.start), to_ns(window.end)
    low, high = buckets.grid.labels.searchsorted((start, end))
    measured = buckets.measured[:, low:high]
    rows = tuple(np.add.reduce(measured, axis=1, dtype=np.int64).tolist())
    missing = int(np.count_nonzero(np.isnan(buckets.values[:, low:high])))
    series = [readings.get(tag, _NOTHING) for tag in buckets.config.tags]
    newest = [int(one.times[-1]) for one in series if len(one.times)]
    return Inputs(
        readings=tuple(len(one.times) for one in series),
        rows=rows,
        labels=int(high - low),
        filled=measured.size - missing - sum(rows),
        newest_age=max(end - max(newest), 0) // _SECOND if newest else None,
    )


def measure_score(predictions: Predictions) -> Score | None:
    """Return the highest total anomaly of the rows and how many are over the threshold; None: no such column."""
    columns = predictions.columns
    if _TOTAL not in columns:
        return None
    totals = predictions.values[:, columns.index(_TOTAL)]
    finite = totals[np.isfinite(totals)]
    if not len(finite):
        return None
    over = None
    if _CONFIDENCE in columns:
        over = int(np.count_nonzero(predictions.values[:, columns.index(_CONFIDENCE)] > 1))
    return Score(float(finite.max()), over)
