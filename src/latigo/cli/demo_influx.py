"""A real InfluxDB for `latigo demo`. Apart from the rest, because it needs the extra ``influx``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from latigo.providers.influx.client import InfluxClient, InfluxSwitches, open_client
from latigo.runtime.clock import Clock
from latigo.standins.demo import Historian
from latigo.standins.influxd import open_influxd
from latigo.standins.plant import Plant, PlantSensors

_LARGEST_ANSWER = 1 << 20


class PlantInflux(NamedTuple):
    """The server, and what was written to it."""

    url: str
    client: InfluxClient

    async def points(self) -> int:
        """How many points of predictions it holds."""
        question = 'SELECT count("sensor_value") FROM /.*/'
        answer = await self.client.read(question, max_bytes=_LARGEST_ANSWER, database="predictions")
        (result,) = orjson.loads(answer.body)["results"]
        return sum(series["values"][0][1] for series in result.get("series", []))


@asynccontextmanager
async def open_plant_influx(folder: Path, plant: Plant, clock: Clock, since: datetime) -> AsyncIterator[PlantInflux]:
    """A server that holds the plant's readings since ``since`` and gets the new ones every second.

    Raises:
        ConfigurationError: there is no ``influxd``, and none can be fetched.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(open_influxd(folder))
        client = await opened.enter_async_context(
            open_client(
                url,
                database="sensors",
                downstream="sensors/influx",
                section="sensors",
                switches=InfluxSwitches(format="json"),
            )
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
