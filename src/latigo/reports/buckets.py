"""Series for charts: least, greatest and mean of each stretch of time, so that no peak is lost. Pure, and numpy."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import numpy as np

from latigo.domain.series import Column, Predictions, Series, Times, Values
from latigo.domain.windows import span_ns

_SECOND: Final = span_ns(timedelta(seconds=1))
#: Lengths of buckets in seconds: a chart's columns begin at whole ones.
_LENGTHS: Final = (
    *(1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 14400, 21600, 28800, 43200),
    *(86400 * days for days in (1, 2, 7, 14, 28)),
)


class Bucketed(NamedTuple):
    """Columns over time; all arrays of values have shape (columns, times), NaN where there is nothing."""

    columns: Sequence[Column]
    times: Times  #: begins of buckets, or the times of rows as they are
    least: Values
    greatest: Values
    mean: Values
    bucket_s: float | None  #: length of a bucket in seconds; None: rows as they are


def bucket_length(seconds: float, points: int) -> int:
    """Return the least length, in seconds, with which a range touches at most so many buckets."""
    for length in _LENGTHS:
        if seconds / length <= points - 1:
            return length
    return int(-(-seconds // max(points - 1, 1)))


def united(parts: Iterable[Predictions]) -> tuple[Times, Sequence[Column], Values]:
    """Return rows of several revisions as one table, in order of time; of two rows at a time, that of the last part."""
    parts = [part for part in parts if len(part)]
    columns = list(dict.fromkeys(column for part in parts for column in part.columns))
    place = {column: number for number, column in enumerate(columns)}
    rows = sum(len(part) for part in parts)
    times, values, first = np.zeros(rows, np.int64), np.full((rows, len(columns)), np.nan), 0
    for part in parts:
        last = first + len(part)
        times[first:last] = part.times
        values[first:last, [place[column] for column in part.columns]] = part.values
        first = last
    _, newest = np.unique(times[::-1], return_index=True)
    order = rows - 1 - newest
    return times[order], columns, values[order]


def bucketed(times: Times, columns: Sequence[Column], values: Values, seconds: float, points: int) -> Bucketed:
    """Return rows as they are, if they are at most ``points``, else in buckets.

    Args:
        times: of the rows, ascending.
        columns: of the table.
        values: of shape (rows, columns).
        seconds: length of the range.
        points: most of them in a column.
    """
    if len(times) <= points:
        table = values.T
        return Bucketed(columns, times, table, table, table, None)
    length = bucket_length(seconds, points)
    starts, firsts = np.unique(times // (length * _SECOND), return_index=True)
    finite = np.isfinite(values)
    counts = np.add.reduceat(finite, firsts, axis=0, dtype=np.int64)
    least = np.minimum.reduceat(np.where(finite, values, np.inf), firsts, axis=0)
    greatest = np.maximum.reduceat(np.where(finite, values, -np.inf), firsts, axis=0)
    # A mean is between the two, also where a sum is not: of huge numbers, or after rounding.
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.add.reduceat(np.where(finite, values, 0.0), firsts, axis=0) / np.maximum(counts, 1)
    mean = np.clip(np.where(np.isfinite(mean), mean, least / 2 + greatest / 2), least, greatest)
    for table in (least, greatest, mean):
        table[counts == 0] = np.nan
    return Bucketed(columns, starts * length * _SECOND, least.T, greatest.T, mean.T, float(length))


def bucketed_readings(readings: Mapping[str, Series], start: int, seconds: float, points: int) -> Bucketed:
    """Return readings of tags in buckets that they share; ``start`` of the range in ns."""
    length = bucket_length(seconds, points)
    first = start // (length * _SECOND)
    buckets = (start + int(seconds * _SECOND)) // (length * _SECOND) - first + 1
    least, greatest, mean = (np.full((len(readings), buckets), np.nan) for _ in range(3))
    for row, series in enumerate(readings.values()):
        places = series.times // (length * _SECOND) - first
        finite = np.isfinite(series.values) & (places >= 0) & (places < buckets)
        places, values = places[finite], series.values[finite]
        if not len(places):
            continue
        there, firsts, counts = np.unique(places, return_index=True, return_counts=True)
        least[row, there] = np.minimum.reduceat(values, firsts)
        greatest[row, there] = np.maximum.reduceat(values, firsts)
        with np.errstate(over="ignore", invalid="ignore"):
            mean[row, there] = np.add.reduceat(values, firsts) / counts
    columns = [Column("reading", tag) for tag in readings]
    times = (np.arange(buckets, dtype=np.int64) + first) * length * _SECOND
    return Bucketed(columns, times, least, greatest, mean, float(length))
