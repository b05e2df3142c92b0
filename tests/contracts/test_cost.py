"""Gordo cores from the receipts of a real ledger, the command and the API."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latigo.domain.receipt import Inputs, Receipt
from latigo.domain.windows import DAY
from latigo.postgres.ranges import to_range
from latigo.reports import cost
from latigo.reports.cost import read_cost
from latigo.reports.gordo_cost import Capacity, GordoCost
from latigo.reports.plan import read_plan
from latigo.runtime.clock import SystemClock
from latigo.runtime.units import format_duration
from latigo.settings.reference import to_toml
from tests.support.api import ask, serve_api
from tests.support.build import HALF_HOUR, NOW, an_entry, window
from tests.support.clock import ManualClock
from tests.support.commands import command
from tests.support.ledgers import Ledgers

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
CAPACITY = Capacity(HALF_HOUR, DAY, 1, 2)


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """Two Keras models and one of another kind; nothing is missing."""
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry(name, accepts_nan=True) for name in ("pump", "fan")])
    await ledgers.models.put_models([an_entry("plain"), an_entry("off", enabled=False), an_entry("paused")])
    await ledgers.fetch("UPDATE model SET paused = true WHERE name = 'paused'")
    await ledgers.fetch("UPDATE coverage SET covered = '{(,)}'")
    return ledgers


async def settle(
    ledger: Ledgers, model: str, ms: int, at: datetime, *, lane: str = "live", outcome: str = "stored", claim: int = 300
) -> None:
    inputs = Inputs((20_000, 3), (9, 0), 9, 4, 12)
    receipt = Receipt({"claim": claim, "read": 128, "frame": 2, "predict": ms, "write": 5}, 900_000, inputs).to_bytes()
    await ledger.fetch(
        "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, rows,"
        " planned_at, settled_at, receipt)"
        " SELECT 1, id, '1', 1, $2, $3, $4, 0, 1, 9, $5, $5, $6 FROM model WHERE name = $1",
        *(model, to_range(window("10:00", "10:30")), lane, outcome, at, receipt),
    )


async def live(ledger: Ledgers, model: str, ms: int, calls: int = 5, now: datetime = NOW) -> None:
    """Settle a call each half hour, the newest a minute ago."""
    for number in range(calls):
        await settle(ledger, model, ms, now - timedelta(minutes=1) - number * HALF_HOUR)


async def run(ledger: Ledgers, model: str, first: int, rest: int, calls: int = 8, now: datetime = NOW) -> None:
    """Settle calls of backfill, one after the other; the first one loads the model."""
    for number in range(calls):
        at = now - timedelta(minutes=10) + number * SECOND
        await settle(ledger, model, rest if number else first, at, lane="backfill")


async def read(ledger: Ledgers, within: timedelta = DAY) -> GordoCost:
    return await read_cost(ledger.database, CAPACITY, within, NOW)


async def plant(ledger: Ledgers, now: datetime = NOW) -> None:
    """The pump is loaded on every live call, the fan is not."""
    for model, live_ms, rest in (("pump", 20_000, 5000), ("fan", 6000, 5500)):
        await live(ledger, model, live_ms, now=now)
        await run(ledger, model, 21_000, rest, now=now)
    await live(ledger, "plain", 2000, now=now)


async def test_cores_and_loaded_models_come_from_receipts(ledger: Ledgers):
    await plant(ledger)

    report = await read(ledger)

    assert (report.calls, report.models, report.keras_models, report.live_calls_per_hour) == (31, 3, 2, 6)
    assert report.since == NOW - timedelta(minutes=121)
    assert report.cores_live == pytest.approx((20 + 6 + 2) / 1800)
    # of the last hour: two live calls of each model, and both runs
    in_use = 2 * (20 + 6 + 2) + 21 + 7 * 5 + 21 + 7 * 5.5
    assert report.cores_in_use == pytest.approx(in_use / 3600)
    assert (report.judged, report.loaded_count) == (2, 1)
    (pump,) = report.loaded
    assert (pump.project, pump.model, pump.live_ms, pump.in_memory_ms) == ("plant", "pump", 20_000, 5000)
    assert [each.setting for each in report.suggestions] == ["models.cached_per_worker", "schedule.interval"]
    # the pump's 15 s a slot, and half of all live calls
    assert [each.cores_saved for each in report.suggestions] == pytest.approx([15 / 1800, 14 / 1800])


async def test_a_call_is_in_a_row_where_it_follows_at_once(ledger: Ledgers):
    for seconds, ms in ((0, 900), (1.3, 200), (2.8, 200), (9, 3000)):  # 1.4 s after another one is no longer at once
        await settle(ledger, "pump", ms, NOW - HOUR + seconds * SECOND)

    (row, _) = await ledger.fetch(cost.SQL["calls"], NOW, 10)

    assert (row["row_calls"], row["row_ms"], row["live_calls"], row["live_ms"]) == (2, 1600, 2, 550)


async def test_only_predictions_of_the_last_day_count(ledger: Ledgers):
    await live(ledger, "pump", 200)
    await settle(ledger, "pump", 900, NOW - DAY - SECOND)
    await settle(ledger, "pump", 900, NOW - SECOND, outcome="parked")
    await settle(ledger, "pump", 0, NOW - SECOND)  # nothing was predicted
    await ledger.fetch("UPDATE task_history SET receipt = '' WHERE settled_at = $1", NOW - timedelta(minutes=1))

    report = await read(ledger)

    assert (report.calls, report.enough, report.cores_live) == (4, False, None)
    assert report.since == NOW - timedelta(minutes=121)


async def test_the_newest_calls_are_read(ledger: Ledgers, monkeypatch: pytest.MonkeyPatch):
    await plant(ledger)
    monkeypatch.setattr(cost, "MOST_CALLS", 30)

    report = await read(ledger)

    assert (report.calls, report.since) == (30, NOW - timedelta(minutes=121))
    monkeypatch.setattr(cost, "MOST_CALLS", 28)
    assert (await read(ledger)).since == NOW - timedelta(minutes=91)


async def test_the_backlog_is_what_would_be_planned(ledger: Ledgers):
    await plant(ledger)
    await ledger.fetch("UPDATE coverage SET covered = covered - tstzmultirange($1)", to_range(window("10:30", "12:00")))
    await ledger.fetch("UPDATE model SET fold = '1 hour'")

    report, planned = await read(ledger, HOUR), await read_plan(ledger.database)

    assert report.backlog_calls == sum(each.calls for each in planned.projects) == 6
    # the runs took 21 + 7 * 5 and 21 + 7 * 5.5 s, so 115.5 / 16 = 7.21875 s a call
    assert report.cores_backlog == pytest.approx(6 * 7.21875 / 3600)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    claim=st.sampled_from([0, 127, 128, 16_384, 3_000_000_000]),
    ms=st.sampled_from([1, 127, 128, 200, 16_383, 16_384, 300_000, 2_097_151, 2_097_152, 2**28 - 1]),
)
async def test_sql_reads_the_numbers_of_a_receipt(ledger: Ledgers, claim: int, ms: int):
    await ledger.fetch("DELETE FROM task_history")
    await settle(ledger, "pump", ms, NOW - SECOND, claim=claim)

    (row, total) = await ledger.fetch(cost.SQL["calls"], NOW, 10)

    assert (row["model"], row["live_ms"], total["calls"]) == ("pump", ms, 1)


# --- the command and the API -----------------------------------------------------------------------------------------


@pytest.fixture
async def config(ledger: Ledgers, tmp_path: Path) -> str:
    path = tmp_path / "latigo.toml"
    path.write_text(to_toml({"ledger": {"kind": "postgres", "url": ledger.url}}))
    await ledger.set_clock(SystemClock().now())
    return str(path)


async def test_the_command_says_what_helps_most_and_what_it_rests_on(ledger: Ledgers, config: str):
    await plant(ledger, SystemClock().now())

    code, text, beyond = await command("plan", "--cost", "--config", config)

    assert (code, beyond) == (0, "")
    lines = text.splitlines()
    assert lines[0] == "3 models, 6 live calls an hour"
    # 28 s of live calls in a slot
    assert lines[1].startswith("Gordo cores needed: 0.016; live 0.016, backlog 0.000 (0 calls within 1d); in use")
    assert lines[2] == "1 model seems to be loaded on every call; 2 of 2 Keras models can be judged:"
    assert lines[3] == "  plant/pump: 20000 ms a call, 4.0 times its calls in a row"
    assert lines[4].startswith("Helps most: models.cached_per_worker = 4 saves about 0.008 cores: keep all models")
    assert lines[5].startswith("Rests on 31 calls of the last day, the oldest at 20")
    assert len(lines) == 6


async def test_the_command_does_not_guess(ledger: Ledgers, config: str):
    await live(ledger, "pump", 200, calls=3, now=SystemClock().now())

    code, text, _ = await command("plan", "--cost", "--config", config)

    assert code == 0
    assert "Too few calls to estimate cores: 3 calls of the last day, the oldest at 20" in text
    assert "needed" not in text


async def test_the_command_has_it_in_json_and_refuses_what_makes_no_sense(ledger: Ledgers, config: str):
    await plant(ledger, SystemClock().now())

    _, text, _ = await command("plan", "--cost", "--within", "12h", "--json", "--config", config)
    refused = [
        await command("plan", *arguments, "--config", config)
        for arguments in (("--cost", "--model", "pump"), ("--within", "1d"), ("--cost", "--within", "0"))
    ]

    assert (json.loads(text)["within"], json.loads(text)["loaded_count"]) == (12 * 3600, 1)
    assert [code for code, _, _ in refused] == [2, 2, 2]
    assert [part in said for part, (_, _, said) in zip(("leave out", "--cost only", "within"), refused, strict=True)]


async def test_the_api_answers_the_same(ledger: Ledgers):
    await plant(ledger)

    async with serve_api(ledger, ManualClock(NOW)) as client:
        report = await ask(client, "/plan/cost", within="6h")
        for refused in ("-1d", "999ms", "366d"):
            await ask(client, "/plan/cost", 400, within=refused)

    expected = await read(ledger, 6 * HOUR)
    assert GordoCost.model_validate(report) == expected
    assert format_duration(expected.within) == "6h"
