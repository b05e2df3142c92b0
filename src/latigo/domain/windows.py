"""Windows and slots of data time: UTC, half-open, aligned."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


def to_ns(time: datetime) -> int:
    """Return exact nanoseconds since the epoch, the unit of all series."""
    return (time - EPOCH) // _MICROSECOND * 1000


def from_ns(nanoseconds: int) -> datetime:
    """Return the UTC time of nanoseconds since the epoch, truncated to microseconds."""
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)


def span_ns(duration: timedelta) -> int:
    """Return a duration in exact nanoseconds."""
    return duration // _MICROSECOND * 1000


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open interval of data time, ``start <= t < end``, in UTC.

    Raises:
        ValueError: a bound has no offset from UTC, or the window is empty.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is not UTC or self.end.tzinfo is not UTC:
            if self.start.tzinfo is None or self.end.tzinfo is None:
                raise ValueError(f"a window needs times with an offset from UTC: {self.start}, {self.end}")
            object.__setattr__(self, "start", self.start.astimezone(UTC))
            object.__setattr__(self, "end", self.end.astimezone(UTC))
        if self.start >= self.end:
            raise ValueError(f"a window ends after it starts: {self.start} .. {self.end}")

    @property
    def length(self) -> timedelta:
        """Duration of the window."""
        return self.end - self.start

    def __contains__(self, time: datetime) -> bool:
        return self.start <= time < self.end

    def __str__(self) -> str:
        return f"[{iso(self.start)}, {iso(self.end)})"

    def intersect(self, other: Self) -> "Window | None":
        """Return the intersection of two windows, or None if they do not overlap."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Window(start, end) if start < end else None

    def slots(self, length: timedelta) -> Iterator["Window"]:
        """Split the window into parts of ``length``, oldest first; the last one may be shorter."""
        start = self.start
        while start < self.end:
            yield Window(start, min(start + length, self.end))
            start += length


def iso(time: datetime) -> str:
    """Format a time as ISO 8601 in UTC with ``Z``, in seconds where that is exact, else in microseconds."""
    text = time.astimezone(UTC).isoformat(timespec="microseconds" if time.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def slot_length(resolution: timedelta, interval: timedelta) -> timedelta:
    """Return the length of a model's slot.

    It is the smallest multiple of the resolution that is not shorter than ``interval`` and divides a day. Where there
    is none (a resolution of 7 minutes) it is one day: gordo-core counts such buckets from the midnight of the first day
    of a period, so only whole days give the same rows in every window.

    Raises:
        ValueError: resolution or interval is not positive, or the interval is longer than a day.
    """
    if resolution <= timedelta(0) or interval <= timedelta(0):
        raise ValueError("resolution and interval are positive durations")
    if interval > DAY:
        raise ValueError("an interval is at most a day")
    if DAY % resolution:
        return DAY
    rows = DAY // resolution
    slots_a_day = next(n for n in range(min(DAY // interval, rows), 0, -1) if rows % n == 0)
    return DAY // slots_a_day


def foldable(resolution: timedelta) -> bool:
    """Return whether a window of several slots gives the same rows as the slots one by one."""
    return DAY % resolution == timedelta(0)


def floor_to_slot(time: datetime, slot: timedelta) -> datetime:
    """Return the start of the slot that contains ``time``; slots are counted from midnight UTC and divide a day."""
    return time - (time - EPOCH) % slot
