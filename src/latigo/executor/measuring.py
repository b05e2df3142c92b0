"""What the receipt of a window says about its readings and its predictions, from what is at hand anyway. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from latigo.dataset.build import Buckets
from latigo.domain.anomaly import TOTAL, over_threshold, tag_shares
from latigo.domain.receipt import MOST_CARRIERS, Carrier, Inputs, Score
from latigo.domain.series import Predictions, Readings, Series
from latigo.domain.windows import Window, to_ns

_NOTHING: Final = Series.empty()
_SECOND: Final = 1_000_000_000
_LAST_PLACE: Final = 0xFFFF  #: of a tag that a receipt can name
_LEAST_SHARE: Final = 0.01


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


def measure_score(predictions: Predictions, tags: Sequence[str] = ()) -> Score | None:
    """Return the highest total anomaly of rows, how many are over the threshold, and the tags that carry most of it.

    None: the model is no anomaly detector. ``tags`` are those of its dataset, in order.
    """
    columns, values = predictions.columns, predictions.values
    if TOTAL not in columns:
        return None
    totals = values[:, columns.index(TOTAL)]
    finite = totals[np.isfinite(totals)]
    if not len(finite):
        return None
    over = over_threshold(columns, values)
    odd = values[over] if over is not None and over.any() else values
    carriers = [
        Carrier(tags.index(tag), round(share * 100))
        for tag, share in list(tag_shares(columns, odd).items())[:MOST_CARRIERS]
        if tag in tags and tags.index(tag) <= _LAST_PLACE and share >= _LEAST_SHARE
    ]
    return Score(float(finite.max()), None if over is None else int(over.sum()), tuple(carriers))
