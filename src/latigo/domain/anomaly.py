"""How far predictions are from normal, by the columns that Gordo's anomaly detectors answer. Pure, and numpy."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from latigo.domain.series import Column, Values

TOTAL: Final = Column("total-anomaly-scaled", "")
CONFIDENCE: Final = Column("total-anomaly-confidence", "")  #: the total divided by the model's threshold
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
    if TOTAL not in columns or CONFIDENCE not in columns:
        return None
    totals, confidences = values[:, columns.index(TOTAL)], values[:, columns.index(CONFIDENCE)]
    known = np.isfinite(totals) & np.isfinite(confidences) & (confidences > 0) & (totals > 0)
    return float(np.median(totals[known] / confidences[known])) if known.any() else None


def tag_shares(columns: Sequence[Column], values: Values) -> dict[str, float]:
    """Return by tag the share of the total anomaly of rows that it carries, the greatest first; empty: not known."""
    places = [number for number, column in enumerate(columns) if column.group == BY_TAG and column.tag]
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.square(values[:, places])
        carried = np.where(np.isfinite(squares), squares, 0.0).sum(axis=0)
        total = carried.sum()
    if not np.isfinite(total) or total <= 0:
        return {}
    order = np.argsort(-carried, kind="stable")
    return {columns[places[number]].tag: float(carried[number] / total) for number in order}
