"""The sensors of a simulated plant as a source of readings."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import Reason, Rejected, TooLarge, describe_tags
from latigo.domain.series import Point, Readings, Series
from latigo.domain.windows import Window, iso, span_ns, to_ns
from latigo.providers.simulated.plant import Plant

_READING_BYTES = 16  # an int64 time and a float64 value


class PlantSensors:
    """The sensors of a simulated plant as a source of readings, none of them from the future.

    Args:
        plant: that has the sensors.
        now: the current time; a reading exists from its own time on.
        any_tag: also serve sensors that are not installed, as if every name had one.
    """

    kind = "simulated"

    def __init__(self, plant: Plant, now: Callable[[], datetime], *, any_tag: bool = False) -> None:
        self._plant = plant
        self._now = now
        self._any_tag = any_tag

    @property
    def downstream(self) -> str:
        """The name of its circuit."""
        return circuit_name(System.SENSORS, "simulated")

    async def ping(self) -> str:
        return f"{len(await self.get_sensor_list())} tags"

    async def get_sensor_list(self) -> Sequence[str]:
        """Return all installed tags, sorted."""
        return sorted(self._plant.tags())

    async def sensor_exists(self, name: str) -> bool:
        """Return whether the plant serves this sensor."""
        return self._any_tag or name in self._plant

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """Return plant, tag and times: there is no query language."""
        tag = parameters.get("tag", "*")
        return f"plant {self._plant.seed}, tag {tag}, {iso(window.start)} <= time < {iso(window.end)}"

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        """Return the existing readings of each tag.

        Raises:
            TooLarge: before any reading is computed, since their number follows from the period.
            Rejected: ``UNKNOWN_SENSOR``.
        """
        self._refuse_unknown(tags)
        start, end = to_ns(window.start), min(to_ns(window.end), to_ns(self._now()) + 1)
        if start >= end:
            return {tag: Series.empty() for tag in tags}
        expected = len(tags) * ((end - start) // span_ns(self._plant.period) - 1) * _READING_BYTES
        if expected > max_bytes:
            raise TooLarge(f"about {expected} bytes of readings for {len(tags)} tags in {window}, allowed: {max_bytes}")
        readings: dict[str, Series] = {}
        held = 0
        for tag in tags:
            readings[tag] = self._plant.values(tag, start, end)
            held += readings[tag].nbytes
            if held > max_bytes:
                raise TooLarge(f"more than {max_bytes} bytes of readings for {len(tags)} tags in {window}")
            await asyncio.sleep(0)  # a month of readings must not delay a probe
        return readings

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        """Return the last existing reading of each tag in ``[not_older_than, time)``."""
        self._refuse_unknown(tags)
        oldest, end = to_ns(not_older_than), min(to_ns(time), to_ns(self._now()) + 1)
        return {tag: point for tag in tags if (point := self._last(tag, oldest, end))}

    def _last(self, tag: str, oldest: int, end: int) -> Point | None:
        """Look back in steps that double: the first is nearly always enough, and a silent sensor costs little."""
        reach = 4 * span_ns(self._plant.period)
        while oldest < end:
            start = max(oldest, end - reach)
            series = self._plant.values(tag, start, end)
            if len(series):
                return Point(int(series.times[-1]), float(series.values[-1]))
            end, reach = start, 2 * reach
        return None

    def _refuse_unknown(self, tags: Sequence[str]) -> None:
        if not self._any_tag and (unknown := [tag for tag in tags if tag not in self._plant]):
            raise Rejected(
                f"the plant has no sensor {describe_tags(unknown)}", reason=Reason.UNKNOWN_SENSOR, tags=unknown
            )
