"""A process that is frozen for longer than its lease while another one predicts its window in a newer revision."""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latigo.domain.windows import Window, span_ns, to_ns
from latigo.providers.simulated import Plant
from latigo.sandbox.gordo import SandboxGordo, open_sandbox_gordo
from latigo.sandbox.gordo.definition import REVISION
from latigo.sandbox.gordo.model import FittedModel
from tests.support.holding_proxy import open_holding_proxy
from tests.support.influxd import InfluxDatabase, select
from tests.support.outside import looking_at
from tests.support.process import PROJECT, RESOLUTION, Service, a_project, serving
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

NEWER = str(int(REVISION) + 86_400_000)
#: Newest window and nothing before it, so that one call is all there is; what comes due meanwhile has its own.
ONE_WINDOW: Mapping[str, Any] = {
    "backfill": {"horizon": "1m"},
    "schedule": {"interval": "30s", "delay": "1s", "max_window": "1m"},
}
#: As long as the test lasts.
NO_RETRY = {"backoff_first": "5m", "backoff_longest": "5m"}

#: The values of the first output column by time.
Values = Mapping[int, float]


@pytest.fixture
async def plant(ledger_url: str, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """One model, whose predictions depend on its revision."""
    async with open_sandbox_gordo(a_project(1)) as gordo, looking_at(ledger_url) as ledger:
        yield Sandbox(gordo, ledger, tmp_path, 1)


def expected(gordo: SandboxGordo, revision: str, times: list[int]) -> Values:
    """What the model says of the means of the readings, without Latigo: they come every second."""
    (model,) = gordo.projects[PROJECT].revisions[revision].values()
    fitted = FittedModel.trained_on(Plant(), model, int(revision) * 1_000_000)
    readings = Plant(period=timedelta(seconds=1))
    bucket = span_ns(RESOLUTION)
    x = np.array([[readings.values(tag, t, t + bucket).values.mean() for tag in model.tags] for t in times])
    return dict(zip(times, fitted.output(x)[:, 0].tolist(), strict=True))


def first_tag(gordo: SandboxGordo) -> str:
    (model,) = gordo.projects[PROJECT].revisions[REVISION].values()
    return model.tags[0]


def assert_same(stored: Values, wanted: Values) -> None:
    assert stored.keys() == wanted.keys()
    np.testing.assert_allclose(list(stored.values()), [wanted[time] for time in stored], rtol=1e-9, atol=1e-12)


def times_of(window: Window) -> list[int]:
    return [to_ns(row.start) for row in window.slots(RESOLUTION)]


@asynccontextmanager
async def frozen(service: Service) -> AsyncIterator[None]:
    service.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        if service.process.returncode is None:
            service.process.send_signal(signal.SIGCONT)


async def window_of_task(plant: Sandbox, state: str = "claimed") -> Window:
    task, *_ = await plant.ledger.tasks(state)  # a slot may have become due since then
    return Window(task["window"].lower, task["window"].upper)


async def covers(plant: Sandbox, service: Service, window: Window) -> None:
    """Wait until a window is covered in the newer revision; a new one begins with nothing in flight."""
    sql = (
        "SELECT count(*) FROM v_models m JOIN v_coverage c USING (project, model)"
        " WHERE m.revision = $1 AND c.covered @> tstzrange($2, $3)"
    )
    await service.until(
        lambda: plant.ledger.value(sql, NEWER, window.start, window.end),
        what="the window is covered in the newer revision",
    )


async def test_rows_of_a_newer_revision_stand_when_a_frozen_process_goes_on(plant: Sandbox):
    prediction = plant.gordo.controls.hold()
    config = plant.config(**ONE_WINDOW)
    async with serving(config) as old:
        await prediction.reached()
        window = await window_of_task(plant)
        # Its heartbeats wait, and its renewals behind them: it writes before it can learn that it was overtaken.
        async with plant.holding("SELECT FROM executor FOR UPDATE"), frozen(old):
            prediction.lift()  # the response waits for it in its socket
            plant.gordo.projects[PROJECT].publish(NEWER)
            async with serving(config) as new:
                await covers(plant, new, window)
                old.process.send_signal(signal.SIGCONT)
                await old.until(lambda: old.events("claim.lost") or old.events("task.finished"), what="it is done")
                assert await new.stop() == 0
        assert await old.stop() == 0

    rows = await plant.ledger.fetch(
        "SELECT revision, time, value FROM v_predictions"
        " WHERE column_group = 'model-output' AND tag = $3 AND time >= $1 AND time < $2",
        window.start,
        window.end,
        first_tag(plant.gordo),
    )
    times = times_of(window)
    old_values, new_values = expected(plant.gordo, REVISION, times), expected(plant.gordo, NEWER, times)
    assert all(old_values[time] != new_values[time] for time in times)
    assert {row["revision"] for row in rows} == {NEWER}
    assert_same({to_ns(row["time"]): row["value"] for row in rows}, new_values)
    assert await plant.ledger.value("SELECT count(*) FROM repair") == 0


async def in_influxdb(plant: Sandbox, database: InfluxDatabase, window: Window) -> Values:
    (series,) = await select(
        database,
        f"SELECT sensor_value FROM \"model-output\" WHERE sensor_name = '{first_tag(plant.gordo)}'"
        f" AND time >= {to_ns(window.start)} AND time < {to_ns(window.end)}",
    )
    return dict(map(tuple, series["values"]))


async def test_what_a_frozen_process_wrote_to_influxdb_is_repaired(plant: Sandbox, influx_database: InfluxDatabase):
    def config(url: str) -> Path:
        sink = {"kind": "influx", "url": url, "database": influx_database.name}
        return plant.config(predictions=[sink], **ONE_WINDOW)

    async def stored(window: Window) -> Values:
        return await in_influxdb(plant, influx_database, window)

    async with open_holding_proxy(influx_database.url) as network, serving(config(network.url)) as old:
        await old.until(network.held.is_set, what="its write is under way")
        window = await window_of_task(plant)
        times = times_of(window)
        async with frozen(old):
            plant.gordo.projects[PROJECT].publish(NEWER)
            async with serving(config(influx_database.url)) as new:
                await covers(plant, new, window)
                assert_same(await stored(window), expected(plant.gordo, NEWER, times))
                network.release.set()
                await eventually(network.passed.is_set, what="the late write arrives")
                assert_same(await stored(window), expected(plant.gordo, REVISION, times))

                old.process.send_signal(signal.SIGCONT)
                await old.logged("repair.requested")
                # The process that took over may have had to repair the window before, in the middle of the revisions.
                done = (
                    "SELECT count(*) FILTER (WHERE state = 'stored') > 0 AND bool_and(state = 'stored')"
                    " AND NOT EXISTS (SELECT FROM repair) FROM v_tasks WHERE lane = 'repair'"
                )
                await new.until(lambda: plant.ledger.value(done), what="the window is repaired")
                codes = await new.stop(), await old.stop()

    assert codes == (0, 0)
    assert_same(await stored(window), expected(plant.gordo, NEWER, times))
    assert await plant.ledger.value("SELECT count(*) FROM repair") == 0


async def test_what_arrives_in_influxdb_after_its_writer_gave_up_is_repaired(
    plant: Sandbox, influx_database: InfluxDatabase
):
    def config(url: str, **more: Any) -> Path:
        sink = {"kind": "influx", "url": url, "database": influx_database.name}
        return plant.config(predictions=[{**sink, **more}], executor=NO_RETRY, **ONE_WINDOW)

    async def arrived(values: Values) -> bool:
        stored = await in_influxdb(plant, influx_database, window)
        return all(np.isclose(stored[time], value, rtol=1e-9) for time, value in values.items())

    async with open_holding_proxy(influx_database.url) as network:
        async with serving(config(network.url, write_timeout="1s")) as old:
            await old.until(lambda: plant.ledger.tasks("waiting"), what="it gave up its write")
            window = await window_of_task(plant, "waiting")
            assert await old.stop() == 0
        plant.gordo.projects[PROJECT].publish(NEWER)
        async with serving(config(influx_database.url)) as new:
            await covers(plant, new, window)
            times = times_of(window)
            late = expected(plant.gordo, REVISION, times)
            assert_same(await in_influxdb(plant, influx_database, window), expected(plant.gordo, NEWER, times))
            network.release.set()
            await eventually(lambda: arrived(late), what="the write arrives")

            hasten = "UPDATE repair SET due_at = ledger_now() RETURNING claim"  # as if it were a while later
            assert await plant.ledger.value(hasten)
            done = "SELECT count(*) = 0 FROM repair"
            await new.until(lambda: plant.ledger.value(done), what="the window is repaired")
            assert await new.stop() == 0

    assert_same(await in_influxdb(plant, influx_database, window), expected(plant.gordo, NEWER, times))
