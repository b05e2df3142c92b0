"""How far predictions are from normal, by the columns that Gordo's anomaly detectors answer. Pure, and numpy."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from latigo.domain.series import Column, Values

TOTAL: Final = Column("total-anomaly-scaled", "")
CONFIDENCE: Final = Column("total-anomaly-confidence", "")  #: the total divided by the model's threshold
UNSCALED_BY_TAG: Final = "tag-anomaly-unscaled"  #: group of columns, in the units of the tags
CONFIDENCE_BY_TAG: Final = "anomaly-confidence"  #: group of columns: those divided by the thresholds of the tags
BY_TAG: Final = "tag-anomaly-scaled"  #: group of columns; the total is the mean of their squares


def over_threshold(columns: Sequence[Column], values: Values) -> npt.NDArray[np.bool_] | None:
    """Return which rows exceed the threshold; None: the model has none.

    ``values`` has shape (rows, columns).
    """
    if CONFIDENCE not in columns:
        return None
    over: npt.NDArray[np.bool_] = values[:, columns.index(CONFIDENCE)] > 1
    return over


def threshold(columns: Sequence[Column], values: Values) -> float | None:
    """Return the threshold of the total, which confidences are made with; None: it is not known."""
    return _quotient(columns, values, TOTAL, CONFIDENCE)


def tag_thresholds(columns: Sequence[Column], values: Values) -> dict[str, float]:
    """Return by tag the threshold of its ``tag-anomaly-unscaled``; tags without one are left out."""
    tags = dict.fromkeys(column.tag for column in columns if column.group == CONFIDENCE_BY_TAG and column.tag)
    pairs = {tag: (Column(UNSCALED_BY_TAG, tag), Column(CONFIDENCE_BY_TAG, tag)) for tag in tags}
    found = {tag: _quotient(columns, values, *pair) for tag, pair in pairs.items()}
    return {tag: limit for tag, limit in found.items() if limit is not None}


def _quotient(columns: Sequence[Column], values: Values, of: Column, by: Column) -> float | None:
    """Return what a column was divided by to make another one; None: one of them is missing or has nothing."""
    if of not in columns or by not in columns:
        return None
    anomalies, confidences = values[:, columns.index(of)], values[:, columns.index(by)]
    known = np.isfinite(anomalies) & np.isfinite(confidences) & (confidences > 0) & (anomalies > 0)
    return float(np.median(anomalies[known] / confidences[known])) if known.any() else None


def tag_shares(columns: Sequence[Column], values: Values) -> dict[str, float]:
    """Return by tag the share of the total anomaly of rows that it carries, the greatest first; empty: not known."""
    places = [number for number, (group, tag) in enumerate(columns) if group == BY_TAG and tag]
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.square(values[:, places])
        carried = np.where(np.isfinite(squares), squares, 0.0).sum(axis=0)
        total = carried.sum()
    if not np.isfinite(total) or total <= 0:
        return {}
    order = np.argsort(-carried, kind="stable")
    shares = (carried[order] / total).tolist()
    return {columns[places[number]].tag: share for number, share in zip(order.tolist(), shares, strict=True)}
