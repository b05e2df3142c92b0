"""Parser of time columns, to nanoseconds since the epoch."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from latigo.domain.series import Times
from latigo.domain.windows import EPOCH, span_ns, to_ns
from latigo.providers.files.cells import is_text

_QUARTER = span_ns(timedelta(minutes=15))  #: clocks change on full quarters of an hour
_MOST_US = 2**63 // 1000 - 1
_NS = pa.timestamp("ns")
_NS_UTC = pa.timestamp("ns", "UTC")

# The unit of an epoch count follows from its size. Each range is 1973 to 2286, so that none contains a number such as
# 20260301 or 20260301120000, which would be a date in an unsupported format.
_UNITS = ((10**8, 10**10, 10**9), (10**11, 10**13, 10**6), (10**14, 10**16, 10**3), (10**17, 10**19, 1))

_ISO = re.compile(
    r"\s*(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?\s*", re.ASCII
)
_COUNT = re.compile(r"\s*(\d{9,19})(?:[.,](\d{1,9}))?\s*", re.ASCII)


class ClockState(NamedTuple):
    """State between rows that local times need while clocks are set back."""

    again: bool = False  #: the repeated hour is in its second run
    ambiguous: bool = False  #: the previous row was in such an hour
    last: int = 0  #: local time of the previous row


@dataclass(frozen=True, slots=True, eq=False)
class ParsedTimes:
    """Times of one column, valid where ``readable`` is true."""

    times: Times
    readable: npt.NDArray[np.bool_]
    state: ClockState  #: after the last row


class TimeParser:
    """Parser of ISO 8601 with or without offset, epoch counts in s, ms, us or ns, and Arrow's time types.

    Times without an offset are local times of ``zone``. A repeated hour is resolved by the order of rows: the first run
    is the earlier one, and after a jump back it is the later one. A local time that does not exist, because clocks were
    set forward, is not readable.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self.is_utc = zone.key in {"UTC", "Etc/UTC", "Etc/UCT", "GMT", "Etc/GMT", "Zulu"}

    def parse(self, column: Any, state: ClockState = ClockState()) -> ParsedTimes:  # noqa: B008 - immutable
        """Parse a column in row order; ``state`` is the state after the row before."""
        column = _one_array(column)
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
            kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return self._from_timestamps(column, state)
        if pa.types.is_integer(kind):
            return _with_state(*_from_counts(column), state)
        if pa.types.is_floating(kind):
            return _with_state(*_from_floats(column), state)
        if is_text(kind):
            return self._from_text(column.cast(pa.string()), state)
        readable = np.zeros(len(column), np.bool_)
        return ParsedTimes(np.zeros(len(column), np.int64), readable, state)

    def _from_timestamps(self, column: Any, state: ClockState) -> ParsedTimes:
        aware = pa.types.is_timestamp(column.type) and column.type.tz is not None
        try:
            instants = column.cast(_NS_UTC if aware else _NS)
            lost = None
        except pa.ArrowInvalid:  # some are beyond 1677 to 2262
            microseconds = pc.cast(column, pa.timestamp("us", column.type.tz if aware else None), safe=False)
            ticks = microseconds.cast(pa.int64())
            lost = pc.greater(pc.abs(ticks.fill_null(0)), _MOST_US).to_numpy(zero_copy_only=False)
            instants = pc.if_else(pa.array(lost), None, ticks).cast(pa.timestamp("us")).cast(_NS)
        times, readable = _integers(instants.cast(pa.int64()))
        if lost is not None:
            readable = readable & ~lost
        return _with_state(times, readable, state) if aware else self._localise(times, readable, state)

    def _from_text(self, column: Any, state: ClockState) -> ParsedTimes:
        """Parse a column of one format at once, otherwise cell by cell."""
        try:
            return self._localise(*_integers(column.cast(_NS).cast(pa.int64())), state)
        except pa.ArrowInvalid:
            pass
        try:
            return _with_state(*_integers(column.cast(_NS_UTC).cast(pa.int64())), state)
        except pa.ArrowInvalid:
            pass
        try:
            return _with_state(*_from_counts(column.cast(pa.int64())), state)
        except pa.ArrowInvalid:
            return self._cell_by_cell(column.to_pylist(), state)

    def _cell_by_cell(self, cells: list[str | None], state: ClockState) -> ParsedTimes:
        times = np.zeros(len(cells), np.int64)
        readable, local = np.zeros(len(cells), np.bool_), np.zeros(len(cells), np.bool_)
        for row, cell in enumerate(cells):
            if (parsed := _parse_cell(cell or "")) is not None:
                times[row], local[row] = parsed
                readable[row] = True
        if local.any():
            naive = self._localise(times[local], readable[local], state)
            times[local], readable[local] = naive.times, naive.readable
            state = naive.state
        return ParsedTimes(times, readable, state)

    def _localise(self, local: Times, readable: npt.NDArray[np.bool_], state: ClockState) -> ParsedTimes:
        if self.is_utc or not len(local):
            return ParsedTimes(local, readable, state)
        quarters, where = np.unique(local // _QUARTER, return_inverse=True)
        offsets = np.array([self._offsets(int(quarter)) for quarter in quarters], np.int64)
        first, second = offsets[:, 0][where], offsets[:, 1][where]
        ambiguous = first > second
        if ambiguous.any():
            again, state = _in_second_run(local, ambiguous, first - second, state)
            return ParsedTimes(local - np.where(again, second, first), readable, state)
        after = ClockState(last=int(local[-1]))
        return ParsedTimes(local - first, readable & (first == second), after)

    def _offsets(self, quarter: int) -> tuple[int, int]:
        """Return the offsets from UTC of a local quarter of an hour, ns: of its first and its second run."""
        local = EPOCH + timedelta(microseconds=quarter * _QUARTER // 1000)
        first, second = (local.replace(tzinfo=self._zone, fold=fold).utcoffset() for fold in (0, 1))
        assert first is not None  # noqa: S101 - a ZoneInfo always knows
        assert second is not None  # noqa: S101 - a ZoneInfo always knows
        return span_ns(first), span_ns(second)


def _in_second_run(
    local: Times, ambiguous: npt.NDArray[np.bool_], overlap: Times, state: ClockState
) -> tuple[npt.NDArray[np.bool_], ClockState]:
    """Return which rows are in the second run of a repeated hour.

    A step back of less than half the overlap is jitter. Row by row: this affects a block or two a year.
    """
    again = np.zeros(len(local), np.bool_)
    running, was_ambiguous, last = state
    for row, (now, doubtful, hour) in enumerate(zip(local.tolist(), ambiguous.tolist(), overlap.tolist(), strict=True)):
        running = doubtful and (running or (was_ambiguous and now < last - hour // 2))
        again[row], was_ambiguous, last = running, doubtful, now
    return again, ClockState(running, was_ambiguous, last)


def _parse_cell(text: str) -> tuple[int, bool] | None:
    """Return the time in ns, and whether it is a local one."""
    if count := _COUNT.fullmatch(text):
        whole, fraction = int(count[1]), (count[2] or "").ljust(9, "0")
        for low, high, factor in _UNITS:
            if low <= whole < high:
                return whole * factor + int(fraction) * factor // 10**9, False
        return None
    if not (match := _ISO.fullmatch(text)):
        return None
    day, clock, fraction, offset = match.groups()
    try:
        time = datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset or '+00:00'}")
    except ValueError:
        return None
    nanoseconds = to_ns(time) + int((fraction or "").ljust(9, "0"))
    return (nanoseconds, offset is None) if abs(nanoseconds) < 2**63 else None


def _from_counts(column: Any) -> tuple[Times, npt.NDArray[np.bool_]]:
    counts, present = _integers(column.cast(pa.int64()))
    times, readable = np.zeros(len(counts), np.int64), np.zeros(len(counts), np.bool_)
    for low, high, factor in _UNITS:
        here = (counts >= low) & (counts < min(high, 2**63 - 1)) & present
        times[here] = counts[here] * factor
        readable |= here
    return times, readable


def _from_floats(column: Any) -> tuple[Times, npt.NDArray[np.bool_]]:
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


def _integers(column: Any) -> tuple[Times, npt.NDArray[np.bool_]]:
    if column.null_count:
        present = pc.is_valid(column).to_numpy(zero_copy_only=False)
        return column.fill_null(0).to_numpy(zero_copy_only=False), present
    return column.to_numpy(zero_copy_only=False), np.ones(len(column), np.bool_)


def _one_array(column: Any) -> Any:
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def _with_state(times: Times, readable: npt.NDArray[np.bool_], state: ClockState) -> ParsedTimes:
    return ParsedTimes(times, readable, state)
