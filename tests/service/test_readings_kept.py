"""How long sources keep readings, and that `latigo backfill` requests nothing older."""

import json
from datetime import timedelta

import pytest

from latigo.runtime.clock import SystemClock
from latigo.settings import InfluxSensors, Settings, SimulatedSensors
from latigo.wiring.retention import readings_kept_for
from tests.support.influxd import InfluxDatabase, administer
from tests.support.process import latigo, serving
from tests.support.sandbox import Sandbox

WEEK, MONTH = timedelta(days=7), timedelta(days=30)


async def kept_for(*sources: InfluxSensors | SimulatedSensors) -> tuple[list[timedelta | None], list[str]]:
    """Of a tag of the first source, of one of the last, and of both; and what was reported."""
    reported: list[str] = []
    kept = await readings_kept_for(Settings(sensors=sources), SystemClock(), report=reported.append)
    return [kept(["lab-1"]), kept(["TT-1"]), kept(["TT-1", "lab-1"])], reported


async def test_a_real_influxdb_says_how_long(influx_database: InfluxDatabase):
    source = InfluxSensors(url=influx_database.url, database=influx_database.name)
    policy = f'RETENTION POLICY "w" ON "{influx_database.name}"'

    for_ever = await kept_for(source)
    await administer(influx_database.url, f"CREATE {policy} DURATION 7d REPLICATION 1")
    named = await kept_for(source.model_copy(update={"retention_policy": "w"}))
    await administer(influx_database.url, f"ALTER {policy} DEFAULT")
    by_default = await kept_for(source)
    set_by_hand = await kept_for(source.model_copy(update={"retention": MONTH}))

    assert [answer[0][1] for answer in (for_ever, named, by_default, set_by_hand)] == [None, WEEK, WEEK, MONTH]


@pytest.mark.parametrize(
    ("first", "last", "kept"),
    [(WEEK, MONTH, [WEEK, MONTH, WEEK]), (None, MONTH, [None, MONTH, MONTH]), (None, None, [None, None, None])],
)
async def test_of_several_sources_the_shortest_counts(
    first: timedelta | None, last: timedelta | None, kept: list[timedelta | None]
):
    lab = SimulatedSensors(name="lab", tags=("lab-*",), retention=first)

    assert await kept_for(lab, SimulatedSensors(retention=last)) == (kept, [])


async def test_a_source_that_cannot_be_asked_is_named_and_hides_no_other():
    lab = SimulatedSensors(name="lab", tags=("lab-*",), retention=WEEK)

    kept, reported = await kept_for(lab, InfluxSensors(url="http://127.0.0.1:9", database="sensors"))

    assert kept == [WEEK, None, WEEK]
    (sentence,) = reported
    assert sentence.startswith("how long influx keeps readings is not known: ")


async def test_backfill_leaves_out_what_the_source_has_dropped(sandbox: Sandbox):
    config = sandbox.config(sensors={"kind": "simulated", "retention": "2d"})
    async with serving(config) as service:
        await sandbox.whole(service)
        command = ("backfill", "*", "--from", "-4d", "--to", "-1d", "--dry-run", "--json", "--config", str(config))
        code, output, errors = await latigo(*command, folder=config.parent)

    assert code == 0, errors
    preview = json.loads(output)
    left_out = {each["reason"]: each["slots"] for each in preview["left_out"]}
    total = preview["slots"] + sum(left_out.values())
    # Two of three days; the moment itself may be in the middle of a slot of each model.
    assert left_out["not_readable"] / sandbox.models == pytest.approx(2 / 3 * total / sandbox.models, abs=1)
