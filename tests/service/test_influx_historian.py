"""The historian of `latigo demo --influx`: an InfluxDB that is unavailable for a moment does not end it."""

import asyncio
from datetime import timedelta

from latigo.cli.demo.influx import Historian
from latigo.domain.windows import to_ns
from latigo.providers.influx.client import open_client
from latigo.providers.simulated import Plant, PlantSensors
from latigo.sandbox.demo import STEP
from latigo.settings import InfluxSensors
from tests.support.clock import ManualClock
from tests.support.influxd import InfluxServers, fresh_influx_database, select
from tests.support.waiting import eventually

TAG = "a, b = c"
MINUTE = timedelta(minutes=1)
WHILE = 10 * STEP


async def test_what_influxdb_could_not_take_is_written_when_it_is_back(influx_servers: InfluxServers):
    server, clock, stop = influx_servers.start(), ManualClock(), asyncio.Event()
    plant = Plant(period=STEP)
    plant.install([TAG])
    began = clock.now()
    async with (
        fresh_influx_database(server.url) as database,
        open_client(InfluxSensors(url=server.url, database=database.name)) as client,
    ):
        historian = Historian(client, PlantSensors(plant, clock.now), clock, began)
        await historian.catch_up()
        writing = asyncio.create_task(historian.run(stop))

        server.kill()
        await clock.advance(WHILE)
        await eventually(lambda: clock.sleepers, what="it has tried in vain, and waits for the next second")
        server.open()
        await clock.advance(WHILE)
        await eventually(lambda: clock.sleepers, what="it has written what there is, and waits for the next second")
        stop.set()
        await writing

        (readings,) = await select(database, 'SELECT "Value" FROM "sensors" GROUP BY "tag"')

    (*_, (last, _)) = readings["values"]
    written = plant.values(TAG, to_ns(began - 10 * MINUTE), last + 1)
    assert last > to_ns(began + WHILE / 2)  # while it was unavailable
    assert readings["tags"] == {"tag": TAG}
    assert readings["values"] == list(map(list, zip(written.times.tolist(), written.values.tolist(), strict=True)))
