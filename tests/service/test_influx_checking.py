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
        ({"quality_field": "Status", "good": [192]}, FAILED, "(check sensors.quality_field)"),
        ({"where": {"site": "a"}}, FAILED, "(check sensors.where)"),
    ],
)
async def test_readings_that_stand_elsewhere_are_not_a_plant_without_sensors(
    sandbox: Sandbox, sensors: InfluxDatabase, wrong: dict[str, str], code: int, says: str
):
    source = {"kind": "influx", "url": sensors.url, "database": sensors.name, **wrong}

    checks, output = await check(sandbox.config(sensors=source))

    assert checks == code
    assert says in output


async def test_types_that_a_field_has_are_named_and_the_text_is_counted(sandbox: Sandbox, sensors: InfluxDatabase):
    tag, week = a_project(1).models[0].tags[0], 7 * 86_400 * 10**9
    values = ("true", '"Bad"', "2i")
    await write_lines(sensors, [f"sensors,tag={tag} Value={value} {n * week}" for n, value in enumerate(values, 1)])
    source = {"kind": "influx", "url": sensors.url, "database": sensors.name}

    code, output = await check(sandbox.config(sensors=source))

    text = " ".join(output.split())
    assert code == DONE
    assert f"{tag}: readings from 1970-01-01 00:00 to 1970-01-22 00:00 UTC; 1 read" in text
    assert "field 'Value' of 'sensors' has the types boolean, float, integer and string; text is skipped" in text


async def test_the_database_of_every_project_is_checked(sandbox: Sandbox, influx_server: str):
    config = sandbox.config(predictions=[{"kind": "influx", "url": influx_server, "database": "pred-{project}"}])

    without = await check(config)
    async with fresh_influx_database(influx_server, name=f"pred-{PROJECT}"):
        there = await check(config)

    assert (without[0], there[0]) == (FAILED, DONE)
    assert f"FAIL sink/influx: InfluxDB: database not found: pred-{PROJECT}" in without[1]
    assert "ok   sink/influx: can be read" in there[1]
