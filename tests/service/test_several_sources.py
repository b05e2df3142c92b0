"""Models that take their tags from several sources, one of which is unavailable at first."""

import json
from datetime import UTC, datetime, timedelta

from latigo.domain.coverage import Coverage
from latigo.domain.windows import Window, to_ns
from latigo.providers.simulated import Plant
from tests.support.influxd import InfluxDatabase, InfluxServers, administer, sensor_lines, write_lines
from tests.support.process import SLOT, a_project, latigo, newest_due, serving
from tests.support.sandbox import Sandbox

MINUTE = timedelta(minutes=1)
#: The first model has one tag in InfluxDB, the second one both, and the third one none.
IN_INFLUX = ["*.PT-0000.*", "1903.?T-0001.PV"]


async def test_a_source_that_is_unavailable_stops_its_own_models_only_and_all_is_predicted_in_the_end(
    sandbox: Sandbox, influx_servers: InfluxServers
):
    both, of_influx, of_the_other = [model.name for model in a_project(3).models]
    server = influx_servers.start()
    await administer(server.url, "CREATE DATABASE sensors")
    plant = Plant(period=timedelta(seconds=1))
    now = datetime.now(UTC)
    start, end = to_ns(now - 10 * MINUTE), to_ns(now + 20 * MINUTE)
    tags = ("1903.PT-0000.PV", "1903.PT-0001.PV", "1903.TT-0001.PV")
    await write_lines(
        InfluxDatabase(server.url, "sensors"), sensor_lines({tag: plant.values(tag, start, end) for tag in tags})
    )
    config = sandbox.config(
        sources=[
            {"kind": "influx", "name": "plant-db", "url": server.url, "database": "sensors", "tags": IN_INFLUX},
            {"kind": "simulated", "step": "1s"},
        ]
    )
    server.kill()

    async def circuits() -> set[str]:
        return {circuit["downstream"] for circuit in (await sandbox.ledger.status())["circuits"]}

    async def goes_on() -> bool:
        covered = (await sandbox.ledger.covered())[of_the_other]
        return bool(covered & Coverage((Window(begun, begun + SLOT),))) and await circuits() == {"sensors/plant-db"}

    async with serving(config) as service:
        await service.until(circuits, what="a circuit is open")
        begun = newest_due()
        await service.until(goes_on, what="the model of the other source is predicted while the circuit is open")
        meanwhile = {name for name, coverage in (await sandbox.ledger.covered()).items() if coverage}
        code, output, _ = await latigo("check", "--json", "--config", str(config), folder=sandbox.folder)
        server.open()
        until = await sandbox.whole(service)
        assert await service.stop() == 0

    systems = {each["system"]: each["ok"] for each in json.loads(output)}
    assert meanwhile == {of_the_other}
    assert (code, systems["sensors/plant-db"], systems["sensors/simulated"]) == (1, False, True)
    assert {name for name, _ in sandbox.executed()} == {both, of_influx, of_the_other}
    assert await sandbox.ledger.parked() == []
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
