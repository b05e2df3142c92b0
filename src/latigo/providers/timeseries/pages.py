"""Pages of points, read from JSON straight into arrays.

A point of the API is written in one form, ``{"time":"2026-01-01T08:00:03.4200000Z","value":12.5,"status":192}``. Where
every point of an answer has exactly this form, arrays are cut out of its bytes, without an object for each point: six
times as fast. Every byte is compared with the form, numbers and everything around the points are read by the parser of
JSON. An answer with anything else in it is read by the parser alone, which decides what it means.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from latigo.domain.series import Times, Values
from latigo.providers.timeseries.points import GOOD, Points, UnreadableError, read_times
from latigo.runtime.collector import collector_paused
from latigo.runtime.documents import read_json
from latigo.runtime.off_loop import LARGE_DOCUMENT, off_loop

_LARGE_SCAN = 1 << 20  #: bytes that are cut into arrays within a millisecond or two
_KEY = b'"datapoints":['
_EXAMPLE = b'{"time":"2026-01-01T08:00:03.4200000Z","value":'
#: The beginning of a point, in parts that can be compared at once.
_HEAD = np.dtype([("key", "u8"), ("quote", "u1"), ("time", "V28"), ("next", "u8"), ("colon", "u2")])
_FIXED = ("key", "quote", "next", "colon")
_FORM = np.frombuffer(_EXAMPLE, _HEAD)[0]
_STATUS = b',"status":'
_VALUE_AT = _HEAD.itemsize  #: from the beginning of a point
_SHORTEST = _VALUE_AT + 1 + len(_STATUS) + 1  #: from the beginning of a point to its last byte
_LONGEST_NUMBER = 32
_SEARCHED = 1 << 16  #: bytes at once
_AT_ONCE = 2 << 20  #: bytes of points that are cut into arrays at once; one series has no more
_STATUS_DIGITS = (3, 1, 2, *range(4, 11))  #: the most frequent first
_NOTHING = np.empty(0, np.int64)
_NO_POINTS = Points(_NOTHING, np.empty(0), _NOTHING)
_TENS = 10 ** np.arange(9, -1, -1)
_WORD = 8  #: bytes that are compared at once
_COMMA, _SPACE, _ZERO, _END = b", 0}"

_Bytes = npt.NDArray[np.uint8]


class Page(NamedTuple):
    """The points of many series, one series after the other."""

    places: Mapping[str, Sequence[slice]]  #: of the points of each series, by its id in lower case
    points: Points
    token: str  #: for the page after this one; empty: it is the last


async def read_page(body: bytearray) -> Page:
    """Return the page of an answer to ``POST /query/data``.

    Raises:
        UnreadableError: it has another form.
        DocumentTooLarge: it has not exactly the form of the API, and is larger than what may be read all the same.
        ValueError, RecursionError: it is not JSON.
    """
    page = await off_loop(len(body), _LARGE_SCAN, lambda: scan_page(body))
    if page is None:
        page = await off_loop(len(body), LARGE_DOCUMENT, lambda: parse_page(body))
    return page


def parse_page(body: bytearray) -> Page:
    """Return the page of any answer; raises as `read_page`."""
    with collector_paused():  # a document of many points would set it off again and again
        document = read_json(body)
        points: list[Mapping[str, Any]] = []
        places: dict[str, list[slice]] = {}
        for item in _items(document):
            own = item.get("datapoints") or ()
            try:
                places.setdefault(_id(item), []).append(slice(len(points), len(points) + len(own)))
                points.extend(own)
            except TypeError as error:
                raise UnreadableError(f"the points of an item are not a list: {error}") from error
        return Page(places, _columns(points), _token(document))


def _columns(points: Sequence[Mapping[str, Any]]) -> Points:
    try:
        times = read_times([point["time"] for point in points])
        values = np.array([point["value"] for point in points], np.float64)
        statuses = np.array([point.get("status", GOOD) for point in points], np.int64)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, pa.ArrowException) as error:
        raise UnreadableError(f"a point is not of the form time, value, status: {error}") from error
    if values.ndim != 1 or statuses.ndim != 1:
        raise UnreadableError("a point is not of the form time, value, status: it has several values")
    return Points(times, values, statuses)


def scan_page(body: bytearray) -> Page | None:
    """Return the page of an answer; None if it has not exactly the form of the API. Adds spaces to its end."""
    regions = _regions(body)
    document = _without(body, regions)
    if document is None:
        return None
    body += b" " * _LONGEST_NUMBER  # so that a row of that length may begin at any point; a copy would take its time
    parts, found, count = [], [], 0
    for some in _batches(regions):
        edges = _edges(body, some)
        points = None if edges is None else _scan(body, edges)
        if edges is None or points is None:
            return None
        parts.append(points)
        found += [slice(place.start + count, place.stop + count) for place in edges.places]
        count += len(points.times)
    places: dict[str, list[slice]] = {}
    try:
        for item in _items(document):
            match item.get("datapoints"):
                case None:
                    place = slice(0, 0)
                case [int() as region]:
                    place = found[region]
                case _:
                    return None
            places.setdefault(_id(item), []).append(place)
    except UnreadableError:
        return None
    return Page(places, _joined(parts), _token(document))


def _joined(parts: Sequence[Points]) -> Points:
    if len(parts) < 2:
        return parts[0] if parts else _NO_POINTS
    return Points(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _regions(body: bytearray) -> list[tuple[int, int]]:
    """Return where the points of each item begin and end."""
    regions, at = [], 0
    while (at := body.find(_KEY, at)) >= 0:
        at += len(_KEY)
        if (end := body.find(b"]", at)) < 0:
            break
        regions.append((at, end))
        at = end
    return regions


def _batches(regions: Sequence[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
    """Yield regions in groups that are not large, so that other threads run in between."""
    first = 0
    for number, (begin, _) in enumerate(regions):
        if begin - regions[first][0] > _AT_ONCE:
            yield regions[first:number]
            first = number
    if regions:
        yield regions[first:]


def _without(body: bytearray, regions: Sequence[tuple[int, int]]) -> Any:
    """Return the document with the number of its region in the place of all points of an item; None: it may differ."""
    parts, last = [], 0
    for number, (begin, end) in enumerate(regions):
        parts += [bytes(body[last:begin]), b"%d" % number]
        last = end
    rest = b"".join([*parts, bytes(body[last:])])
    # Another spelling of the key, or the key in a text, has another meaning than its bytes.
    if rest.count(b"datapoints") != len(regions) or b"\\" in rest or len(rest) >= LARGE_DOCUMENT:
        return None
    try:
        return orjson.loads(rest)
    except orjson.JSONDecodeError:
        return None


class _Edges(NamedTuple):
    """Where points begin, and their last byte; and which of them are in each region."""

    starts: Times
    ends: Times
    places: Sequence[slice]


def _edges(body: bytearray, regions: Sequence[tuple[int, int]]) -> _Edges | None:
    """Return the edges of the points in these regions, where they follow one another with one byte between them."""
    if regions[-1][1] - regions[0][0] > 2 * _AT_ONCE:
        return None  # more points of one series than were asked for
    begin, end = np.array(regions, np.int64).T
    every = _ends_of_objects(body, regions[0][0], regions[-1][1])
    low, high = np.searchsorted(every, begin), np.searchsorted(every, end)
    filled, stops = low < high, np.cumsum(high - low)
    firsts = stops - (high - low)
    if (every[high[filled] - 1] + 1 != end[filled]).any() or (begin[~filled] != end[~filled]).any():
        return None  # something else stands at the end
    ends = every[np.arange(stops[-1]) + np.repeat(low - firsts, high - low)]
    starts = np.empty_like(ends)
    starts[1:] = ends[:-1] + 2
    starts[firsts[filled]] = begin[filled]
    return _Edges(starts, ends, list(map(slice, firsts.tolist(), stops.tolist())))


def _ends_of_objects(body: bytearray, begin: int, end: int) -> Times:
    """Return where closing braces are; a large array in between would cost as much time as the search."""
    every = np.frombuffer(body, np.uint8)
    starts = range(begin, end, _SEARCHED)
    found = [np.flatnonzero(every[at : min(at + _SEARCHED, end)] == _END) + at for at in starts]
    return np.concatenate(found) if found else _NOTHING


def _scan(body: bytearray, edges: _Edges) -> Points | None:
    """Return the points between these edges; None if a byte of one is not as it should be."""
    starts, ends, _ = edges
    if not len(starts):
        return _NO_POINTS
    if (ends - starts).min() < _SHORTEST or not _are_separate(body, starts, ends):
        return None
    heads = _rows(body, starts, _VALUE_AT).view(_HEAD)[:, 0]
    if not all((heads[part] == _FORM[part]).all() for part in _FIXED):
        return None
    statuses = _statuses(body, ends)
    if statuses is None:
        return None
    begins = starts + _VALUE_AT
    values = _numbers(body, begins, ends - statuses[1] - len(_STATUS) - begins)
    if values is None:
        return None
    try:
        return Points(_times(np.ascontiguousarray(heads["time"])), values, statuses[0])
    except pa.ArrowException:
        return None


def _are_separate(body: bytearray, starts: Times, ends: Times) -> bool:
    """Return whether a comma stands between each two points of a region."""
    after = ends[:-1] + 1
    return bool((np.frombuffer(body, np.uint8)[after[starts[1:] == after + 1]] == _COMMA).all())


def _rows(body: bytearray, starts: Times, length: int) -> _Bytes:
    """Return so many bytes from each of these places; shape (n, length)."""
    every = np.ndarray((len(body) - length + 1,), f"V{length}", body, strides=(1,))
    return every[starts].view(np.uint8).reshape(len(starts), length)


def _equal(body: bytearray, starts: Times, word: bytes) -> npt.NDArray[np.bool_]:
    """Return at which of these places a text of 8 bytes stands."""
    words = np.ndarray((len(body) - _WORD + 1,), np.uint64, body, strides=(1,))
    return np.asarray(words[starts] == np.frombuffer(word, np.uint64))


def _times(rows: npt.NDArray[np.void]) -> Times:
    count, length = len(rows), rows.itemsize
    offsets = np.arange(0, (count + 1) * length, length, dtype=np.int32)
    texts = pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(rows))
    times: Times = texts.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return times


def _statuses(body: bytearray, ends: Times) -> tuple[Times, Times] | None:
    """Return the status before each of these ends, and how many digits it has."""
    statuses, widths = np.empty(len(ends), np.int64), np.empty(len(ends), np.int64)
    left: Times | slice = slice(None)
    for width in _STATUS_DIGITS:
        begins = ends[left] - width
        match = _equal(body, begins - _WORD, _STATUS[-_WORD:])
        if not match.any():
            continue
        whole = bool(match.all())
        chosen = left if whole else np.arange(len(ends))[left][match]
        begins = begins if whole else begins[match]
        digits = _rows(body, begins, width) - _ZERO  # what is less than a zero becomes large
        if (digits > 9).any() or not _equal(body, begins - len(_STATUS), _STATUS[:_WORD]).all():
            return None
        if width > 1 and not digits[:, 0].all():
            return None  # a number of JSON does not begin with a zero
        statuses[chosen] = digits @ _TENS[-width:]
        widths[chosen] = width
        if whole:
            return statuses, widths
        left = np.arange(len(ends))[left][~match]
    return None


def _numbers(body: bytearray, starts: Times, lengths: Times) -> Values | None:
    """Return the numbers of these lengths at these places, as the parser of JSON reads them."""
    width = int(lengths.max()) + 1
    if width > _LONGEST_NUMBER or lengths.min() < 1:
        return None
    rows = _rows(body, starts, width)
    rows[np.arange(width, dtype=np.int8) >= lengths.astype(np.int8)[:, None]] = _SPACE
    rows[:, -1] = _COMMA
    rows[-1, -1] = _SPACE
    try:
        values = orjson.loads(b"[%b]" % rows.tobytes())
        # As many numbers as texts, and nothing but numbers: so each text is one.
        return np.fromiter(values, np.float64, len(starts)) if len(values) == len(starts) else None
    except (TypeError, ValueError):
        return None


def _items(document: Any) -> Sequence[Mapping[str, Any]]:
    data = document.get("data") if isinstance(document, Mapping) else None
    items = data.get("items") if isinstance(data, Mapping) else None
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise UnreadableError("the answer has no data.items")
    return items


def _id(item: Mapping[str, Any]) -> str:
    return str(item.get("id", "")).lower()


def _token(document: Mapping[str, Any]) -> str:
    return str(document.get("continuationToken") or "")
