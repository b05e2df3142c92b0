"""Parser of time columns, to nanoseconds since the epoch.

Times without an offset from UTC are local times of a zone. Where clocks are set back, a local time occurs twice: the
parser says which rows have such a time, and `latigo.providers.files.repeated_hour` decides what they mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from latigo.domain.series import Times
from latigo.domain.windows import EPOCH, span_ns
from latigo.providers.files.cells import Mask, NotNumbers, as_text, is_text, plain_column
from latigo.providers.files.repeated_hour import RepeatedHour, Run, Runs
from latigo.runtime.time_formats import EXCEL, ISO, MONTHS, TimeFormat

_QUARTER = span_ns(timedelta(minutes=15))  #: clocks change on full quarters of an hour
_NS = pa.timestamp("ns")
_NS_UTC = pa.timestamp("ns", "UTC")
_SECOND = 10**9
_DAY = 24 * 3600 * _SECOND
_UNIT_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_YEARS = (1678, 2261)  #: whole years that nanoseconds reach
_LAST = 2**63 - 1

# The unit of an epoch count follows from its size. Each range is 1973 to 2286, so that none contains a number such as
# 20260301 or 20260301120000, which would be a date in an unsupported format.
_UNITS = ((10**8, 10**10, 10**9), (10**11, 10**13, 10**6), (10**14, 10**16, 10**3), (10**17, 10**19, 1))
_COUNT = r"^(?P<whole>\d{9,19})(?:[.,](?P<fraction>\d{1,9}))?$"

# Serial dates count days from 1899-12-30. Below 61 they are wrong by a day, since 1900 was no leap year; the end of
# the range is the year 2261. The other system of Excel, which counts from 1904, is not recognisable and not read.
_SERIALS = (61.0, 132_000.0)
_SERIAL_EPOCH = -25569 * _DAY
_SERIAL = r"^\d{2,6}([.,]\d+)?$"


@dataclass(frozen=True, slots=True, eq=False)
class ParsedTimes:
    """Times of one column, in row order, valid where ``readable`` is true.

    Until `placed` is called, ambiguous rows have the time of the first run.
    """

    times: Times
    readable: Mask
    ambiguous: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))  #: rows, in ascending order
    hours: Sequence[RepeatedHour] = ()
    hour_of: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))  #: of each ambiguous row
    doubtful: npt.NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))  #: rows that are not placed

    @property
    def second(self) -> Times:
        """The times with ambiguous rows in their second run."""
        if not len(self.ambiguous):
            return self.times
        lengths = np.array([hour.length for hour in self.hours], np.int64)
        times = self.times.copy()
        times[self.ambiguous] += lengths[self.hour_of]
        return times

    def rows_in(self, hour: RepeatedHour) -> npt.NDArray[np.intp]:
        """Return the ambiguous rows of one hour."""
        if hour not in self.hours:
            return np.empty(0, np.intp)
        rows: npt.NDArray[np.intp] = self.ambiguous[self.hour_of == self.hours.index(hour)]
        return rows

    def doubtful_between(self, start: int, end: int) -> npt.NDArray[np.intp]:
        """Return the rows that are not placed and may be in a window, in either run."""
        first, second = self.times[self.doubtful], self.second[self.doubtful]
        may_be = ((first >= start) & (first < end)) | ((second >= start) & (second < end))
        rows: npt.NDArray[np.intp] = self.doubtful[may_be]
        return rows

    def placed(self, runs: Mapping[RepeatedHour, Runs]) -> "ParsedTimes":
        """Return the times with ambiguous rows in their runs; what is doubtful is not readable.

        Args:
            runs: for each hour the runs of its rows, in row order.
        """
        if not len(self.ambiguous):
            return self
        times, readable = self.times.copy(), self.readable.copy()
        for hour in self.hours:
            rows, placed = self.rows_in(hour), runs.get(hour)
            if placed is None or len(placed) != len(rows):
                readable[rows] = False
            else:
                times[rows[placed == Run.SECOND]] += hour.length
                readable[rows[placed == Run.DOUBTFUL]] = False
        return replace(self, times=times, readable=readable, doubtful=self.ambiguous[~readable[self.ambiguous]])


class _Moments(NamedTuple):
    """Times that a form of writing yields."""

    times: Times
    readable: Mask
    local: Mask  #: without an offset


class TimeParser:
    """Parser of times as text, numbers, or Arrow's time types.

    Without formats it reads ISO 8601 with or without offset, and epoch counts in s, ms, us or ns. A local time that
    does not exist, because clocks were set forward, is not readable.

    Args:
        zone: of times without an offset.
        formats: of text, tried in order for each cell, instead of those; ``excel`` reads serial dates.
    """

    def __init__(self, zone: ZoneInfo, formats: Sequence[str] = ()) -> None:
        self._zone = zone
        self.zone = zone.key
        self.is_utc = zone.key in {"UTC", "Etc/UTC", "Etc/UCT", "GMT", "Etc/GMT", "Zulu"}
        self._has_formats = bool(formats)
        self._has_serials = EXCEL in formats
        self._forms: list[Callable[[Any], _Moments]] = [
            _serials_of_text if text == EXCEL else _of_format(TimeFormat.of(text)) for text in formats
        ] or [*map(_of_format, ISO), _counts_of_text]

    def parse(self, column: Any) -> ParsedTimes:
        """Parse a column of any type."""
        column = plain_column(column)
        kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            times, readable = _from_timestamps(column)
            is_local = not pa.types.is_timestamp(kind) or kind.tz is None
            return self._localised(times, readable) if is_local else ParsedTimes(times, readable)
        if pa.types.is_integer(kind) and not self._has_formats:
            return ParsedTimes(*_from_counts(*_integers(column)))
        if pa.types.is_floating(kind) and not self._has_formats:
            return ParsedTimes(*_from_floats(column))
        if (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and self._has_serials:
            return self._localised(*_from_serials(column))
        if is_text(kind) or pa.types.is_integer(kind):
            try:
                return self._from_text(as_text(column))
            except NotNumbers:  # bytes that are no text
                pass
        return ParsedTimes(np.zeros(len(column), np.int64), np.zeros(len(column), np.bool_))

    def _from_text(self, column: Any) -> ParsedTimes:
        """Parse a column of one usual form at once, otherwise each cell by the first form that fits it."""
        if not self._has_formats:
            try:
                return self._localised(*_integers(column.cast(_NS).cast(pa.int64())))
            except pa.ArrowInvalid:
                pass
            try:
                return ParsedTimes(*_integers(column.cast(_NS_UTC).cast(pa.int64())))
            except pa.ArrowInvalid:
                pass
            if pc.all(pc.ascii_is_decimal(column)).as_py():
                try:
                    return ParsedTimes(*_from_counts(*_integers(column.cast(pa.int64()))))
                except pa.ArrowInvalid:  # more digits than fit
                    pass
        cells = pc.utf8_trim_whitespace(column)
        times = np.zeros(len(cells), np.int64)
        readable, local = np.zeros(len(cells), np.bool_), np.zeros(len(cells), np.bool_)
        rest = np.arange(len(cells))
        for parse in self._forms:
            found = parse(cells if len(rest) == len(cells) else cells.take(pa.array(rest)))
            rows = rest[found.readable]
            times[rows], readable[rows], local[rows] = found.times[found.readable], True, found.local[found.readable]
            rest = rest[~found.readable]
            if not len(rest):
                break
        return self._localised(times, readable, local)

    def _localised(self, local: Times, readable: Mask, is_local: Mask | None = None) -> ParsedTimes:
        """Return instants of local times; ``is_local`` says which of them are local, by default all."""
        if self.is_utc or not len(local):
            return ParsedTimes(local, readable)
        if is_local is not None and not is_local.all():
            rows = np.flatnonzero(is_local)
            times, readable, parsed = local.copy(), readable.copy(), self._localised(local[rows], readable[rows])
            times[rows], readable[rows] = parsed.times, parsed.readable
            return replace(parsed, times=times, readable=readable, ambiguous=rows[parsed.ambiguous])
        quarters, where = np.unique(local // _QUARTER, return_inverse=True)
        offsets = np.array([self._offsets(int(quarter)) for quarter in quarters], np.int64)
        first, second = offsets[:, 0], offsets[:, 1]
        if (first == second).all():
            return ParsedTimes(local - first[where], readable)
        readable = readable & (first >= second)[where]
        parsed = ParsedTimes(local - first[where], readable)
        repeated = first > second
        ambiguous = np.flatnonzero(repeated[where] & readable)
        if not len(ambiguous):
            return parsed
        known = np.stack([quarters, first, second], axis=1)[repeated]
        hours = [self._hour(quarter, before, after) for quarter, before, after in known.tolist()]
        distinct = list(dict.fromkeys(hours))
        numbers = np.zeros(len(quarters), np.intp)
        numbers[repeated] = [distinct.index(hour) for hour in hours]
        return replace(parsed, ambiguous=ambiguous, hours=tuple(distinct), hour_of=numbers[where][ambiguous])

    def _offsets(self, quarter: int) -> tuple[int, int]:
        """Return the offsets from UTC of a local quarter of an hour, ns: of its first and its second run."""
        local = EPOCH + timedelta(microseconds=quarter * _QUARTER // 1000)
        first, second = (local.replace(tzinfo=self._zone, fold=fold).utcoffset() for fold in (0, 1))
        assert first is not None  # noqa: S101 - a ZoneInfo always knows
        assert second is not None  # noqa: S101 - a ZoneInfo always knows
        return span_ns(first), span_ns(second)

    def _hour(self, quarter: int, first: int, second: int) -> RepeatedHour:
        """Return the hour to which a local quarter with these offsets belongs."""
        time = quarter * _QUARTER - first
        while self._offset_at(time) != second:
            time += _QUARTER
        return RepeatedHour(time, first - second)

    def _offset_at(self, time: int) -> int:
        offset = (EPOCH + timedelta(microseconds=time // 1000)).astimezone(self._zone).utcoffset()
        assert offset is not None  # noqa: S101 - a ZoneInfo always knows
        return span_ns(offset)


def join_times(columns: Sequence[Any]) -> Any:
    """Return times as one Arrow column: a date and a time of day in two columns are joined.

    Arrow's own types are added, anything else is joined as text by a space.
    """
    if len(columns) == 1:
        return columns[0]
    date, clock = map(plain_column, columns)
    is_date = pa.types.is_date(date.type) or pa.types.is_timestamp(date.type)
    if is_date and pa.types.is_time(clock.type):
        days, readable = _from_timestamps(date)
        passed, present = _integers(clock.cast(pa.time64("ns")).cast(pa.int64()))
        readable = readable & present & (days <= _LAST - _DAY)
        kind = _NS_UTC if pa.types.is_timestamp(date.type) and date.type.tz else _NS
        return pa.array(np.where(readable, days, 0) + passed, mask=~readable).cast(kind)
    if is_date:
        date = date.cast(pa.date32(), safe=False)
    try:
        return pc.binary_join_element_wise(as_text(date), as_text(clock), " ")
    except NotNumbers:
        return pa.nulls(len(date), pa.string())


def _of_format(form: TimeFormat) -> Callable[[Any], _Moments]:
    return lambda cells: _moments(form, cells)


def _moments(form: TimeFormat, cells: Any) -> _Moments:
    """Return the times of trimmed cells that have a form."""
    fields = pc.extract_regex(cells, form.pattern)
    matched = pc.is_valid(fields).to_numpy(zero_copy_only=False)
    times, readable = np.zeros(len(cells), np.int64), np.zeros(len(cells), np.bool_)
    local = np.zeros(len(cells), np.bool_)
    if matched.any():
        times[matched], readable[matched], local[matched] = _of_parts(
            form.parts, (fields if matched.all() else fields.filter(pa.array(matched))).field
        )
    return _Moments(times, readable, local)


def _of_parts(parts: frozenset[str], part: Callable[[str], Any]) -> _Moments:
    """Return the times that consist of parts, each an Arrow column of text, empty where a part is not there."""
    fraction = _whole(pc.utf8_rpad(part("fraction"), 9, "0")) if "fraction" in parts else np.int64(0)
    if "epoch" in parts:
        seconds = _whole(part("epoch"))
        everywhere = np.ones(len(seconds), np.bool_)
        return _Moments(seconds * _SECOND + fraction, everywhere & (seconds < _LAST // _SECOND), ~everywhere)
    days, readable = _days(parts, part)
    hour, minute, second = (
        _whole(part(name)) if name in parts else np.int64(0) for name in ("hour", "minute", "second")
    )
    if "hour12" in parts:
        is_afternoon = pc.match_substring_regex(part("half"), "^[pP]").to_numpy(zero_copy_only=False)
        hour = _whole(part("hour12")) % 12 + 12 * is_afternoon
    passed = (hour * 3600 + minute * 60 + second) * _SECOND + fraction
    readable = readable & (minute < 60) & (second < 60) & ((hour < 24) | (passed == _DAY))
    local = np.ones(len(days), np.bool_)
    if "offset" in parts:
        texts = part("offset").dictionary_encode()
        offsets = [_offset(text) for text in texts.dictionary.to_pylist()]
        codes = texts.indices.to_numpy()
        local = np.array([offset is None for offset in offsets])[codes]
        passed = passed - np.array([offset or 0 for offset in offsets], np.int64)[codes]
        in_hours = np.array([text[:1] in {"+", "-"} for text in texts.dictionary.to_pylist()])[codes]
        if in_hours.any() and "hour12" not in parts:  # 2026-03-01-05 is no date with an offset
            readable = readable & ~(in_hours & pc.equal(part("hour"), "").to_numpy(zero_copy_only=False))
        readable = readable & np.array([offset is None or abs(offset) < _DAY for offset in offsets])[codes]
    return _Moments(np.where(readable, days, 0) * _DAY + passed, readable, local)


def _days(parts: frozenset[str], part: Callable[[str], Any]) -> tuple[Times, Mask]:
    """Return days since the epoch, and which of them exist."""
    if "year" in parts:
        year = _whole(part("year"))
    else:
        year = _whole(part("short_year"))
        year = year + np.where(year < 69, 2000, 1900)  # as POSIX has it
    readable = (year >= _YEARS[0]) & (year <= _YEARS[1])
    year = np.where(readable, year, 1970)
    if "day_of_year" in parts:
        first = (year - 1970).astype("datetime64[Y]")
        days = first.astype("datetime64[D]") + (_whole(part("day_of_year")) - 1)
        return days.astype(np.int64), readable & (days.astype("datetime64[Y]") == first)
    if "month" in parts:
        month = _whole(part("month"))
    else:
        names = pc.utf8_slice_codeunits(pc.ascii_lower(part("month_name")), 0, 3)
        month = pc.index_in(names, pa.array(MONTHS)).to_numpy(zero_copy_only=False) + 1
    readable = readable & (month >= 1) & (month <= 12)
    first = ((year - 1970) * 12 + np.where(readable, month, 1) - 1).astype("datetime64[M]")
    day = _whole(part("day"))
    days = first.astype("datetime64[D]") + (day - 1)
    return days.astype(np.int64), readable & (day >= 1) & (days.astype("datetime64[M]") == first)


def _offset(text: str) -> int | None:
    """Return an offset from UTC, ns; None if there is none. What is no offset is a day or longer."""
    if not text:
        return None
    if text[0] not in "+-":
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:]) if len(text) > 3 else 0
    offset = (hours * 60 + minutes) * 60 * _SECOND if minutes < 60 else _DAY
    return -offset if text[0] == "-" else offset


def _whole(column: Any) -> Times:
    """Return whole numbers, 0 where a cell is empty."""
    try:
        numbers: Times = column.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        numbers = pc.if_else(pc.equal(column, ""), "0", column).cast(pa.int64()).to_numpy()
    return numbers


def _counts_of_text(cells: Any) -> _Moments:
    fields = pc.extract_regex(cells, _COUNT)
    matched = pc.is_valid(fields).to_numpy(zero_copy_only=False)
    whole = pc.if_else(pa.array(matched), fields.field("whole"), "0").cast(pa.uint64()).to_numpy(zero_copy_only=False)
    times, readable = _from_counts(np.minimum(whole, np.uint64(_LAST)).astype(np.int64), matched)
    fraction = pc.if_else(pa.array(matched), fields.field("fraction"), "")
    billionths = _whole(pc.utf8_rpad(fraction, 9, "0"))
    for low, high, factor in _UNITS:
        here = (whole >= low) & (whole < high)
        times[here] += billionths[here] * factor // 10**9
    return _Moments(times, readable, np.zeros(len(times), np.bool_))


def _serials_of_text(cells: Any) -> _Moments:
    matched = pc.match_substring_regex(cells, _SERIAL).fill_null(False)
    numbers = pc.replace_substring(pc.if_else(matched, cells, "0"), ",", ".").cast(pa.float64())
    times, readable = _from_serials(numbers)
    return _Moments(times, readable, np.ones(len(times), np.bool_))


def _from_serials(column: Any) -> tuple[Times, Mask]:
    """Parse serial dates, to the millisecond: fractions of a day are seldom exact."""
    days = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    readable = (days >= _SERIALS[0]) & (days < _SERIALS[1])
    milliseconds = np.rint(np.where(readable, days, 0.0) * (_DAY // 10**6)).astype(np.int64)
    return milliseconds * 10**6 + _SERIAL_EPOCH, readable


def _from_timestamps(column: Any) -> tuple[Times, Mask]:
    """Parse Arrow's dates and timestamps; those that nanoseconds do not reach are not readable."""
    kind = column.type
    if pa.types.is_date32(kind):
        counts, readable = _integers(column.cast(pa.int32()).cast(pa.int64()))
        factor = _DAY
    else:
        counts, readable = _integers(column.cast(pa.int64()))
        factor = _UNIT_NS["ms" if pa.types.is_date(kind) else kind.unit]
    if factor == 1:
        return counts, readable
    most = _LAST // factor
    within = (counts >= -most) & (counts <= most)
    return np.where(within, counts, 0) * factor, readable & within


