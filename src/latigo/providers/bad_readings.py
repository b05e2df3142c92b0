"""Readings that a source has and that cannot be used: skipped, counted, and logged once.

Sources count here what they skip; the counts reach the ledger, the metrics and ``latigo status``.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from latigo.domain.bad_readings import BadReadingCount, Fault
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.runtime.redaction import excerpt

__all__ = ["BadReadings", "Fault"]

_log = get_logger(__name__)

_MOST_UNITS = 100_000  #: that are remembered, those that were read last
_MOST_ENTRIES = 10_000  #: places, tags and faults; what comes after them is not counted
_LONGEST_EXAMPLE = 300


Example = str | Callable[[], str]  #: or what returns it


class _Key(NamedTuple):
    place: str
    tag: str
    fault: Fault


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

    def record(
        self, place: str, unit: Hashable, tag: str, fault: Fault, count: int, example: str | Callable[[], str]
    ) -> None:
        """Count the bad readings of one unit.

        Args:
            place: the file or measurement.
            unit: what is read at once, such as a block of a file or an hour of a sensor. It may be read again: of
                several counts for the same unit the largest stands.
            tag: whose readings they are; empty for whole rows.
            fault: what is wrong.
            count: how many; none is not recorded.
            example: the first one, and where it is, such as ``line 12: 'Bad' is not a number``; or what returns it,
                called for the first of its kind.
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

    def total(self) -> int:
        """Return how many readings and rows were counted."""
        with self._lock:
            return sum(entry.readings for entry in self._entries.values())

    def _entry(self, key: _Key, example: Example) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is None and len(self._entries) < _MOST_ENTRIES:
            now, text = self._clock.now(), example() if callable(example) else example
            entry = self._entries[key] = _Entry(excerpt(text, _LONGEST_EXAMPLE), now, now)
            _log.warning("readings.skipped", place=key.place, tag=key.tag, fault=key.fault, example=entry.example)
        return entry
