"""Models by anomaly, from the receipts of their windows in a real ledger."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientSession
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latigo.domain.errors import Misused
from latigo.domain.receipt import Carrier, Receipt, Score
from latigo.domain.windows import DAY, Window, floor_to_slot
from latigo.postgres.ranges import to_range
from latigo.reports import anomalies
from latigo.reports.anomalies import Anomalies, Anomaly, read_anomalies
from latigo.runtime.clock import SystemClock
from latigo.settings.reference import to_toml
from tests.support.api import ask, serve_api
from tests.support.build import HALF_HOUR, NOW, an_entry, at
from tests.support.clock import ManualClock
from tests.support.commands import command
from tests.support.ledgers import Ledgers

EIGHT, NOON = at("08:00"), at("12:00")


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    models = [an_entry(name, horizon=10 * DAY, anomaly=None) for name in ("fan", "pump")]
    await ledgers.models.put_models([*models, an_entry("plain", anomaly=False), an_entry("idle", project="site")])
    return ledgers


async def settle(
    ledger: Ledgers,
    model: str,
    start: datetime,
    end: datetime,
    score: Score | None,
    *,
    rows: int = 3,
    settled: datetime | None = None,
    epoch: int = 1,
) -> None:
    receipt = Receipt({"read": 3}, 10, None, ("sink/postgres",), score).to_bytes()
    await ledger.fetch(
        "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, rows,"
        " planned_at, settled_at, receipt)"
        " SELECT 1, id, '1', $2, $3, 'live', 'stored', 0, 1, $4, $5, $5, $6 FROM model WHERE name = $1",
        *(model, epoch, to_range(Window(start, end)), rows, settled or end + timedelta(minutes=6), receipt),
    )


async def slots(ledger: Ledgers, model: str, first: datetime, *over: int | None, carriers: Any = ()) -> None:
    """Settle half hours of three rows: so many are over the threshold, None: there is no threshold."""
    for number, count in enumerate(over):
        start = first + number * HALF_HOUR
        await settle(ledger, model, start, start + HALF_HOUR, Score(0.5 + (count or 0), count, tuple(carriers)))


async def read(ledger: Ledgers, start: datetime = EIGHT, end: datetime = NOON, **rest: Any) -> Anomalies:
    return await read_anomalies(ledger.database, "plant", start, end, NOW, **rest)


async def of_pump(ledger: Ledgers) -> Anomaly:
    (item,) = (await read(ledger, model="pump")).items
    return item


async def test_the_worst_now_comes_first_and_models_without_anomalies_stand_apart(ledger: Ledgers):
    await slots(ledger, "fan", at("08:00"), 3, 3, 3, 3, 0, 0, 0, 0)
    await slots(ledger, "pump", at("08:00"), 0, 0, 0, 0, 0, 0, 1, 1)

    report = await read(ledger)

    assert [item.model for item in report.items] == ["pump", "fan"]
    assert (report.total, report.over, report.unscored_count) == (2, 1, 0)
    assert ([each.model for each in report.without], report.without_count) == (["plain"], 1)
    pump, fan = report.items
    assert pump.share_now == pytest.approx(1 / 3)
    assert pump.share == pytest.approx(2 / 24)
    assert pump.windows == 8
    assert (pump.since, pump.since_before) == (at("11:00"), False)
    assert (fan.share_now, fan.share, fan.since) == (0, 0.5, None)
    assert (fan.now, fan.now_at, fan.max, fan.max_at) == (0.5, NOON, 3.5, at("08:30"))


async def test_a_range_is_compared_with_as_long_a_time_before_it(ledger: Ledgers):
    await slots(ledger, "pump", at("04:00"), 0, 0, 0, 0, 3, 3, 0, 0)
    await slots(ledger, "pump", at("08:00"), *([3] * 8))

    item = await of_pump(ledger)

    assert (item.share, item.share_before, item.change) == (1.0, 0.25, 0.75)
    assert (item.since, item.since_before) == (at("08:00"), False)


async def test_since_reaches_back_as_far_as_windows_are_read_and_gaps_interrupt_nothing(ledger: Ledgers):
    await slots(ledger, "pump", at("05:00"), 1, 1)
    await slots(ledger, "pump", at("10:00"), 2, 2)

    item = await of_pump(ledger)

    assert (item.since, item.since_before, item.now_at, item.windows) == (at("05:00"), True, at("11:00"), 2)


async def test_a_slot_counts_for_the_window_that_wrote_it_last(ledger: Ledgers):
    await settle(ledger, "pump", at("08:00"), at("10:00"), Score(9.0, 12), rows=12, settled=at("10:30"))
    await settle(ledger, "pump", at("09:00"), at("09:30"), Score(1.0, 0), settled=at("11:30"))
    await settle(ledger, "pump", at("09:30"), at("10:00"), Score(1.0, 0), settled=at("10:10"))

    item = await of_pump(ledger)

    assert (item.windows, item.share, item.share_now, item.max) == (4, 0.75, 1.0, 9.0)
    assert (item.max_at, item.now_at) == (at("10:00"), at("10:00"))


async def test_a_model_without_a_threshold_has_the_highest_anomaly_alone(ledger: Ledgers):
    await slots(ledger, "pump", at("08:00"), None, None)

    item = await of_pump(ledger)

    assert (item.share_now, item.share, item.change, item.since, item.now) == (None, None, None, None, 0.5)
    assert [number for number in item.series if number is not None] == [0.5, 0.5]


async def test_tags_that_carry_the_anomaly_are_named_by_the_slots_over_the_threshold(ledger: Ledgers):
    await slots(ledger, "pump", at("08:00"), 0, 0, carriers=[Carrier(0, 100)])
    await slots(ledger, "pump", at("09:00"), 2, carriers=[Carrier(1, 70), Carrier(0, 30)])
    await slots(ledger, "pump", at("09:30"), 1, carriers=[Carrier(1, 100)])

    assert [(tag.tag, tag.share) for tag in (await of_pump(ledger)).tags] == [("b", 0.8), ("a", 0.2)]


async def test_places_of_tags_that_a_model_has_not_any_more_are_not_named(ledger: Ledgers):
    await slots(ledger, "pump", at("08:00"), 2, carriers=[Carrier(0, 100)])
    await ledger.fetch(
        "INSERT INTO replaced_tags (model_id, epoch, tags, replaced_at) SELECT id, 1, '[\"x\"]', $1 FROM model", NOW
    )
    assert (await of_pump(ledger)).tags == []
    await settle(ledger, "pump", at("09:00"), at("09:30"), Score(2.0, 2, (Carrier(1, 90),)), epoch=2)

    assert [(tag.tag, tag.share) for tag in (await of_pump(ledger)).tags] == [("b", 0.9)]


_windows = st.lists(
    st.tuples(st.integers(-4, 15), st.integers(1, 4), st.integers(0, 3), st.integers(0, 50)), max_size=10
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(_windows)
async def test_shares_are_those_of_counting_slot_after_slot(ledger: Ledgers, windows: list[tuple[int, int, int, int]]):
    await ledger.fetch("DELETE FROM task_history")
    wrote: dict[int, tuple[int, float, float]] = {}
    first = at("08:00")
    for order, (start, length, over, _) in enumerate(windows):
        span = (first + start * HALF_HOUR, first + (start + length) * HALF_HOUR)
        score = Score(over + order / 100, over * length)
        await settle(ledger, "pump", *span, score, rows=3 * length, settled=NOON + order * timedelta(seconds=1))
        wrote |= dict.fromkeys(range(start, start + length), (order, over, score.highest))

    items = (await read(ledger, model="pump")).items

    inside = {slot: each for slot, each in wrote.items() if 0 <= slot < 8}
    before = [each for slot, each in wrote.items() if -8 <= slot < 0]
    if not inside:
        assert items == []
        return
    (item,) = items
    assert item.windows == len(inside)
    assert item.share == pytest.approx(sum(each[1] for each in inside.values()) / (3 * len(inside)))
    assert item.share_before == (pytest.approx(sum(e[1] for e in before) / (3 * len(before))) if before else None)
    assert item.max == max(each[2] for each in inside.values())
    assert item.now == inside[max(inside)][2]
    calm = [slot for slot, each in wrote.items() if slot <= max(inside) and each[1] == 0 and slot >= -8]
    since = [slot for slot in wrote if max(calm, default=-99) < slot <= max(inside) and slot >= -8]
    assert item.since == (first + min(since) * HALF_HOUR if since else None)


async def test_too_many_windows_are_refused_with_what_would_do(ledger: Ledgers):
    await ledger.fetch("UPDATE model SET slot = '1 second'")

    with pytest.raises(Misused, match="name a project, or a range of at most 97 h"):
        await read(ledger, NOON - 5 * DAY)


async def test_where_windows_are_many_there_is_no_comparison(ledger: Ledgers, monkeypatch: pytest.MonkeyPatch):
    await slots(ledger, "pump", at("04:00"), *([3] * 16))
    assert (await of_pump(ledger)).share_before == 1.0

    monkeypatch.setattr(anomalies, "MOST_SLOTS", 15)

    item = await of_pump(ledger)
    assert (item.share, item.share_before, item.since, item.windows) == (1.0, None, EIGHT, 8)


async def test_the_command_shows_the_worst_first_and_counts_the_rest(ledger: Ledgers, tmp_path: Path):
    now = SystemClock().now()
    newest = floor_to_slot(now, HALF_HOUR)
    await ledger.set_clock(now)
    await slots(ledger, "fan", newest - 3 * HALF_HOUR, 3, 3, 0, carriers=[Carrier(0, 100)])
    await slots(ledger, "pump", newest - HALF_HOUR, 2, carriers=[Carrier(1, 75), Carrier(0, 25)])
    config = tmp_path / "latigo.toml"
    config.write_text(to_toml({"ledger": {"kind": "postgres", "url": ledger.url}}))

    code, text, beyond = await command("anomalies", "--project", "plant", "--config", str(config))
    _, in_json, _ = await command("anomalies", "--project", "plant", "--json", "--config", str(config))

    assert code == 0
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[1].startswith("plant/pump 66.7 % 66.7 % - > ")
    assert lines[1].endswith("b 75%, a 25%")
    assert lines[2].startswith("plant/fan 0 % 66.7 % - - 3.5 ")
    assert "1 without anomalies in what they answer" in beyond
    report = json.loads(in_json)
    assert [item["model"] for item in report["items"]] == ["pump", "fan"]
    assert report["items"][0]["tags"] == [{"tag": "b", "share": 0.75}, {"tag": "a", "share": 0.25}]


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def client(ledger: Ledgers) -> AsyncIterator[ClientSession]:
    async with serve_api(ledger, ManualClock(NOW)) as session:
        yield session


async def test_the_api_lists_so_many_of_a_project(ledger: Ledgers, client: ClientSession):
    await slots(ledger, "fan", at("11:00"), 1, 1)
    await slots(ledger, "pump", at("11:00"), 0, 0)

    report = await ask(client, "/anomalies", project="plant", limit=1, **{"from": "-2h"})
    every = await ask(client, "/anomalies")

    assert ([item["model"] for item in report["items"]], report["total"]) == (["fan"], 2)
    assert (len(every["items"]), every["unscored_count"]) == (2, 1)
    assert len(every["items"][0]["series"]) == 49  # from 12:00 to the end of the slot in progress
    assert np.isclose(every["items"][0]["share"], 1 / 3)


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [({"project": "plnt"}, 404, "plant"), ({"limit": "501"}, 400, "limit"), ({"from": "-32d"}, 400, "31 days")],
)
async def test_what_cannot_be_asked_is_refused_by_name(
    client: ClientSession, query: dict[str, str], status: int, words: str
):
    problem = await ask(client, "/anomalies", status, **query)

    assert words in problem["detail"] + "".join(problem["errors"])
