"""Buckets: the readings of one tag to one number each ``step``, and the filling of those without a reading.

Every rule here is gordo-core's, as measured on its version 0.3.6 with pandas 1.5.3.
Arrays of buckets have shape (labels,) or (tags, labels); a bucket that is empty is NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from latigo.domain.series import Point, Series, Times, Values
from latigo.domain.windows import Window, to_ns

DAY_NS: Final = 86_400_000_000_000
Counts = npt.NDArray[np.int64]

#: Cells that are filled at a time, so that the index arrays of a long window stay in the cache and out of the memory.
_BLOCK: Final = 1 << 16


@dataclass(frozen=True)
class Grid:
    """The buckets of a period: ``count`` of them, the first labelled ``first``, each ``step`` ns long.

    Labels are counted from midnight UTC of the day of ``start``. The first bucket holds ``start``, the last one holds
    ``end``, which makes one more bucket when ``end`` is on the grid.
    """

    start: int
    end: int
    step: int

    @cached_property
    def first(self) -> int:
        """The first label."""
        midnight = self.start - self.start % DAY_NS
        return self.start - (self.start - midnight) % self.step

    @cached_property
    def count(self) -> int:
        """How many buckets there are, that of ``end`` included."""
        return (self.end - self.first) // self.step + 1

    @cached_property
    def labels(self) -> Times:
        """The left edges, shape (count,)."""
        return self.first + self.step * np.arange(self.count, dtype=np.int64)

    @cached_property
    def edges(self) -> Times:
        """Where buckets begin, and where the last one ends, cut to ``start <= time <= end``; shape (count + 1,)."""
        edges = self.first + self.step * np.arange(self.count + 1, dtype=np.int64)
        edges[0] = self.start
        edges[-1] = self.end + 1
        return edges

    @classmethod
    def of(cls, period: Window, step: int) -> "Grid":
        """The buckets of a period."""
        return cls(to_ns(period.start), to_ns(period.end), step)


def _sums(values: Values, starts: Counts, counts: Counts) -> Values:
    sums: Values = np.add.reduceat(values, starts)
    if np.count_nonzero(np.isfinite(sums)) < len(sums):
        # pandas adds with compensation, so that anything added to infinity is NaN: only one that comes last stays.
        infinite = np.isinf(values)
        infinite[starts + counts - 1] = False
        sums[np.logical_or.reduceat(infinite, starts)] = np.nan
    return sums


def _mean(values: Values, starts: Counts, counts: Counts) -> Values:
    return _sums(values, starts, counts) / counts


def _min(values: Values, starts: Counts, counts: Counts) -> Values:  # noqa: ARG001 - one signature for all methods
    lowest: Values = np.minimum.reduceat(values, starts)
    return lowest


def _max(values: Values, starts: Counts, counts: Counts) -> Values:  # noqa: ARG001 - one signature for all methods
    highest: Values = np.maximum.reduceat(values, starts)
    return highest


def _prod(values: Values, starts: Counts, counts: Counts) -> Values:  # noqa: ARG001 - one signature for all methods
    product: Values = np.multiply.reduceat(values, starts)
    return product


def _first(values: Values, starts: Counts, counts: Counts) -> Values:  # noqa: ARG001 - one signature for all methods
    first: Values = values[starts]
    return first


def _last(values: Values, starts: Counts, counts: Counts) -> Values:
    last: Values = values[starts + counts - 1]
    return last


def _count(values: Values, starts: Counts, counts: Counts) -> Values:  # noqa: ARG001 - one signature for all methods
    return counts.astype(np.float64)


def _sorted_inside(values: Values, counts: Counts) -> Values:
    """The values of each bucket in rising order, the buckets where they were."""
    ordered: Values = values[np.lexsort((values, np.repeat(np.arange(len(counts)), counts)))]
    return ordered


def _nunique(values: Values, starts: Counts, counts: Counts) -> Values:
    ordered = _sorted_inside(values, counts)
    new = np.empty(len(ordered), np.float64)
    new[1:] = ordered[1:] != ordered[:-1]
    new[starts] = 1
    distinct: Values = np.add.reduceat(new, starts)
    return distinct


def _median(values: Values, starts: Counts, counts: Counts) -> Values:
    ordered = _sorted_inside(values, counts)
    middle: Values = (ordered[starts + (counts - 1) // 2] + ordered[starts + counts // 2]) / 2
    return middle


def _var(values: Values, starts: Counts, counts: Counts) -> Values:
    # Counted from each bucket's first value, so that a flat sensor deviates by exactly 0.
    offsets = values - np.repeat(values[starts], counts)
    deviations = offsets - np.repeat(np.add.reduceat(offsets, starts) / counts, counts)
    squares: Values = np.add.reduceat(deviations * deviations, starts)
    return squares / np.where(counts > 1, counts - 1, np.nan)


def _std(values: Values, starts: Counts, counts: Counts) -> Values:
    return np.sqrt(_var(values, starts, counts))


def _sem(values: Values, starts: Counts, counts: Counts) -> Values:
    return np.sqrt(_var(values, starts, counts) / counts)


#: By name: (values, first index of each bucket, length of each bucket) to one number a bucket. No value is NaN.
AGGREGATIONS: Final[dict[str, Callable[[Values, Counts, Counts], Values]]] = {
    "mean": _mean,
    "median": _median,
    "min": _min,
    "max": _max,
    "first": _first,
    "last": _last,
    "std": _std,
    "var": _var,
    "sem": _sem,
    "sum": _sums,
    "prod": _prod,
    "count": _count,
    "nunique": _nunique,
}

#: What a bucket without a value is, for the methods that give it a number; for the others it is empty.
OF_NOTHING: Final = {"sum": 0.0, "prod": 1.0, "count": 0.0, "nunique": 0.0}

#: Methods whose numbers pandas keeps as integers, which the row filter can tell.
WHOLE_NUMBERS: Final = frozenset({"count", "nunique"})


def aggregate(series: Series, grid: Grid, method: str, out: Values) -> tuple[int, int] | None:
    """One number for each bucket, into ``out``, shape (grid.count,).

    Readings outside ``grid.start <= time <= grid.end`` are passed over.

    Returns:
        The first and the last bucket that hold a number made of readings, (count, -1) if none does; None if there is
        not even a reading that is NaN.
    """
    bounds = series.times.searchsorted(grid.edges)
    low, high = int(bounds[0]), int(bounds[-1])
    if low == high:
        return None
    values = series.values[low:high]
    bounds -= low
    nan = np.isnan(values)
    if np.count_nonzero(nan):  # of all ways to ask, the fastest by far on a few hundred values
        valid = ~nan
        before = np.zeros(len(values) + 1, np.int64)
        valid.cumsum(out=before[1:])
        bounds, values = before[bounds], values[valid]
    counts = bounds[1:] - bounds[:-1]
    (held,) = counts.nonzero()
    out.fill(OF_NOTHING.get(method, np.nan))
    if not len(held):
        return len(out), -1
    if len(held) < len(counts):
        counts = counts[held]
    numbers = AGGREGATIONS[method](values, bounds[held], counts)
    out[held] = numbers
    empty = np.isnan(numbers)
    if np.count_nonzero(empty):
        held = held[~empty]
        if not len(held):
            return len(out), -1
    return int(held[0]), int(held[-1])


def _on_the_line(left: Values, right: Values, at: Counts, length: Counts) -> Values:
    """Values ``at`` steps along straight lines of ``length`` steps, with infinite ends as `numpy.interp` has them."""
    slope = (right - left) / length
    line = slope * at + left
    broken = np.isnan(line)
    if broken.any():
        line = np.where(broken, slope * (at - length) + right, line)
        line = np.where(np.isnan(line) & (left == right), left, line)
    return line


def fill_forward(buckets: Values, *, linear: bool, limit: int | None) -> None:
    """Fill the first ``limit`` empty buckets after each filled one, in place; ``buckets`` has shape (tags, labels).

    ``linear`` draws a line to the next filled bucket, however far away; after the last one, and without ``linear``,
    the value is carried on. Nothing is filled backwards.
    """
    tags, labels = buckets.shape
    together = max(1, _BLOCK // max(labels, 1))
    for top in range(0, tags, together):
        _fill_block(buckets[top : top + together], linear=linear, limit=limit)


def _fill_block(buckets: Values, *, linear: bool, limit: int | None) -> None:
    filled = ~np.isnan(buckets)
    if filled.all():
        return
    at = np.arange(buckets.shape[1])
    last = np.maximum.accumulate(np.where(filled, at, -1), axis=1)
    wanted = ~filled & (last >= 0)
    if limit is not None:
        wanted &= at - last <= limit
    tag, label = wanted.nonzero()
    left = last[tag, label]
    values = buckets[tag, left]
    if linear:
        count = len(at)
        following = np.minimum.accumulate(np.where(filled, at, count)[:, ::-1], axis=1)[:, ::-1][tag, label]
        (inside,) = (following < count).nonzero()
        if len(inside):
            left, following = left[inside], following[inside]
            right = buckets[tag[inside], following]
            values[inside] = _on_the_line(values[inside], right, label[inside] - left, following - left)
    buckets[tag, label] = values


def fill_from_before(buckets: Values, first: int, point: Point, grid: Grid, limit: int) -> None:
    """Fill the beginning of one tag, in place, from its last value before the period; always along a line.

    ``first`` is the first bucket that holds a number, ``grid.count`` if none does: then the value is carried on. The
    point counts from its time rounded to a multiple of the step since the epoch, to the even one of two; where the
    labels are no such multiples, which takes a step that does not divide a day, nothing is filled.
    """
    steps, rest = divmod(point.time, grid.step)
    rounded = steps + (rest * 2 > grid.step or (rest * 2 == grid.step and steps % 2 == 1))
    origin, off = divmod(rounded * grid.step - grid.first, grid.step)
    label = np.arange(max(origin, 0), min(first, origin + limit + 1, grid.count))
    if off or not len(label):
        return
    value = np.full(len(label), point.value)
    if first < grid.count:
        line = _on_the_line(
            value, np.full(len(label), buckets[first]), label - origin, np.full_like(label, first - origin)
        )
        value = np.where(label == origin, value, line)
    buckets[label] = value
