"""InfluxDB fails in the middle of a wave, or refuses requests: nothing is lost, and the cause is reported."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from latigo.domain.windows import Window, to_ns
from latigo.providers.simulated import Plant
from latigo.sandbox.influxd import Influxd
from tests.support.influxd import InfluxDatabase, InfluxServers, administer, select, sensor_lines, write_lines
from tests.support.process import a_project, latigo, serving
from tests.support.sandbox import Sandbox

MINUTE = timedelta(minutes=1)


@dataclass
class PlantInflux:
    """A server with the plant's readings, also of the next minutes: nothing comes late."""

    server: Influxd
    sensors: InfluxDatabase
    predictions: InfluxDatabase

    def config(self, sandbox: Sandbox) -> Path:
        return sandbox.config(
            sensors={"kind": "influx", "url": self.server.url, "database": "sensors"},
            predictions=[{"kind": "influx", "url": self.server.url}, {"kind": "postgres"}],
        )


@pytest.fixture
async def influx(influx_servers: InfluxServers) -> PlantInflux:
    server = influx_servers.start()
    await administer(server.url, "CREATE DATABASE sensors")
    await administer(server.url, "CREATE DATABASE predictions")
    result = PlantInflux(server, InfluxDatabase(server.url, "sensors"), InfluxDatabase(server.url, "predictions"))
    plant = Plant(period=timedelta(seconds=1))
    plant.install(tag for model in a_project(3).models for tag in model.tags)
    now = datetime.now(UTC)
    period = Window(now - 10 * MINUTE, now + 20 * MINUTE)
    readings = {tag: plant.values(tag, to_ns(period.start), to_ns(period.end)) for tag in plant.tags()}
    await write_lines(result.sensors, sensor_lines(readings))
    return result


async def test_killed_in_the_middle_of_a_wave_and_started_again(sandbox: Sandbox, influx: PlantInflux):
    with sandbox.gordo.controls.hold() as held:
        async with serving(influx.config(sandbox)) as service:
            await service.meets(held)  # a task has its readings, and no predictions yet

            influx.server.kill()
            held.lift()
            await service.until(lambda: _is_blocked(sandbox), what="a circuit is open")
            influx.server.open()

            await service.until(lambda: _is_open(sandbox), what="all circuits are closed")
            until = await sandbox.whole(service)
            reported = [event.get("reason", "") for event in service.events("task.finished")]
            assert await service.stop() == 0

    assert any("InfluxDB, writing" in because for because in reported), reported
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
    assert await _points(influx) == await _points_in_postgres(sandbox)
    assert await sandbox.ledger.parked() == []


async def test_refused_credentials_are_an_alarm_and_park_nothing(
    sandbox: Sandbox, influx: PlantInflux, influx_servers: InfluxServers
):
    guarded = influx_servers.start({"INFLUXDB_HTTP_AUTH_ENABLED": "true"})
    await administer(guarded.url, "CREATE USER admin WITH PASSWORD 'another' WITH ALL PRIVILEGES")
    config = sandbox.config(
        sensors={"kind": "influx", "url": influx.server.url, "database": "sensors"},
        predictions=[{"kind": "influx", "url": guarded.url, "username": "latigo", "password": "not-this-one"}],
    )
    async with serving(config) as service:
        await service.until(lambda: _is_blocked(sandbox), what="a circuit is open")
        status = await sandbox.ledger.status()
        code, checked, _ = await latigo("check", "--config", str(config), folder=sandbox.folder)
        log = service.log()
        assert await service.stop() == 0

    assert any("sink/influx" in alarm and "predictions.password" in alarm for alarm in status["alarms"]), status[
        "alarms"
    ]
    assert code == 1
    assert "FAIL sink/influx" in checked
    assert "not-this-one" not in log + checked + str(status)
    assert await sandbox.ledger.parked() == []


async def _is_blocked(sandbox: Sandbox) -> bool:
    return bool((await sandbox.ledger.status())["circuits"])


async def _is_open(sandbox: Sandbox) -> bool:
    return not await _is_blocked(sandbox)


async def _points(influx: PlantInflux) -> dict[tuple[str, str, str, int], float]:
    result = {}
    for series in await select(influx.predictions, "SELECT sensor_value FROM /.*/ GROUP BY *"):
        tags = series["tags"]
        for time, value in series["values"]:
            result[tags["machine"], series["name"], tags["sensor_name"], time] = float(value)
    return result


async def _points_in_postgres(sandbox: Sandbox) -> dict[tuple[str, str, str, int], float]:
    rows = await sandbox.ledger.fetch("SELECT model, column_group, tag, time, value FROM v_predictions")
    return {
        (row["model"], row["column_group"], row["tag"] or row["column_group"], to_ns(row["time"])): row["value"]
        for row in rows
    }
