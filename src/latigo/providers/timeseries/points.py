"""Points as the API writes them in JSON: time, value, status."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from latigo.domain.series import Series, Times, Values
from latigo.domain.windows import from_ns, to_ns

GOOD = 192
_GOOD_ALONE = frozenset({GOOD})


class UnreadableError(Exception):
    """An answer, or an item of one, cannot be read."""


class ReadPoints(NamedTuple):
    """The points of one item, and how many of them were not good."""

    series: Series
    bad: int
    example: str  #: the first of them


class Points(NamedTuple):
    """Points of one series: ``times`` in ns, int64; ``values``, float64; ``statuses``, int64; each of shape (n,)."""

    times: Times
    values: Values
    statuses: Times

    def at(self, place: slice) -> "Points":
        """Return some of them."""
        return Points(self.times[place], self.values[place], self.statuses[place])


def joined(parts: Sequence[Points]) -> Points:
    """Return points that came in several parts; there is at least one."""
    return parts[0] if len(parts) == 1 else Points(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def good_points(points: Points, good: frozenset[int], start: int, end: int) -> ReadPoints:
    """Return the good points with ``start <= time < end`` (ns), in order of time, and the others counted."""
    times, values, statuses = points
    usable = statuses == GOOD if good == _GOOD_ALONE else np.isin(statuses, list(good))
    if len(times) and times[0] >= start and times[-1] < end and _are_in_order(times) and usable.all():
        return ReadPoints(Series(times, values), 0, "")
    within = (times >= start) & (times < end)
    usable, bad, example = within & usable, within & ~usable, ""
    if bad.any():
        first = int(bad.argmax())
        example = f"{from_ns(int(times[first])):%Y-%m-%d %H:%M:%S}: status {statuses[first]}"
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


def write_times(times: Times) -> list[bytes]:
    """Return times (ns) as they stand in JSON, to the microsecond."""
    texts: npt.NDArray[np.str_] = np.datetime_as_string(times.astype("datetime64[ns]").astype("datetime64[us]"))
    return [b'"%bZ"' % text.encode() for text in texts.tolist()]


def write_values(values: Values) -> list[bytes]:
    """Return finite values as they stand in JSON, in the order of their memory."""
    return orjson.dumps(values.ravel().tolist())[1:-1].split(b",")


def _are_in_order(times: Times) -> bool:
    return bool((times[1:] > times[:-1]).all())


def _in_order(times: Times, values: Values) -> Series:
    """Return a series; a time that comes again, on another page or for another window, is one reading."""
    if not _are_in_order(times):
        times, rows = np.unique(times, return_index=True)
        values = values[rows]
    return Series(times, values)
