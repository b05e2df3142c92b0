"""The plant of `latigo demo`: which sensors and models it has, and its historian. A development part."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from latigo.domain.series import Readings
from latigo.domain.windows import Window
from latigo.providers.influx.client import InfluxClient
from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.lifecycle import pause
from latigo.standins.gordo import ProjectDefinition, demo_faults, demo_project
from latigo.standins.plant import Plant, PlantSensors

PROJECT = "demo"
RESOLUTION = timedelta(seconds=5)
SLOT = timedelta(seconds=30)
HISTORY = timedelta(hours=1)
STEP = timedelta(seconds=1)
SEED = 7
TAGS = 8

#: What the historian has in hand at once, and how long before the history it begins: models look back a little.
_STRETCH, _BEFORE = timedelta(minutes=5), timedelta(minutes=10)
_LINES = 5000
_MOST_BYTES = 256_000_000


class DemoPlant(NamedTuple):
    """Sensors, and models that learned from them before ``began``."""

    plant: Plant
    project: ProjectDefinition


def demo_plant(began: datetime, models: int) -> DemoPlant:
    """The same plant in every process that is told the same."""
    plant = Plant(SEED, period=STEP, tempo=24.0, switch_cycle=timedelta(minutes=2))
    # Models learn from the time just before their revision, which Gordo names by its milliseconds.
    revision = str(int((began - HISTORY).timestamp() * 1000))
    project = demo_project(plant, PROJECT, models, RESOLUTION, TAGS, revision=revision)
    plant.schedule(
        *demo_faults(project, start=began - HISTORY, every=timedelta(minutes=20), length=timedelta(minutes=2))
    )
    return DemoPlant(plant, project)


@asynccontextmanager
async def open_demo_sensors(began: str, models: int) -> AsyncIterator[PlantSensors]:
    """The plant's sensors for a process of its own, as ``sensors.kind = "python:..."`` has it."""
    yield PlantSensors(demo_plant(datetime.fromisoformat(began), models).plant, SystemClock().now)


class Historian:
    """Keeps writing the readings of a plant into InfluxDB, as the control system of a real one does.

    Args:
        client: where to.
        sensors: whose readings.
        clock: what time it is there.
        since: where to begin.
    """

    def __init__(self, client: InfluxClient, sensors: PlantSensors, clock: Clock, since: datetime) -> None:
        self._client = client
        self._sensors = sensors
        self._clock = clock
        self._until = since - _BEFORE

    async def catch_up(self, told: Callable[[datetime], object] = lambda _: None) -> None:
        """Write everything up to now; ``told`` hears how far it is."""
        tags, now = await self._sensors.get_sensor_list(), self._clock.now()
        while self._until < now:
            window = Window(self._until, min(self._until + _STRETCH, now))
            readings = await self._sensors.get_data_for_range(tags, window, max_bytes=_MOST_BYTES)
            lines = _lines(readings)
            for at in range(0, len(lines), _LINES):
                await self._client.write_lines("\n".join(lines[at : at + _LINES]).encode(), precision="ns")
            self._until = window.end
            told(self._until)

    async def run(self, stop: asyncio.Event) -> None:
        """Write what there is every second, until ``stop``."""
        while not await pause(self._clock, STEP, stop):
            await self.catch_up()


def _lines(readings: Readings) -> list[str]:
    found = []
    for tag, series in readings.items():
        prefix = f"sensors,tag={tag.replace(',', chr(92) + ',').replace(' ', chr(92) + ' ')} Value="
        pairs = zip(series.times.tolist(), series.values.tolist(), strict=True)
        found += [f"{prefix}{value!r} {time}" for time, value in pairs]
    return found
