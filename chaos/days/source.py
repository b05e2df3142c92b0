"""A source whose readings arrive when the day says, as a plug-in: ``python:chaos.days.source:open_source``."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chaos.formulas import reading
from latigo.domain.errors import Unavailable
from latigo.domain.series import Point, Readings, Series
from latigo.domain.windows import Window
from latigo.runtime.clock import Clock, SystemClock

KIND = "python:chaos.days.source:open_source"
READ_EVERY = timedelta(minutes=5)


class Fate(NamedTuple):
    """What becomes of the readings of some tags in a period."""

    tags: frozenset[str]
    start: datetime
    end: datetime
    late_by: timedelta | None  #: None: there are none


def arrives(fates: Iterable[Fate], tag: str, time: datetime) -> datetime | None:
    """Return when the reading of this time can be read; None: never."""
    for fate in fates:
        if tag in fate.tags and fate.start <= time < fate.end:
            return None if fate.late_by is None else time + fate.late_by
    return time


class ArrivingSensors:
    """Every tag has a reading every five minutes, which arrives when its fate says."""

    downstream = "sensors/plant"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.fates: list[Fate] = []
        self.down = False
        self.absences: Sequence[Window] = ()

    async def ping(self) -> str:
        return "any tag"

    async def get_sensor_list(self) -> Sequence[str]:
        return ()

    async def sensor_exists(self, name: str) -> bool:  # noqa: ARG002 - every name is one
        return True

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        return f"{dict(parameters)} in {window}"

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:  # noqa: ARG002 - it is never much
        self._require_there()
        return {tag: self._series(tag, window.start, window.end) for tag in tags}

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        self._require_there()
        series = {tag: self._series(tag, not_older_than, time) for tag in tags}
        return {tag: Point(int(each.times[-1]), float(each.values[-1])) for tag, each in series.items() if len(each)}

    def _require_there(self) -> None:
        if self.down or any(absence.start <= self._clock.now() < absence.end for absence in self.absences):
            raise Unavailable("nothing answers", downstream=self.downstream)

    def _series(self, tag: str, start: datetime, end: datetime) -> Series:
        now = self._clock.now()
        step = int(READ_EVERY.total_seconds())
        seconds = np.arange(-(-int(start.timestamp()) // step) * step, int(end.timestamp()), step, dtype=np.int64)
        fates = [fate for fate in self.fates if tag in fate.tags]
        arrivals = [arrives(fates, tag, datetime.fromtimestamp(second, UTC)) for second in seconds.tolist()]
        there = [arrival is not None and arrival <= now for arrival in arrivals]
        seconds = seconds[np.array(there, np.bool_)]
        return Series(seconds * 1_000_000_000, np.array([reading(tag, second) for second in seconds.tolist()], float))


def write_day(path: Path, fates: Iterable[Fate], absences: Iterable[Window]) -> None:
    """Write what `open_source` reads."""
    content = {
        "fates": [
            (sorted(tags), start.isoformat(), end.isoformat(), late_by and late_by.total_seconds())
            for tags, start, end, late_by in fates
        ],
        "absences": [(each.start.isoformat(), each.end.isoformat()) for each in absences],
    }
    path.write_text(json.dumps(content))


@asynccontextmanager
async def open_source(path: str) -> AsyncIterator[ArrivingSensors]:
    """Open the source; the factory that the settings name."""
    yield _read_day(Path(path))


def _read_day(path: Path) -> ArrivingSensors:
    content = json.loads(path.read_text())
    sensors = ArrivingSensors(SystemClock())
    sensors.fates = [
        Fate(frozenset(tags), *_times(start, end), None if late_by is None else timedelta(seconds=late_by))
        for tags, start, end, late_by in content["fates"]
    ]
    sensors.absences = [Window(*_times(start, end)) for start, end in content["absences"]]
    return sensors


def _times(start: str, end: str) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(start), datetime.fromisoformat(end)
