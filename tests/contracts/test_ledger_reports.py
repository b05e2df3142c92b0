"""The status of the service, and when it needs attention."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from latigo.domain.errors import Reason
from latigo.domain.model import ModelRef
from latigo.domain.outcome import NO_FINITE_VALUES, NOT_STORED
from latigo.domain.windows import Window
from latigo.ledger.protocol import ExecutorInfo
from latigo.postgres.ranges import to_range
from latigo.reports.failures import FailureFilter, read_failures
from latigo.reports.snapshot import NAMED
from latigo.reports.status import read_status
from tests.support.build import HALF_HOUR, NOW, an_entry, at, window
from tests.support.ledgers import Ledgers

NEWEST = window("11:30", "12:00")
FRESH = at("12:00")


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """A ledger with a scheduler and an executor, for which there is nothing to complain about."""
    await ledgers.set_clock(NOW)
    await ledgers.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    await ledgers.executor.register(ExecutorInfo("executor-1", "test", 1, 1, 8))
    assert (await status(ledgers))["healthy"]
    return ledgers


async def status(ledger: Ledgers) -> Mapping[str, Any]:
    return (await read_status(ledger.database, "test")).model_dump()


async def covered_until(ledger: Ledgers, ends: Mapping[str, Any], *, project: str = "plant") -> None:
    """Models of a project that are covered until then."""
    await ledger.models.put_models([an_entry(name, project=project) for name in ends])
    for name, end in ends.items():
        await ledger.fetch(
            "UPDATE coverage SET covered = tstzmultirange($3) FROM model m"
            " WHERE m.id = model_id AND m.project = $1 AND m.name = $2",
            *(project, name, to_range(Window(at("10:00"), end))),
        )


async def parked(ledger: Ledgers, name: str, reason: Reason, slots: Window | None, *tags: str) -> None:
    await ledger.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version, tags)"
        " SELECT id, revision, $2, 'because', tstzmultirange($3), ledger_now(), 'test', $4 FROM model WHERE name = $1",
        *(name, reason.value, to_range(slots), tags),
    )


async def listed(ledger: Ledgers, *names: str) -> None:
    await ledger.models.project_listed("plant", "1000", names)


async def test_models_that_are_parked_with_their_newest_slot_are_an_alarm_for_each_cause(ledger: Ledgers):
    await covered_until(ledger, dict.fromkeys(("pump", "fan", "valve", "well"), FRESH))
    await covered_until(ledger, {"other": FRESH}, project="elsewhere")
    await parked(ledger, "pump", Reason.UNKNOWN_SENSOR, None)
    await parked(ledger, "fan", Reason.UNKNOWN_SENSOR, None)
    await parked(ledger, "valve", Reason.ATTEMPTS, NEWEST)
    await parked(ledger, "other", Reason.UNKNOWN_SENSOR, NEWEST)

    report = await status(ledger)

    assert report["alarms"] == [
        (
            "1 model of plant gets no predictions: all attempts have failed"
            " (latigo failures --project plant --reason attempts)"
        ),
        (
            "3 models of elsewhere, plant get no predictions: no source has a sensor that is read"
            " (latigo failures --reason unknown_sensor)"
        ),
    ]
    assert report["stale_models"] == 0
    assert not report["healthy"]


async def test_a_parked_model_stays_an_alarm_when_a_slot_becomes_due_until_that_has_ended_otherwise(ledger: Ledgers):
    await covered_until(ledger, {"pump": NEWEST.start, "fan": NEWEST.start})
    await parked(ledger, "pump", Reason.UNKNOWN_SENSOR, NEWEST)
    await parked(ledger, "fan", Reason.UNKNOWN_SENSOR, NEWEST)
    stuck = []

    async def count() -> None:
        stuck.append([each["stuck"] for each in (await status(ledger))["failures"]])

    await count()
    await ledger.set_clock(NOW + HALF_HOUR)
    await count()
    due = to_range(Window(NEWEST.end, NEWEST.end + HALF_HOUR))
    await ledger.fetch(
        "UPDATE coverage SET covered = covered + tstzmultirange($1) FROM model m"
        " WHERE m.id = model_id AND m.name = 'fan'",
        due,
    )
    await count()
    await ledger.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots)"
        " SELECT id, 'absent', 'no a', 0, 'infinity', tstzmultirange($1) FROM model WHERE name = 'pump'",
        due,
    )
    await count()

    assert stuck == [[2], [2], [1], [0]]


async def test_what_is_parked_of_the_past_is_reported_and_no_alarm(ledger: Ledgers):
    await covered_until(ledger, {"pump": FRESH})
    await parked(ledger, "pump", Reason.VALUES_REFUSED, window("10:30", "11:00"))

    report = await status(ledger)

    assert [(each["reason"], each["models"], each["stuck"]) for each in report["failures"]] == [
        ("values_refused", 1, 0)
    ]
    assert (report["alarms"], report["healthy"]) == ([], True)


@pytest.mark.parametrize(("other", "because"), [("TT-1", "the sensor TT-1"), ("TT-2", "a sensor that is read")])
async def test_the_alarm_names_the_sensor_that_all_of_it_is_about(ledger: Ledgers, other: str, because: str):
    await covered_until(ledger, dict.fromkeys(("pump", "fan"), FRESH))
    await parked(ledger, "pump", Reason.UNKNOWN_SENSOR, None, "TT-1")
    await parked(ledger, "fan", Reason.UNKNOWN_SENSOR, None, other)

    (alarm,) = (await status(ledger))["alarms"]

    assert alarm.split(" (")[0] == f"2 models of plant get no predictions: no source has {because}"


async def test_a_model_whose_last_slot_was_parked_is_late_no_sooner_than_any_other(ledger: Ledgers):
    await covered_until(ledger, {"pump": at("11:30")})
    await parked(ledger, "pump", Reason.ATTEMPTS, NEWEST)

    await ledger.set_clock(NOW + HALF_HOUR)
    just_due = await status(ledger)
    await ledger.set_clock(NOW + 2 * HALF_HOUR)
    overdue = await status(ledger)

    assert just_due["stale"] == []
    assert [(each["model"], each["looked_until"]) for each in overdue["stale"]] == [("pump", NEWEST.end)]


@pytest.mark.parametrize("left_out", [False, True])
async def test_a_model_that_cannot_be_used_is_an_alarm_until_it_is_left_out(ledger: Ledgers, left_out: bool):
    await ledger.models.put_unusable(
        ModelRef("plant", "pump"), "1000", Reason.BAD_METADATA, "no tags", "test", timedelta(hours=2)
    )
    await parked(ledger, "pump", Reason.CRASHED, None)
    if left_out:
        await ledger.models.set_state("plant", ["pump"], "unregistered")

    report = await status(ledger)

    assert [alarm.split(" (")[0] for alarm in report["alarms"]] == (
        []
        if left_out
        else [
            "1 model of plant gets no predictions: the metadata cannot be used",
            "1 model of plant gets no predictions: Latigo crashed on the task",
        ]
    )
    assert report["healthy"] == left_out


async def test_all_is_not_well_while_listed_models_lack_their_metadata(ledger: Ledgers):
    await listed(ledger, "pump", "fan")
    await covered_until(ledger, {"pump": FRESH})
    before = await status(ledger)

    await covered_until(ledger, {"fan": FRESH})
    after = await status(ledger)

    assert [(each["undescribed"], each["stale"]) for each in before["projects"]] == [(1, 0)]
    assert [before["healthy"], after["healthy"]] == [False, True]


async def test_a_model_that_was_unregistered_by_hand_does_not_lack_its_metadata_before_the_next_list(ledger: Ledgers):
    await listed(ledger, "pump", "fan")
    await covered_until(ledger, {"pump": FRESH, "fan": FRESH})
    await ledger.set_clock(NOW + timedelta(seconds=1))

    await ledger.roster.remove(ModelRef("plant", "fan"))
    await ledger.models.set_state("plant", ["fan"], "unregistered")

    assert [each["undescribed"] for each in (await status(ledger))["projects"]] == [0]
    await listed(ledger, "pump", "valve")
    assert [each["undescribed"] for each in (await status(ledger))["projects"]] == [1]


async def test_an_unavailable_downstream_is_an_alarm_even_a_sink_that_is_not_required(ledger: Ledgers):
    await ledger.executor.open_circuit("sink/second", "no route to host", alarm=False, pause=timedelta(seconds=15))

    report = await status(ledger)

    assert report["alarms"] == ["sink/second is unavailable: no route to host"]
    assert not report["healthy"]


async def test_the_stalest_models_of_all_projects_are_named_and_all_of_them_counted(ledger: Ledgers):
    ends = {f"pump-{number:02}": at("10:30") + timedelta(seconds=number) for number in range(NAMED)}
    await covered_until(ledger, {**ends, "on-time": at("11:30")})
    await covered_until(ledger, {"stalest": at("10:05")}, project="elsewhere")

    report = await status(ledger)

    assert [(each["project"], each["model"]) for each in report["stale"]] == [
        ("elsewhere", "stalest"),
        *[("plant", name) for name in list(ends)[: NAMED - 1]],
    ]
    assert report["stale"][0] == {
        "project": "elsewhere",
        "model": "stalest",
        "looked_until": at("10:05"),
        "due": FRESH,
    }
    assert [(each["project"], each["active"], each["stale"]) for each in report["projects"]] == [
        ("elsewhere", 1, 1),
        ("plant", NAMED + 1, NAMED),
    ]
    assert report["stale_models"] == NAMED + 1
    assert not report["healthy"]


async def excepted(ledger: Ledgers, name: str, reason: str, slots: Window, *, final: bool = False) -> None:
    await ledger.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots)"
        " SELECT id, 'absent', $2, 1, CASE WHEN $4 THEN 'infinity' ELSE ledger_now() END, tstzmultirange($3)"
        " FROM model WHERE name = $1",
        *(name, reason, to_range(slots), final),
    )


async def test_models_whose_newest_slot_lacks_rows_for_no_fault_of_the_readings_are_an_alarm_that_names_them(
    ledger: Ledgers,
):
    names = ["dark", "infinite", "old", "paused", "refused", "silent", "parked"]
    await covered_until(ledger, dict.fromkeys(names, at("11:30")))
    for name in ("dark", "infinite", "paused", "parked"):
        await excepted(ledger, name, NO_FINITE_VALUES, NEWEST, final=name == "dark")
    await excepted(ledger, "old", NO_FINITE_VALUES, window("10:30", "11:00"))
    await excepted(ledger, "refused", f"{NOT_STORED}: sink/influx", NEWEST)
    await excepted(ledger, "silent", NO_FINITE_VALUES, window("11:00", "11:30"))
    await excepted(ledger, "silent", "no data: 'a'", NEWEST)
    await ledger.fetch("UPDATE model SET paused = true WHERE name = 'paused'")
    await parked(ledger, "parked", Reason.VALUES_REFUSED, None)

    report = await status(ledger)

    lacking = [alarm for alarm in report["alarms"] if "lack predictions" in alarm]
    assert lacking == [
        f"plant: models that lack predictions in their newest slot, {what}"
        f" (latigo failures --project plant --reason {why})"
        for what, why in (
            ("no_finite_values: 2, dark, infinite", "no_finite_values"),
            ("not_stored: sink/influx: 1, refused", "not_stored"),
        )
    ]
    assert not report["healthy"]


async def test_what_lacks_rows_is_listed_by_model_and_cause_until_it_is_healed(ledger: Ledgers):
    await covered_until(ledger, dict.fromkeys(("dark", "refused", "silent"), at("11:30")))
    await excepted(ledger, "dark", NO_FINITE_VALUES, window("10:30", "11:00"), final=True)
    await excepted(ledger, "dark", NO_FINITE_VALUES, NEWEST)
    await excepted(ledger, "refused", f"{NOT_STORED}: sink/influx", NEWEST, final=True)
    await excepted(ledger, "silent", "no data: 'a'", NEWEST)

    dark, refused = await read_failures(ledger.database)
    only = await read_failures(ledger.database, FailureFilter(reason=NOT_STORED))

    assert (dark.model, dark.state, dark.reason) == ("dark", "excepted", NO_FINITE_VALUES)
    assert (dark.first, dark.last, dark.next_attempt) == (at("10:30"), FRESH, NOW)
    assert (refused.model, refused.next_attempt) == ("refused", None)
    assert refused.detail == "a sink did not keep the rows that it was given: sink/influx"
    assert only == [refused]
    await ledger.fetch("DELETE FROM slot_exception")
    assert await read_failures(ledger.database) == []
