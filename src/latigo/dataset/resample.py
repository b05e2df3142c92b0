"""Aggregation of readings into buckets of equal length, and filling of empty buckets.

Every rule equals gordo-core's, as measured on version 0.3.6 with pandas 1.5.3.
Arrays of buckets have shape (labels,) or (tags, labels); an empty bucket is NaN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from latigo.domain.series import Point, Series, Times, Values
from latigo.domain.windows import Window, to_ns

DAY_NS: Final = 86_400_000_000_000
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Cells filled and readings aggregated at a time, so that copies and index arrays of a long window stay small.
_BLOCK: Final = 1 << 16


@dataclass(frozen=True)
class Grid:
    """Buckets of a period: ``count`` of them, each ``step`` ns long, the first labelled ``first``.

    Labels are counted from midnight UTC of the day of ``start``. The first bucket contains ``start``, the last one
    ``end``, which adds a bucket when ``end`` is on the grid.
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
        """The number of buckets, including that of ``end``."""
        return (self.end - self.first) // self.step + 1

    @cached_property
    def labels(self) -> Times:
        """The left edges, shape (count,)."""
        return self.first + self.step * np.arange(self.count, dtype=np.int64)

    @cached_property
    def edges(self) -> Times:
        """The edges of the buckets, clipped to ``start <= time <= end``; shape (count + 1,)."""
        edges = self.first + self.step * np.arange(self.count + 1, dtype=np.int64)
        edges[0] = self.start
        edges[-1] = self.end + 1
        return edges

    @classmethod
    def of(cls, period: Window, step: int) -> "Grid":
        """Return the buckets of a period."""
        return cls(to_ns(period.start), to_ns(period.end), step)


def _sums(values: Values, starts: Counts, counts: Counts) -> Values:
    sums: Values = np.add.reduceat(values, starts)
    if np.count_nonzero(np.isfinite(sums)) < len(sums):
        # pandas sums with compensation: infinity plus anything is NaN, so that only a last infinity remains.
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
    """Return the values sorted within each bucket."""
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


