"""A real InfluxDB for the demo, and its historian. A file of its own, because it needs the extra ``influx``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import orjson

from latigo.domain.errors import Unavailable
from latigo.domain.series import Readings
from latigo.domain.windows import Window
from latigo.providers.influx.client import InfluxClient, InfluxSwitches, open_client
from latigo.providers.influx.line_protocol import MOST_LINES, tag_value
from latigo.providers.simulated import Plant, PlantSensors
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.sandbox.demo import STEP
from latigo.sandbox.influxd import open_influxd
from latigo.settings import InfluxSensors

_LARGEST_ANSWER = 1 << 20
#: Time that the historian writes at once, and its start before the history: models look back a little.
_CHUNK, _BEFORE = timedelta(minutes=5), timedelta(minutes=10)
_MOST_BYTES = 256_000_000


class Historian:
    """Writer of the readings of a plant into InfluxDB, as the control system of a real one has.

    Args:
        client: writes to the database of readings.
        sensors: the readings.
        clock: the plant's time.
        since: begin of the history.
    """

    def __init__(self, client: InfluxClient, sensors: PlantSensors, clock: Clock, since: datetime) -> None:
        self._client = client
        self._sensors = sensors
        self._clock = clock
        self._until = since - _BEFORE

    async def catch_up(self) -> None:
        """Write everything up to now."""
        tags, now = await self._sensors.get_sensor_list(), self._clock.now()
        while self._until < now:
            window = Window(self._until, min(self._until + _CHUNK, now))
            lines = _lines(await self._sensors.get_data_for_range(tags, window, max_bytes=_MOST_BYTES))
            for at in range(0, len(lines), MOST_LINES):
                await self._client.write_lines("\n".join(lines[at : at + MOST_LINES]).encode(), precision="ns")
            self._until = window.end

    async def run(self, stop: asyncio.Event) -> None:
        """Catch up every second until ``stop``; what InfluxDB does not accept now is written later."""
        while not await pause(self._clock, STEP, stop):
            with suppress(Unavailable):
                await self.catch_up()


def _lines(readings: Readings) -> list[str]:
    return [
        f"sensors,tag={tag_value(tag, 'sensor')} Value={value!r} {time}"
        for tag, series in readings.items()
        for time, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
    ]


class PlantInflux(NamedTuple):
    """The server, and a client of its databases."""

    url: str
    client: InfluxClient

    async def points(self) -> int:
        """Return how many points of predictions it holds."""
        query = 'SELECT count("sensor_value") FROM /.*/'
        answer = await self.client.read(query, max_bytes=_LARGEST_ANSWER, database="predictions")
        (result,) = orjson.loads(answer.body)["results"]
        return sum(series["values"][0][1] for series in result.get("series", []))


@asynccontextmanager
async def open_plant_influx(folder: Path, plant: Plant, clock: Clock, since: datetime) -> AsyncIterator[PlantInflux]:
    """Run a server that holds the plant's readings since ``since`` and gets the new ones every second.

    Raises:
        ConfigurationError: ``influxd`` is not installed and cannot be fetched.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(open_influxd(folder))
        client = await opened.enter_async_context(
            open_client(InfluxSensors(url=url, database="sensors"), switches=InfluxSwitches(format="json"))
        )
        await client.read("CREATE DATABASE sensors; CREATE DATABASE predictions", max_bytes=_LARGEST_ANSWER)
        historian = Historian(client, PlantSensors(plant, clock.now), clock, since)
        await historian.catch_up()
        writing = asyncio.create_task(historian.run(stop), name="historian")
        try:
            yield PlantInflux(url, client)
        finally:
            stop.set()
            await writing