def _from_counts(counts: Times, present: Mask) -> tuple[Times, Mask]:
    times, readable = np.zeros(len(counts), np.int64), np.zeros(len(counts), np.bool_)
    for low, high, factor in _UNITS:
        here = (counts >= low) & (counts < min(high, _LAST)) & present
        times[here] = counts[here] * factor
        readable |= here
    return times, readable


def _from_floats(column: Any) -> tuple[Times, Mask]:
    """Parse counts with a fraction, to the microsecond: the resolution of a double for current times."""
    counts = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    times, readable = np.zeros(len(counts), np.int64), np.zeros(len(counts), np.bool_)
    for low, high, factor in _UNITS:
        here = (counts >= low) & (counts < high)
        whole = np.floor(counts[here])
        microseconds = np.rint((counts[here] - whole) * (factor / 1000)).astype(np.int64)
        times[here] = whole.astype(np.int64) * factor + microseconds * 1000
        readable |= here
    return times, readable


def _integers(column: Any) -> tuple[Times, Mask]:
    """Return whole numbers, and which of them are there."""
    if pa.types.is_uint64(column.type):
        column = pc.if_else(pc.less_equal(column, pa.scalar(_LAST, pa.uint64())), column, None)
    column = column.cast(pa.int64())
    if column.null_count:
        present = pc.is_valid(column).to_numpy(zero_copy_only=False)
        return column.fill_null(0).to_numpy(zero_copy_only=False), present
    return column.to_numpy(zero_copy_only=False), np.ones(len(column), np.bool_)