def _quantile(values: Values, starts: Counts, counts: Counts) -> Values:
    # The median, but for infinite values: half of the way between two infinite values is NaN.
    ordered = _sorted_inside(values, counts)
    low, high = ordered[starts + (counts - 1) // 2], ordered[starts + counts // 2]
    quantile: Values = np.where(counts % 2, low, low + (high - low) * 0.5)
    return quantile


def _var(values: Values, starts: Counts, counts: Counts) -> Values:
    # Relative to each bucket's first value, so that a constant sensor has a variance of exactly 0.
    offsets = values - np.repeat(values[starts], counts)
    deviations = offsets - np.repeat(np.add.reduceat(offsets, starts) / counts, counts)
    squares: Values = np.add.reduceat(deviations * deviations, starts)
    return squares / np.where(counts > 1, counts - 1, np.nan)


def _std(values: Values, starts: Counts, counts: Counts) -> Values:
    return np.sqrt(_var(values, starts, counts))


def _sem(values: Values, starts: Counts, counts: Counts) -> Values:
    return np.sqrt(_var(values, starts, counts) / counts)


#: By name: (values without NaN, start of each bucket, length of each bucket) to one number for each bucket.
AGGREGATIONS: Final[dict[str, Callable[[Values, Counts, Counts], Values]]] = {
    "mean": _mean,
    "median": _median,
    "quantile": _quantile,
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
    "size": _count,  # with NaN, see `_sizes`
}

#: How many times longer than a mean of the same readings a method takes: most of it is sorting.
SLOWNESS: Final = {"std": 8, "var": 8, "sem": 8, "median": 64, "quantile": 64, "nunique": 64}

#: Results for an empty bucket, by method; with the other methods it stays empty.
EMPTY_RESULTS: Final = {"sum": 0.0, "prod": 1.0, "count": 0.0, "nunique": 0.0, "size": 0.0}

#: Methods with integer results in pandas; the row filter divides integers differently.
INTEGER_METHODS: Final = frozenset({"count", "nunique", "size"})


def aggregate(readings: Sequence[Series], grid: Grid, method: str, out: Values) -> tuple[Flags, Flags]:
    """Aggregate the readings of tags into ``out``, shape (tags, grid.count).

    Readings outside ``grid.start <= time <= grid.end`` are ignored.

    Returns:
        The buckets with a number from readings, shape (tags, grid.count), and the tags that have any reading, be it
        NaN, shape (tags,). A tag without readings is NaN everywhere.
    """
    held, known = np.empty(out.shape, np.bool_), np.empty(len(readings), np.bool_)
    together = max(1, _BLOCK // max(grid.count, *map(len, readings)))
    for top in range(0, len(readings), together):
        some = slice(top, top + together)
        held[some], known[some] = _aggregate_block(readings[some], grid, method, out[some])
    return held, known


def _aggregate_block(readings: Sequence[Series], grid: Grid, method: str, out: Values) -> tuple[Flags, Flags]:
    """Aggregate as many readings as are worth copying next to each other."""
    edges, end, slices = grid.edges, 0, []
    bounds = np.empty((len(readings), len(edges)), np.int64)  # of the buckets, among the readings of all tags
    for row, series in enumerate(readings):
        found = series.times.searchsorted(edges)
        low, high = int(found[0]), int(found[-1])
        slices.append(slice(low, high))
        np.add(found, end - low, out=bounds[row])
        end += high - low
    known = bounds[:, -1] > bounds[:, 0]
    if method == "size":
        held = _sizes([series.times[part] for series, part in zip(readings, slices, strict=True)], bounds, grid, out)
    else:
        values = np.concatenate([series.values[part] for series, part in zip(readings, slices, strict=True)])
        held = _aggregate_values(values, bounds, method, out)
    out[~known] = np.nan
    return held, known


def _aggregate_values(values: Values, bounds: Counts, method: str, out: Values) -> Flags:
    nan = np.isnan(values)
    if np.count_nonzero(nan):  # faster than any() on a few hundred values
        valid = ~nan
        before = np.zeros(len(values) + 1, np.int64)
        valid.cumsum(out=before[1:])
        bounds, values = before[bounds], values[valid]
    counts = bounds[:, 1:] - bounds[:, :-1]
    held = counts > 0
    out.fill(EMPTY_RESULTS.get(method, np.nan))
    if len(values):
        numbers = AGGREGATIONS[method](values, bounds[:, :-1][held], counts[held])
        out[held] = numbers
        held[held] = ~np.isnan(numbers)
    return held


def _sizes(times: Sequence[Times], bounds: Counts, grid: Grid, out: Values) -> Flags:
    """Count the readings of each bucket, NaN included."""
    out[:] = bounds[:, 1:] - bounds[:, :-1]
    held: Flags = out > 0
    # gordo-core adds an empty reading at the start and at the end where the tag has none, and pandas counts both.
    for row, labels in enumerate(times):
        if len(labels):
            out[row, 0] += labels[0] > grid.start
            out[row, -1] += labels[-1] < grid.end
    return held


def _on_the_line(left: Values, right: Values, at: Counts, length: Counts) -> Values:
    """Return the values ``at`` steps along lines of ``length`` steps; infinite ends as in `numpy.interp`."""
    slope = (right - left) / length
    line = slope * at + left
    broken = np.isnan(line)
    if broken.any():
        line = np.where(broken, slope * (at - length) + right, line)
        line = np.where(np.isnan(line) & (left == right), left, line)
    return line


def steps(limit: timedelta, resolution: timedelta) -> int:
    """Return the buckets that a limit fills: the quotient of seconds as gordo-core rounds it, 0.3 s / 0.1 s to 2."""
    return int(_seconds(limit) / _seconds(resolution))


def _seconds(length: timedelta) -> float:
    # pandas' sum, whose rounding differs from that of timedelta.total_seconds().
    return length.days * 86_400 + length.seconds + length.microseconds / 1_000_000


def fill_forward(buckets: Values, *, linear: bool, limit: int | None) -> None:
    """Fill up to ``limit`` empty buckets after each filled one, in place; ``buckets`` has shape (tags, labels).

    With ``linear``, interpolates towards the next filled bucket at any distance. Without it, and after the last filled
    bucket, carries the value forward. Never fills backwards.
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
    """Fill the beginning of one tag, in place, from its last value before the period; always interpolates linearly.

    ``first`` is the first bucket with a number, or ``grid.count``: then the value is carried forward. The time of the
    point is rounded half to even to a multiple of the step since the epoch. Where labels are not such multiples,
    because the step does not divide a day, nothing is filled.
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
