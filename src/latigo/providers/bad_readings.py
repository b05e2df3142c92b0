"""Readings that a source has and that cannot be used: skipped, counted, and logged once.

A reading is missing where the source has nothing, or a marker that stands for nothing. It is *bad* where something is
there: text, a quality that is not good, a row that cannot be read. Sources count what they skip here; the counts
reach the ledger, the metrics and ``latigo status``.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import structlog

from latigo.runtime.clock import Clock
from latigo.runtime.redaction import excerpt

_log = structlog.get_logger()

_MOST_UNITS = 100_000  #: that are remembered, those that were read last
_MOST_ENTRIES = 10_000  #: places, tags and faults; what comes after them is not counted
_LONGEST_EXAMPLE = 300


class Fault(StrEnum):
    """What is wrong with a reading."""

    TEXT = "text"  #: text where a number belongs, such as ``Bad``
    QUALITY = "quality"  #: its quality is not among the good ones
    TIME = "time"  #: its time cannot be read
    TWO_TIMES = "two_times"  #: its local time has two meanings, and nothing shows which one holds
    ROW = "row"  #: its row cannot be read: another number of cells, NUL characters, a header in the middle


class _Key(NamedTuple):
    place: str
    tag: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class BadReadingCount:
    """Bad readings of one kind, since this process started."""

    place: str  #: file, or measurement
    tag: str  #: empty for whole rows
    fault: Fault
    readings: int  #: or rows
    example: str  #: the first one that was found, and where
    first_at: datetime  #: when it was found
    last_at: datetime  #: when the newest ones were found


@dataclass(slots=True)
class _Entry:
    example: str
    first_at: datetime
    last_at: datetime
    readings: int = field(default=0)


class BadReadings:
    """The account of one process; safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[_Key, _Entry] = {}
        self._units: OrderedDict[tuple[_Key, Hashable], int] = OrderedDict()

    def record(self, place: str, unit: Hashable, tag: str, fault: Fault, count: int, example: str) -> None:
        """Count the bad readings of one unit.

        Args:
            place: the file or measurement.
            unit: what is read at once, such as a block of a file or an hour of a sensor. It may be read again: of
                several counts for the same unit the largest stands.
            tag: whose readings they are; empty for whole rows.
            fault: what is wrong.
            count: how many; none is not recorded.
            example: the first one, and where it is, such as ``line 12: 'Bad' is not a number``.
        """
        if count <= 0:
            return
        key = _Key(place, tag, fault)
        with self._lock:
            before = self._units.get((key, unit), 0)
            if count > before and (entry := self._entry(key, example)):
                entry.readings += count - before
                entry.last_at = self._clock.now()
            self._units[key, unit] = max(count, before)
            self._units.move_to_end((key, unit))
            if len(self._units) > _MOST_UNITS:
                self._units.popitem(last=False)

    def counts(self) -> Sequence[BadReadingCount]:
        """Return what was counted, most readings first."""
        with self._lock:
            counts = [
                BadReadingCount(*key, entry.readings, entry.example, entry.first_at, entry.last_at)
                for key, entry in self._entries.items()
            ]
        return sorted(counts, key=lambda count: (-count.readings, count.place, count.tag))

    def _entry(self, key: _Key, example: str) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is None and len(self._entries) < _MOST_ENTRIES:
            now = self._clock.now()
            entry = self._entries[key] = _Entry(excerpt(example, _LONGEST_EXAMPLE), now, now)
            _log.warning("readings.skipped", place=key.place, tag=key.tag, fault=key.fault, example=entry.example)
        return entry
