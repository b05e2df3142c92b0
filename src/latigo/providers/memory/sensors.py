"""Readings in a dict."""

from collections.abc import Mapping, MutableMapping, Sequence
from datetime import datetime

import numpy as np

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import Reason, Rejected, TooLarge, describe_tags
from latigo.domain.series import Point, Readings, Series, Times
from latigo.domain.windows import Window, to_ns


class MemorySensors:
    """Sensors whose readings are in ``readings``, by tag, each in time order; replace a series to add to it."""

    def __init__(self, readings: MutableMapping[str, Series] | None = None, *, name: str = "memory") -> None:
        self.downstream = circuit_name(System.SENSORS, name)
        self.readings: MutableMapping[str, Series] = {} if readings is None else readings

    async def ping(self) -> str:
        return f"{len(self.readings)} tags"

    async def get_sensor_list(self) -> Sequence[str]:
        return sorted(self.readings)

    async def sensor_exists(self, name: str) -> bool:
        """Return whether there is a series of this name, empty or not."""
        return name in self.readings

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """Return the key and the slice."""
        return f"readings[{parameters.get('tag', '*')!r}]{window}"

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        """Return slices of the series, not copies."""
        if unknown := [tag for tag in tags if tag not in self.readings]:
            raise Rejected(f"no sensor is named {describe_tags(unknown)}", reason=Reason.UNKNOWN_SENSOR, tags=unknown)
        bounds = _bounds(window.start, window.end)
        readings = {tag: _between(self.readings[tag], bounds) for tag in tags}
        if (size := sum(series.nbytes for series in readings.values())) > max_bytes:
            raise TooLarge(f"the readings of {window} take {size} bytes, more than {max_bytes}")
        return readings

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        readings: dict[str, Point] = {}
        bounds = _bounds(not_older_than, time)
        for tag in tags:
            series = _between(self.readings.get(tag, Series.empty()), bounds)
            if (finite := np.flatnonzero(np.isfinite(series.values))).size:
                readings[tag] = Point(int(series.times[finite[-1]]), float(series.values[finite[-1]]))
        return readings


def _bounds(start: datetime, end: datetime) -> Times:
    return np.array((to_ns(start), to_ns(end)), np.int64)


def _between(series: Series, bounds: Times) -> Series:
    low, high = series.times.searchsorted(bounds)
    return Series(series.times[low:high], series.values[low:high])
