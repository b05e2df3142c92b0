"""Stale time in a service that runs: each outage is put down to what is unavailable."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from latigo.domain.windows import Window, to_ns
from latigo.providers.simulated import Plant
from latigo.sandbox.eventhub import open_event_hubs
from latigo.sandbox.gordo import Scope
from latigo.sandbox.gordo.controls import PREDICTING, PREDICTIONS
from tests.support.event_hubs import HUB
from tests.support.influxd import InfluxDatabase, InfluxServers, administer, sensor_lines, write_lines
from tests.support.process import PROJECT, Service, a_project, latigo, serving
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

MINUTE = timedelta(minutes=1)
#: Slots of five seconds: a model is stale after eleven.
QUICK: dict[str, Any] = {
    "schedule": {"interval": "5s", "delay": "1s", "max_window": "1m"},
    "backfill": {"horizon": "1m"},
}


async def causes(sandbox: Sandbox) -> list[str]:
    """The causes of stale time in the last hour, those of most time first."""
    freshness = (await sandbox.ledger.status())["freshness"]
    return [time["cause"] for time in freshness["causes"] if time["hour"]]


async def main_cause_is(sandbox: Sandbox, service: Service, cause: str) -> None:
    async def holds() -> bool:
        return (await causes(sandbox))[:1] == [cause]

    await service.until(holds, within=300, what=f"most stale time is put down to {cause}")


@dataclass
class Influxes:
    """Readings of the next minutes in one InfluxDB, predictions in another one."""

    source: Any
    sink: Any

    def config(self, sandbox: Sandbox) -> Path:
        return sandbox.config(
            sensors={"kind": "influx", "url": self.source.url, "database": "sensors"},
            predictions=[{"kind": "influx", "url": self.sink.url}],
            **QUICK,
        )


@pytest.fixture
async def influxes(influx_servers: InfluxServers) -> Influxes:
    source, sink = influx_servers.start(), influx_servers.start()
    await administer(source.url, "CREATE DATABASE sensors")
    await administer(sink.url, "CREATE DATABASE predictions")
    plant = Plant(period=timedelta(seconds=1))
    plant.install(tag for model in a_project(3).models for tag in model.tags)
    now = datetime.now(UTC)
    period = Window(now - 5 * MINUTE, now + 20 * MINUTE)
    readings = {tag: plant.values(tag, to_ns(period.start), to_ns(period.end)) for tag in plant.tags()}
    await write_lines(InfluxDatabase(source.url, "sensors"), sensor_lines(readings))
    return Influxes(source, sink)


@pytest.mark.parametrize("cause", ["source", "sink"])
async def test_while_a_source_or_a_sink_is_unavailable_stale_time_is_put_down_to_it(
    sandbox: Sandbox, influxes: Influxes, cause: str
):
    async with serving(influxes.config(sandbox)) as service:
        await sandbox.whole(service)
        (influxes.source if cause == "source" else influxes.sink).kill()
        await main_cause_is(sandbox, service, cause)
        assert await service.stop() == 0


async def test_while_gordo_is_unavailable_stale_time_is_put_down_to_it_in_status_and_metrics(sandbox: Sandbox):
    config = sandbox.config(objective={"share": 0.9}, **QUICK)
    async with serving(config) as service:
        await sandbox.whole(service)
        with sandbox.gordo.controls.unavailable(PREDICTING):
            await main_cause_is(sandbox, service, "gordo")
            _, text, _ = await latigo("status", "--config", str(config), folder=sandbox.folder)
            _, output, _ = await latigo("status", "--json", "--config", str(config), folder=sandbox.folder)
            async with aiohttp.ClientSession() as session, session.get(f"{await service.url()}/metrics") as answer:
                metrics = await answer.text()
        assert await service.stop() == 0

    freshness = json.loads(output)["freshness"]
    (project,) = freshness["projects"]
    assert (project["project"], project["causes"]) == (PROJECT, freshness["causes"])
    assert freshness["burn_hour"] == pytest.approx((1 - freshness["share"]) / 0.1)
    assert freshness["budget_left"] == pytest.approx(1 - freshness["burn_month"])
    assert "Objective 90 % of the time within their delay and two slots: " in text
    assert "Stale time by cause, in minutes of all models" in text
    assert f'latigo_model_seconds_total{{cause="gordo",project="{PROJECT}"}}' in metrics


async def test_a_model_that_always_fails_is_parked_and_its_stale_time_is_put_down_to_that(sandbox: Sandbox):
    sick = Scope(model="pump-001", kinds=PREDICTIONS)
    async with serving(sandbox.config(executor={"max_attempts": 1}, **QUICK)) as service:
        with sandbox.gordo.controls.server_error(sick):
            await main_cause_is(sandbox, service, "parked")
        assert await service.stop() == 0


async def test_time_without_a_service_is_put_down_to_latigo_at_once_and_when_it_is_back(sandbox: Sandbox):
    config = sandbox.config(**QUICK)
    async with serving(config) as service:
        await sandbox.whole(service)
        assert await service.stop() == 0
    counted = "SELECT coalesce(sum(model_time), interval '0') FROM freshness WHERE outcome = 'latigo'"
    before = await sandbox.ledger.value(counted)
    # As if it had stopped ten minutes before.
    await sandbox.ledger.value("UPDATE tally SET counted_until = now() - interval '10 minutes' RETURNING one")

    async def is_stale() -> bool:
        return (await causes(sandbox))[:1] == ["latigo"]

    await eventually(is_stale, what="a status without a scheduler puts it down to Latigo")
    assert await sandbox.ledger.value(counted) == before

    async def is_counted() -> bool:
        return bool(await sandbox.ledger.value(counted) > before)

    async with serving(config) as service:
        await service.until(is_counted, what="the scheduler has counted it")
        assert (await causes(sandbox))[:1] == ["latigo"]
        of_all = await sandbox.ledger.value("SELECT sum(model_time) FROM freshness")
        assert await service.stop() == 0

    assert of_all >= 3 * 10 * MINUTE


async def test_without_executors_stale_time_is_put_down_to_capacity(sandbox: Sandbox):
    async with open_event_hubs({HUB: 2}) as hub:
        queue = {"kind": "eventhub", "connection_string": hub.connection_string(HUB)}
        async with serving(sandbox.config(task_queue=queue, **QUICK), role="scheduler") as service:
            await main_cause_is(sandbox, service, "capacity")
            assert await service.stop() == 0
