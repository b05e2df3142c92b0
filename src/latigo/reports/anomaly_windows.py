"""Figures of anomalies from the receipts of many models' windows. Pure, and numpy.

Every slot counts for the window that wrote it last: a window of several slots counts for each of them in equal parts.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from latigo.domain.windows import EPOCH, floor_to_slot
from latigo.reports.receipt_scores import Scores, decode_scores

_Floats = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int64]

#: Of the statement ``receipts``: a range, a time and numbers as PostgreSQL sends them; times count from the year 2000.
HEAD: Final = np.dtype(
    [
        *(("flags", "u1"), ("a", ">i4"), ("lower", ">i8"), ("b", ">i4"), ("upper", ">i8"), ("settled", ">i8")),
        *(("rows", ">i4"), ("epoch", ">i4"), ("octets", ">i4")),
    ]
)
PARTS: Final = 60  #: of a series
_MICROSECOND: Final = timedelta(microseconds=1)
_YEAR_2000: Final = (datetime(2000, 1, 1, tzinfo=UTC) - EPOCH) // _MICROSECOND
_MOST_TAGS: Final = 5
_MOST_CELLS: Final = 1_000_000  #: of a table of models and tags


class Period(NamedTuple):
    """A range from ``start`` to ``end``, and the time before it that it is compared with."""

    before: datetime
    start: datetime
    end: datetime


class Windows(NamedTuple):
    """Windows with an anomaly; all arrays are by window, in the order in which they were settled."""

    model: _Numbers  #: which of the models it is of
    lower: _Numbers  #: microseconds since 1970
    upper: _Numbers
    rows: _Numbers
    scores: Scores  #: carriers only where their places are those of the model's tags of now

    @classmethod
    def of(cls, models: Sequence[tuple[bytes, bytes]], tags_since: Sequence[int]) -> "Windows":
        """Return the windows of models, each with the heads and receipts that the ledger has sent.

        ``tags_since`` are the epochs of the models after which their tags have not changed.
        """
        counts = np.array([len(heads) // HEAD.itemsize for heads, _ in models], np.int64)
        heads = np.frombuffer(b"".join(heads for heads, _ in models), HEAD)
        scores = decode_scores(b"".join(receipts for _, receipts in models), heads["octets"].astype(np.int64))
        model = np.repeat(np.arange(len(models)), counts)
        scores.carriers[heads["epoch"] <= np.repeat(np.asarray(tags_since, np.int64), counts)] = -1
        order = heads["settled"].argsort(kind="stable")
        order = order[np.isfinite(scores.highest[order])]
        lower, upper = (heads[name][order].astype(np.int64) + _YEAR_2000 for name in ("lower", "upper"))
        rows = heads["rows"][order].astype(np.int64)
        return cls(model[order], lower, upper, rows, scores.of(order))


def figures_of(windows: Windows, models: int, period: Period, slot: timedelta) -> Iterator[dict[str, Any] | None]:
    """Return for each model the figures of `latigo.reports.anomalies.Anomaly`; None: none in the range.

    Args:
        windows: of models whose slots have one length.
        models: how many there are.
        period: the range.
        slot: the length of their slots.
    """
    if not len(windows.model):
        yield from [None] * models
        return
    begin, length = floor_to_slot(period.before, slot), slot // _MICROSECOND
    zero = (begin - EPOCH) // _MICROSECOND
    columns = -((begin - period.end) // slot)
    border = min((period.start - begin) // slot, columns)
    last, slots = _last_writers(windows, models, zero, length, columns)
    written = last >= 0
    over = np.where(written & (windows.scores.over[last] >= 0), windows.scores.over[last] / slots[last], np.nan)
    rows = np.where(np.isnan(over), np.nan, windows.rows[last] / slots[last])
    highest = np.where(written, windows.scores.highest[last], np.nan)
    series = _series(over[:, border:], rows[:, border:], highest[:, border:])
    shares, before = (_shares(over[:, part], rows[:, part]) for part in (slice(border, None), slice(border)))
    tags = _carriers(windows.scores, last[:, border:], over[:, border:])
    for number in range(models):
        inside = np.flatnonzero(written[number, border:]) + border
        if not len(inside):
            yield None
            continue
        newest, peak = int(inside[-1]), int(inside[np.nanargmax(highest[number, inside])])
        share, share_before = shares[number], before[number]
        since = _since(over[number], newest)
        yield {
            "share_now": float(over[number, newest] / rows[number, newest]) if rows[number, newest] > 0 else None,
            "share": share,
            "share_before": share_before,
            "change": None if share is None or share_before is None else share - share_before,
            "now": float(highest[number, newest]),
            "now_at": EPOCH + int(windows.upper[last[number, newest]]) * _MICROSECOND,
            "max": float(highest[number, peak]),
            "max_at": EPOCH + int(windows.upper[last[number, peak]]) * _MICROSECOND,
            "since": None if since is None else begin + since[0] * slot,
            "since_before": bool(since and since[1]),
            "windows": len(inside),
            "tags": tags[number],
            "series": series[number],
        }


def _last_writers(windows: Windows, models: int, zero: int, length: int, columns: int) -> tuple[_Numbers, _Floats]:
    """Return which window wrote each slot of each model last, -1: none; and the slots of each window."""
    first, last = (windows.lower - zero) // length, -((zero - windows.upper) // length)
    slots = np.maximum(last - first, 1)
    of = np.repeat(np.arange(len(slots)), slots)
    column = np.repeat(first, slots) + np.arange(len(of)) - np.repeat(np.cumsum(slots) - slots, slots)
    inside = (column >= 0) & (column < columns)
    writers = np.full(models * columns, -1, np.int64)
    writers[windows.model[of[inside]] * columns + column[inside]] = of[inside]  # of several, the last one stays
    return writers.reshape(models, columns), slots.astype(np.float64)


def _shares(over: _Floats, rows: _Floats) -> list[float | None]:
    """Return by model the share of rows over the threshold; None where there is none."""
    exceeding, predicted = np.nansum(over, axis=1), np.nansum(rows, axis=1)
    return [float(part / all_) if all_ > 0 else None for part, all_ in zip(exceeding, predicted, strict=True)]


def _since(over: _Floats, newest: int) -> tuple[int, bool] | None:
    """Return the first slot of those that are over the threshold up to the newest, and whether it is the first of all.

    Slots that were not predicted interrupt nothing.
    """
    if not over[newest] > 0:
        return None
    known = np.flatnonzero(np.isfinite(over[: newest + 1]))
    calm = known[over[known] == 0]
    first = int(known[known > calm[-1]][0]) if len(calm) else int(known[0])
    return first, not len(calm)


def _carriers(scores: Scores, last: _Numbers, over: _Floats) -> list[list[tuple[int, float]]]:
    """Return by model places of tags and what they carry, most first: of slots over the threshold, or of all."""
    width = int(scores.carriers.max(initial=-1)) + 1
    at_once = max(_MOST_CELLS // max(width, 1), 1)
    parts = (slice(first, first + at_once) for first in range(0, len(last), at_once))
    return [carried for part in parts for carried in _carried(scores, last[part], over[part], width)]


def _carried(scores: Scores, last: _Numbers, over: _Floats, width: int) -> Iterator[list[tuple[int, float]]]:
    model, column = np.nonzero(last >= 0)
    window, weights = last[model, column], np.nan_to_num(over[model, column])
    calm = np.bincount(model, weights, len(last)) == 0
    weights[calm[model]] = 1.0
    tags, percents = scores.carriers[window], scores.percents[window]
    known = tags[:, 0] >= 0
    total = np.bincount(model[known], weights[known], len(last))
    carried = np.zeros(len(last) * width)
    for number in range(tags.shape[1]):
        there = tags[:, number] >= 0
        places = model[there] * width + tags[there, number]
        carried += np.bincount(places, percents[there, number] * weights[there], len(carried))
    table = carried.reshape(len(last), width)
    most = np.argsort(-table, axis=1, kind="stable")[:, :_MOST_TAGS]
    for row, places in enumerate(most.tolist()):
        shares = ((place, float(table[row, place] / (100 * total[row]))) for place in places if total[row])
        yield [(place, round(share, 3)) for place, share in shares if share >= 0.005]


def _series(over: _Floats, rows: _Floats, highest: _Floats) -> list[list[float | None]]:
    """Return by model the share of rows over the threshold in equal parts; without one, the highest anomaly."""
    columns = over.shape[1]
    firsts = np.unique(np.linspace(0, columns, min(PARTS, columns), endpoint=False).astype(int))
    exceeding, predicted = (np.add.reduceat(np.nan_to_num(table), firsts, axis=1) for table in (over, rows))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = exceeding / predicted
    most = np.maximum.reduceat(np.where(np.isfinite(highest), highest, -np.inf), firsts, axis=1)
    has_threshold = np.asarray(np.isfinite(over)).any(axis=1, keepdims=True)
    numbers = np.where(has_threshold, shares, most)
    series = numbers.round(4).astype(object)
    series[~np.isfinite(numbers)] = None
    listed: list[list[float | None]] = series.tolist()
    return listed
