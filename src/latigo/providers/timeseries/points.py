"""Points as the API writes them in JSON: time, value, status."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from latigo.domain.series import Series, Times
from latigo.domain.windows import from_ns, to_ns

GOOD = 192


Points = Sequence[Mapping[str, Any]]


class UnreadableError(Exception):
    """An item of an answer cannot be read."""


class ReadPoints(NamedTuple):
    """The points of one item, and how many of them were not good."""

    series: Series
    bad: int
    example: str  #: the first of them


def read_points(items: Sequence[tuple[Points, int, int]], good: frozenset[int]) -> list[ReadPoints]:
    """Return the good points of each item with ``start <= time < end`` (ns), in order of time, and the others counted.

    The points of all items are converted at once, which takes a third of the time.

    Raises:
        UnreadableError: they have another form.
    """
    try:
        every = [point for points, _, _ in items for point in points]
        times = read_times([point["time"] for point in every])
        values = np.array([point["value"] for point in every], np.float64)
        statuses = np.array([point.get("status", GOOD) for point in every], np.int64)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, pa.ArrowException) as error:
        raise UnreadableError(f"a point is not of the form time, value, status: {error}") from error
    usable = np.isin(statuses, list(good))
    found, begin = [], 0
    for points, start, end in items:
        own = slice(begin, begin := begin + len(points))
        found.append(_of_one(times[own], values[own], statuses[own], usable[own], start, end))
    return found


def _of_one(
    times: Times, values: npt.NDArray[np.float64], statuses: Times, usable: npt.NDArray[np.bool_], start: int, end: int
) -> ReadPoints:
    within = (times >= start) & (times < end)
    bad = within & ~usable
    usable = within & usable
    example = ""
    if bad.any():
        first = int(bad.argmax())
        example = f"{from_ns(int(times[first])):%Y-%m-%d %H:%M:%S}: status {statuses[first]}"
    if usable.all():
        return ReadPoints(_in_order(times, values), 0, example)
    return ReadPoints(_in_order(times[usable], values[usable]), int(bad.sum()), example)


def read_times(texts: Sequence[str]) -> Times:
    """Return times in ns; seven digits and a Z are the API's own form.

    Raises:
        ValueError, pyarrow.ArrowException: one is not a time.
    """
    try:
        column = pa.array(texts, pa.string()).cast(pa.timestamp("ns", "UTC"))
    except pa.ArrowInvalid:
        return np.array([to_ns(datetime.fromisoformat(text)) for text in texts], np.int64)
    times: Times = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return times


def write_time(time: int) -> str:
    """Return a time (ns) for a request, to the microsecond."""
    return f"{from_ns(time):%Y-%m-%dT%H:%M:%S.%f}Z"


def write_times(times: Times) -> list[str]:
    """Return times (ns) for a request, to the microsecond."""
    texts: npt.NDArray[np.str_] = np.datetime_as_string(times.astype("datetime64[ns]").astype("datetime64[us]"))
    return [f"{text}Z" for text in texts.tolist()]


def _in_order(times: Times, values: npt.NDArray[np.float64]) -> Series:
    """Return a series; a time that comes again, on another page or for another window, is one reading."""
    if len(times) > 1 and (times[1:] <= times[:-1]).any():
        times, rows = np.unique(times, return_index=True)
        values = values[rows]
    return Series(times, values)
