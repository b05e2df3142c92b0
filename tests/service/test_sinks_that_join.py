"""A required sink is added to a plant that runs: what others have is copied, and only what none has is predicted."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from latigo.domain.windows import from_ns
from latigo.sandbox.gordo.controls import PREDICTING, Hang
from latigo.sandbox.influxd import Influxd
from tests.support.influxd import InfluxDatabase, InfluxServers, administer, select
from tests.support.process import RESOLUTION, SLOT, Service, latigo, serving
from tests.support.sandbox import Sandbox

Rows = Counter[tuple[str, datetime]]
_COVERED_END = "SELECT max(upper(covered)) FROM v_coverage"
_COPIED = "SELECT count(*) FROM task_history WHERE outcome = 'copied'"


@pytest.fixture
async def server(influx_servers: InfluxServers) -> Influxd:
    """An InfluxDB with an empty database of predictions."""
    server = influx_servers.start()
    await administer(server.url, "CREATE DATABASE predictions")
    return server


def influx(server: Influxd) -> Mapping[str, Any]:
    return {"kind": "influx", "url": server.url}


async def run(config: Path, *arguments: str, codes: tuple[int, ...] = (0,)) -> Any:
    """What a command prints as JSON."""
    ended, output, errors = await latigo(*arguments, "--json", "--config", str(config), folder=config.parent)
    assert ended in codes, errors
    return orjson.loads(output)


async def in_influx(server: Influxd) -> Rows:
    """Points of each model and time."""
    found: Rows = Counter()
    for series in await select(InfluxDatabase(server.url, "predictions"), "SELECT sensor_value FROM /.*/ GROUP BY *"):
        found.update((series["tags"]["machine"], from_ns(time)) for time, _ in series["values"])
    return found


async def in_postgres(sandbox: Sandbox) -> Rows:
    rows = await sandbox.ledger.fetch("SELECT model, time, count(*) AS points FROM v_predictions GROUP BY model, time")
    return Counter({(row["model"], row["time"]): row["points"] for row in rows})


def before(rows: Rows, end: datetime) -> Rows:
    return Counter({key: points for key, points in rows.items() if key[1] < end})


async def is_done(sandbox: Sandbox, service: Service, number: int) -> None:
    async def done() -> bool:
        return bool(await sandbox.ledger.value("SELECT state = 'done' FROM request WHERE id = $1", number))

    await service.until(done, within=180, what=f"request {number} is done")


async def test_a_sink_gets_what_another_has_and_the_rest_is_predicted_though_the_process_dies(
    sandbox: Sandbox, server: Influxd
):
    async with serving(sandbox.config()) as service:
        await sandbox.whole(service)
        assert await service.stop() == 0
    joined = await sandbox.ledger.value(_COVERED_END)
    stored = before(await in_postgres(sandbox), joined)
    dropped = min(time for _, time in stored) + 2 * SLOT  # as if its retention had passed
    await sandbox.ledger.fetch("DELETE FROM prediction WHERE time < $1", dropped)
    ran = len(sandbox.gordo.controls.executed)

    config = sandbox.config(predictions=[{"kind": "postgres"}, influx(server)])
    async with serving(config) as service:
        await service.logged("sink.joined")
        await sandbox.whole(service)
        lacking = await run(config, "status", codes=(0, 3))
        shown = await run(config, "backfill", "--sink", "influx", "--dry-run")
        hanging = sandbox.gordo.controls.trouble(Hang(), PREDICTING)
        made = await run(config, "backfill", "--sink", "influx", "--expect", shown["digest"], "--reason", "new boards")
        await service.until(lambda: sandbox.ledger.value(_COPIED), within=180, what="something is copied")
        await service.kill()
    hanging.lift()
    left = await run(config, "backfills", "show", str(made["id"]))
    async with serving(config) as service:
        await is_done(sandbox, service, made["id"])
        after = await run(config, "status", codes=(0, 3))
        assert await service.stop() == 0

    assert [(sink["sink"], sink["models"]) for sink in lacking["sinks"]] == [("sink/influx", sandbox.models)]
    assert "sink_lacks" in {cause["kind"] for cause in lacking["causes"]}
    assert shown["slots"] == lacking["sinks"][0]["slots"] == shown["copied"] + shown["predicted"]
    assert len(stored) == shown["slots"] * (SLOT // RESOLUTION)
    assert (left["kind"], left["sink"], left["why"], 0 < left["slots_left"] < left["slots"]) == (
        "copy",
        "sink/influx",
        "new boards",
        True,
    )
    assert [sink["slots"] for sink in after["sinks"]] in ([], [0])
    assert before(await in_influx(server), joined) == stored
    assert before(await in_postgres(sandbox), joined) == Counter(
        {key: points for key, points in stored.items() if key[1] >= dropped}
    )
    again = {run.last for run in list(sandbox.gordo.controls.executed)[ran:] if run.last and run.last < joined}
    assert again
    assert max(again) < dropped


async def test_a_sink_that_names_no_revisions_can_be_copied_from(sandbox: Sandbox, server: Influxd):
    async with serving(sandbox.config(predictions=[influx(server)])) as service:
        await sandbox.whole(service)
        assert await service.stop() == 0
    joined = await sandbox.ledger.value(_COVERED_END)
    ran = len(sandbox.gordo.controls.executed)
    config = sandbox.config(predictions=[influx(server), {"kind": "postgres", "name": "history"}])
    async with serving(config) as service:
        await service.logged("sink.joined")
        made = await run(config, "backfill", "--sink", "history")
        await is_done(sandbox, service, made["id"])
        assert await service.stop() == 0

    assert before(await in_postgres(sandbox), joined) == before(await in_influx(server), joined)
    assert [run for run in list(sandbox.gordo.controls.executed)[ran:] if run.last and run.last < joined] == []


async def test_a_wrong_name_names_the_nearest_sink_and_an_optional_one_is_refused(sandbox: Sandbox, server: Influxd):
    config = sandbox.config(predictions=[{"kind": "postgres"}, {**influx(server), "required": False}])
    wrong = await latigo("backfill", "--sink", "postgre", "--config", str(config), folder=sandbox.folder)
    optional = await latigo("backfill", "--sink", "influx", "--config", str(config), folder=sandbox.folder)

    assert (wrong[0], "postgre: unknown sink; the nearest known one is postgres" in wrong[2]) == (2, True)
    assert (optional[0], "influx is not required" in optional[2]) == (2, True)
