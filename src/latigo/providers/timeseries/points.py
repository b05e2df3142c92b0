"""Points as the API writes them in JSON: time, value, status."""

from collections.abc import Sequence
from datetime import datetime
from itertools import repeat
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
    """Points: ``times`` in ns, int64; ``values``, float64; ``statuses``, int64; each of shape (n,)."""

    times: Times
    values: Values
    statuses: Times


class Part(NamedTuple):
    """The points of one series in a page, and what is known of them, so that they need not be looked through again."""

    page: Points
    place: slice
    first: int  #: time in ns; of no meaning without points
    last: int
    is_sound: bool  #: all of them are good, and in order of time; False without points


def parts_of(page: Points, places: Sequence[slice], good: frozenset[int]) -> list[Part]:
    """Return the points of each place in a page, of which these statuses are good."""
    times, count = page.times, len(page.times)
    if not count:
        return [Part(page, place, 0, 0, is_sound=False) for place in places]
    starts, stops = np.array([(place.start, place.stop) for place in places]).T
    first, last = np.minimum(starts, count - 1), np.maximum(stops - 1, 0)
    bad, falls = _so_far(~_are_good(page.statuses, good)), _so_far(times[1:] <= times[:-1])
    sound = (starts < stops) & (bad[starts] == bad[stops]) & (falls[first] == falls[last])
    return list(map(Part, repeat(page), places, times[first].tolist(), times[last].tolist(), sound.tolist()))


def _so_far(flags: npt.NDArray[np.bool_]) -> Times:
    """Return how many of the flags are set before each place, and before the end."""
    counts = np.zeros(len(flags) + 1, np.int64)
    np.cumsum(flags, out=counts[1:])
    return counts


def good_points(parts: Sequence[Part], good: frozenset[int], start: int, end: int) -> ReadPoints:
    """Return the good points with ``start <= time < end`` (ns), in order of time, and the others counted."""
    page, place, first, last, is_sound = parts[0]
    if len(parts) == 1 and is_sound and start <= first and last < end:
        return ReadPoints(Series(page.times[place], page.values[place]), 0, "")
    times, values, statuses = (
        np.concatenate([page[column][place] for page, place, *_ in parts]) for column in range(len(Points._fields))
    )
    within, usable = (times >= start) & (times < end), _are_good(statuses, good)
    usable, bad, example = within & usable, within & ~usable, ""
    if bad.any():
        first = int(bad.argmax())
        example = f"{from_ns(int(times[first])):%Y-%m-%d %H:%M:%S}: status {statuses[first]}"
    return ReadPoints(_in_order(times[usable], values[usable]), int(bad.sum()), example)


def _are_good(statuses: Times, good: frozenset[int]) -> npt.NDArray[np.bool_]:
    return statuses == GOOD if good == _GOOD_ALONE else np.isin(statuses, list(good))


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


def _in_order(times: Times, values: Values) -> Series:
    """Return a series; a time that comes again, on another page or for another window, is one reading."""
    if not (times[1:] > times[:-1]).all():
        times, rows = np.unique(times, return_index=True)
        values = values[rows]
    return Series(times, values)
