"""`latigo check` on InfluxDB: problems are reported before the service runs into them."""

from pathlib import Path

import pytest

from tests.support.influxd import InfluxDatabase, fresh_influx_database, sensor_line, write_lines
from tests.support.process import PROJECT, a_project, latigo
from tests.support.sandbox import Sandbox

DONE, FAILED = 0, 1


@pytest.fixture
async def sensors(influx_database: InfluxDatabase) -> InfluxDatabase:
    await write_lines(influx_database, [sensor_line(a_project(1).models[0].tags[0], 1.5, 0)])
    return influx_database


async def check(config: Path) -> tuple[int, str]:
    code, output, errors = await latigo("check", "--config", str(config), folder=config.parent)
    assert output, errors
    return code, output


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        ({}, DONE, "ok   sensors: sensors/influx, 1 tags"),
        ({"measurement": "sensor"}, FAILED, "(check sensors.measurement)"),
        ({"tag_key": "name"}, FAILED, "(check sensors.tag_key)"),
        ({"field": "value"}, FAILED, "(check sensors.field)"),
    ],
)
async def test_readings_that_stand_elsewhere_are_not_a_plant_without_sensors(
    sandbox: Sandbox, sensors: InfluxDatabase, wrong: dict[str, str], code: int, says: str
):
    source = {"kind": "influx", "url": sensors.url, "database": sensors.name, **wrong}

    checks, output = await check(sandbox.config(sensors=source))

    assert checks == code
    assert says in output


async def test_the_database_of_every_project_is_checked(sandbox: Sandbox, influx_server: str):
    config = sandbox.config(predictions=[{"kind": "influx", "url": influx_server, "database": "pred-{project}"}])

    without = await check(config)
    async with fresh_influx_database(influx_server, name=f"pred-{PROJECT}"):
        there = await check(config)

    assert (without[0], there[0]) == (FAILED, DONE)
    assert f"FAIL sink/influx: InfluxDB: database not found: pred-{PROJECT}" in without[1]
    assert "ok   sink/influx: can be read" in there[1]
