"""A sensor that stops many models is one failure, and its models go on together when it is back."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from latigo.actions.retry import Retried, count_retried, retry
from latigo.domain.coverage import Coverage
from latigo.domain.errors import Misused, Reason, UnknownName
from latigo.domain.outcome import Rejected, Settlement, SlotException, SlotState, Stored
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Need, Planned
from latigo.reports.failures import FailureFilter, read_failure_groups, read_failures
from latigo.reports.names import require_sensor
from tests.support.build import HALF_HOUR, NOW, an_entry, at, window
from tests.support.ledgers import Ledgers

CATCH_UP = timedelta(days=30)


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    return ledgers


async def needs(ledger: Ledgers) -> Mapping[str, Need]:
    return {need.ref.name: need for need in await ledger.scheduler.needs(CATCH_UP)}


async def settle(ledger: Ledgers, now: datetime, ends: Mapping[str, Settlement], lane: Lane = Lane.LIVE) -> None:
    """Settle the window that is next in the lane of each model, in the order of ``ends``."""
    await ledger.set_clock(now)
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=9))
    assert term is not None
    wanted = await needs(ledger)
    planned = [Planned(wanted[name].model_id, wanted[name].epoch, wanted[name].windows[lane], lane) for name in ends]
    await ledger.scheduler.plan(term, planned)
    tasks = {task.ref.name: task for task in await ledger.scheduler.unpublished(term, 100)}
    for name, end in ends.items():
        claim = await ledger.executor.claim(tasks[name], "executor-1", timedelta(seconds=30))
        assert claim is not None
        assert await ledger.executor.settle([(claim, end)])


def lacks(*tags: str) -> Rejected:
    return Rejected(Reason.UNKNOWN_SENSOR, f"the source has no {tags}", tags=tags)


def silent(newest: Window, *tags: str) -> Stored:
    absent = SlotException(SlotState.ABSENT, Coverage((newest,)), "no data", tags)
    return Stored(exceptions=[absent], silent_since=newest.start)


def covered(start: str, end: str) -> Stored:
    return Stored.in_full(window(start, end), rows=3)


async def parked(ledger: Ledgers) -> dict[str, Sequence[str]]:
    rows: list[Any] = await ledger.fetch("SELECT model, tags FROM v_parked ORDER BY model")
    return {row["model"]: row["tags"] for row in rows}


async def test_an_unknown_sensor_leaves_only_the_newest_slots_to_try(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump", fold=HALF_HOUR)])
    await settle(ledger, NOW, {"pump": lacks("A", "B")})

    assert await parked(ledger) == {"pump": ["A", "B"]}
    assert await needs(ledger) == {}
    await ledger.set_clock(NOW + HALF_HOUR)
    assert (await needs(ledger))["pump"].windows == {Lane.LIVE: window("12:00", "12:30")}


async def test_what_was_covered_before_stays_covered_and_is_not_parked(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump", fold=HALF_HOUR)])
    await settle(ledger, NOW, {"pump": covered("11:30", "12:00")})
    await settle(ledger, NOW + HALF_HOUR, {"pump": lacks("A")})

    row: Any
    (row,) = await ledger.fetch("SELECT windows FROM v_parked")

    assert [(part.lower, part.upper) for part in row["windows"]] == [
        (at("10:00"), at("11:30")),
        (at("12:00"), at("12:30")),
    ]


async def test_the_first_slot_that_works_releases_all_models_that_wait_for_no_other_sensor(ledger: Ledgers):
    names = ("first", "same", "part", "other", "more")
    await ledger.models.put_models([an_entry(name, fold=HALF_HOUR) for name in names])
    waits: dict[str, tuple[str, ...]] = {
        "first": ("A", "B"),
        "same": ("A", "B"),
        "part": ("B",),
        "other": ("C",),
        "more": ("A", "C"),
    }
    await settle(ledger, NOW, {name: lacks(*tags) for name, tags in waits.items()})

    await settle(ledger, NOW + HALF_HOUR, {"first": covered("12:00", "12:30")})

    assert await parked(ledger) == {"more": ["A", "C"], "other": ["C"]}
    assert (await needs(ledger))["first"].windows == {Lane.BACKFILL: window("11:30", "12:00")}
    assert (await needs(ledger))["part"].windows[Lane.LIVE] == window("12:00", "12:30")


async def test_models_that_are_parked_for_something_else_stay_parked(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump", fold=HALF_HOUR), an_entry("fan", fold=HALF_HOUR)])
    refused = Rejected(Reason.VALUES_REFUSED, "too hot", tags=("A",))
    await settle(ledger, NOW, {"pump": lacks("A"), "fan": refused})

    await settle(ledger, NOW + HALF_HOUR, {"pump": covered("12:00", "12:30")})

    assert await parked(ledger) == {"fan": ["A"]}


async def test_one_dead_sensor_of_many_models_is_one_group_whether_unknown_or_silent(ledger: Ledgers):
    names = [f"model-{number:02}" for number in range(12)]
    await ledger.models.put_models([an_entry(name, fold=HALF_HOUR) for name in (*names, "fan")])
    newest = window("11:30", "12:00")
    ends: dict[str, Settlement] = {name: lacks("A") for name in names[:7]}
    ends |= {name: silent(newest, "A") for name in names[7:]}
    await settle(ledger, NOW, {**ends, "fan": silent(newest, "B")})

    dead, other = await read_failure_groups(ledger.database, "sensor")
    (project,) = await read_failure_groups(ledger.database, "project")
    unknown, no_readings = await read_failure_groups(ledger.database, "cause", FailureFilter(sensor="A"))

    assert (dead.name, dead.models, dead.reasons) == ("A", 12, ["no_readings", "unknown_sensor"])
    assert (other.name, other.models, other.states) == ("B", 1, ["silent"])
    assert (project.name, project.models) == ("plant", 13)
    assert [(each.name, each.models) for each in (unknown, no_readings)] == [("unknown_sensor", 7), ("no_readings", 5)]
    assert "newest slot" in unknown.latigo_does
    assert "sensor's name" in unknown.you_can_do
    assert [each.model for each in await read_failures(ledger.database)] == names[:7]
    assert len(await read_failures(ledger.database, FailureFilter(sensor="A"))) == 12


async def test_a_sensor_can_be_tried_again_with_all_its_models(ledger: Ledgers):
    await ledger.models.put_models([an_entry(name, fold=HALF_HOUR) for name in ("unknown", "dark", "fan")])
    newest = window("11:30", "12:00")
    await settle(ledger, NOW, {"unknown": lacks("A"), "dark": silent(newest, "A"), "fan": lacks("B")})
    before = await needs(ledger)

    counted = await count_retried(ledger.database, Retried(sensor="A"))
    result = await retry(ledger.database, "operator", Retried(sensor="A"), expect=counted.digest)

    assert (counted.models, counted.windows, counted.rechecked, counted.waiting) == (2, 1, 1, 0)
    assert [(each.model, each.reason) for each in result.unparked] == [("unknown", "unknown_sensor")]
    assert result.rechecked == 1
    assert before.keys() == {"dark"}, "only what is older than its silence"
    wanted = await needs(ledger)
    assert wanted["unknown"].windows[Lane.LIVE] == newest
    assert wanted["dark"].windows[Lane.LIVE] == newest
    assert "fan" not in wanted


async def test_slots_that_differ_only_in_their_next_recheck_become_one_row(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump", fold=HALF_HOUR)])
    await settle(ledger, NOW, {"pump": silent(window("11:30", "12:00"), "A")})
    await settle(ledger, NOW + HALF_HOUR, {"pump": silent(window("12:00", "12:30"), "A")})
    before = await ledger.fetch("SELECT FROM slot_exception")

    await retry(ledger.database, "operator", Retried(reason="no_readings"))

    row: Any
    (row,) = await ledger.fetch("SELECT slots, next_look, tags FROM slot_exception")
    assert len(before) == 2
    assert [(part.lower, part.upper) for part in row["slots"]] == [(at("11:30"), at("12:30"))]
    assert (row["next_look"], row["tags"]) == (NOW + HALF_HOUR, ["A"])


async def test_a_selection_that_has_changed_is_refused_and_nothing_is_changed(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump", fold=HALF_HOUR), an_entry("fan", fold=HALF_HOUR)])
    await settle(ledger, NOW, {"pump": lacks("A")})
    seen = (await count_retried(ledger.database, Retried(sensor="A"))).digest
    await settle(ledger, NOW + HALF_HOUR, {"pump": lacks("A")})
    unchanged = (await count_retried(ledger.database, Retried(sensor="A"))).digest
    await settle(ledger, NOW + HALF_HOUR, {"fan": lacks("A")})

    with pytest.raises(Misused, match=f"not {seen}"):
        await retry(ledger.database, "operator", Retried(sensor="A"), expect=seen)

    assert unchanged == seen
    assert (await parked(ledger)).keys() == {"pump", "fan"}
    assert await ledger.fetch("SELECT FROM request") == []


async def test_a_sensor_that_no_model_has_is_refused_with_the_nearest_name(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump", tags=("GRA-TT-001", "GRA-TT-002"))])

    await require_sensor(ledger.database, "GRA-TT-002")
    with pytest.raises(UnknownName, match=r"GRA-TT-02: unknown sensor; the nearest known one is GRA-TT-002"):
        await require_sensor(ledger.database, "GRA-TT-02")
