"""Dismissed failures are no alarm, are listed apart and tried as before, until their model has another revision."""

from datetime import timedelta
from typing import Any

import pytest

from latigo.actions.dismissing import Failing, count_dismissed, dismiss
from latigo.domain.errors import Misused, Reason
from latigo.domain.outcome import NO_FINITE_VALUES
from latigo.postgres.ranges import to_range
from latigo.reports.failures import FailureFilter, count_dismissed_failures, read_failure_groups, read_failures
from latigo.reports.status import read_status
from tests.support.build import NOW, an_entry, at, window
from tests.support.ledgers import Ledgers

CATCH_UP = timedelta(days=30)
DISMISSED = FailureFilter(dismissed=True)


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """Two models that are parked, one whose newest slot has no finite value, and one that waits for readings."""
    await ledgers.set_clock(NOW)
    await ledgers.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    await ledgers.models.put_models([an_entry(name) for name in ("fan", "mixer", "pump", "valve")])
    await ledgers.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version, tags)"
        " SELECT id, revision, $2, 'no', tstzmultirange($1), ledger_now(), 'test', ARRAY[name || '-1']"
        " FROM model WHERE name IN ('fan', 'pump')",
        *(to_range(window("11:00", "12:00")), Reason.UNKNOWN_SENSOR.value),
    )
    await ledgers.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots, tags)"
        " SELECT m.id, 'absent', reason, 0, 'infinity', tstzmultirange($1), tags"
        " FROM model m JOIN (VALUES ('mixer', $2, '{}'::text[]), ('valve', 'silent', '{LT-1}'))"
        " AS v (name, reason, tags) USING (name)",
        *(to_range(window("11:00", "12:00")), NO_FINITE_VALUES),
    )
    await ledgers.fetch(
        "UPDATE coverage SET silent_since = $1 WHERE model_id = (SELECT id FROM model WHERE name = 'valve')",
        at("11:00"),
    )
    return ledgers


async def failing(ledger: Ledgers, wanted: FailureFilter) -> list[tuple[str, str]]:
    groups = await read_failure_groups(ledger.database, "cause", wanted)
    return sorted((group.name, str(group.models)) for group in groups)


async def alarms(ledger: Ledgers) -> list[str]:
    status = await read_status(ledger.database, "test")
    return sorted(cause.kind for cause in status.causes if cause.kind in {"parked", "unstored", "silent_sensors"})


@pytest.mark.parametrize(
    ("wanted", "models", "left"),
    [
        (Failing(), 4, []),
        (Failing(reason="unknown_sensor"), 2, ["silent_sensors", "unstored"]),
        (Failing(model="fan"), 1, ["parked", "silent_sensors", "unstored"]),
        (Failing(sensor="LT-1"), 1, ["parked", "unstored"]),
        (Failing(reason=NO_FINITE_VALUES), 1, ["parked", "silent_sensors"]),
        (Failing(project="elsewhere"), 0, ["parked", "silent_sensors", "unstored"]),
    ],
    ids=str,
)
async def test_what_is_dismissed_is_no_alarm_and_listed_apart(
    ledger: Ledgers, wanted: Failing, models: int, left: list[str]
):
    before, needs = await failing(ledger, FailureFilter()), await ledger.scheduler.needs(CATCH_UP)
    counted = await count_dismissed(ledger.database, wanted)
    done = await dismiss(ledger.database, "anna", wanted, "known", expect=counted.digest)
    status = await read_status(ledger.database, "test")

    assert counted == done
    assert (done.models, status.dismissed_models) == (models, models)
    assert await alarms(ledger) == left
    assert bool(status.silent_sensors) == ("silent_sensors" in left)
    assert bool(status.failures) == ("parked" in left)
    assert await count_dismissed_failures(ledger.database) == models
    apart: dict[str, int] = {}
    for name, count in [*await failing(ledger, FailureFilter()), *await failing(ledger, DISMISSED)]:
        apart[name] = apart.get(name, 0) + int(count)
    assert apart == {name: int(count) for name, count in before}
    assert await ledger.scheduler.needs(CATCH_UP) == needs  # it is tried as before


async def test_everything_that_is_dismissed_is_listed_silent_models_as_well(ledger: Ledgers):
    done = await dismiss(ledger.database, "anna", Failing(), "known")

    listed = await read_failures(ledger.database, DISMISSED)

    assert listed.total == done.failures
    assert {each.model for each in listed} == {"fan", "mixer", "pump", "valve"}


async def test_who_dismissed_it_when_and_why_is_shown_and_recorded(ledger: Ledgers):
    await dismiss(ledger.database, "anna", Failing(model="fan"), "a known gap")
    (shown,) = await read_failures(ledger.database, DISMISSED)
    rows: list[Any] = await ledger.fetch("SELECT kind, who, selector ->> 'note' AS note FROM request")

    assert (shown.model, shown.dismissed_by, shown.dismissed_at, shown.note) == ("fan", "anna", NOW, "a known gap")
    assert [tuple(row.values()) for row in rows] == [("failures_dismiss", "anna", "a known gap")]


async def test_a_dismissal_ends_by_command_or_with_another_revision(ledger: Ledgers):
    await dismiss(ledger.database, "anna", Failing(reason="unknown_sensor"), "known")
    undone = await dismiss(ledger.database, "bo", Failing(model="fan"), "", undo=True)
    by_command = [each.model for each in await read_failures(ledger.database, DISMISSED)]
    await ledger.models.put_models([an_entry("pump", revision="1001")])
    await ledger.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, revision, 'unknown_sensor', 'no', tstzmultirange($1), ledger_now(), 'test' FROM model"
        " WHERE name = 'pump'",
        to_range(window("11:00", "12:00")),
    )
    await ledger.scheduler.maintain(history=timedelta(days=30))

    assert (undone.models, by_command) == (1, ["pump"])
    assert await read_failures(ledger.database, DISMISSED) == []
    assert await ledger.fetch("SELECT FROM dismissal") == []


async def test_another_selection_than_that_of_the_dry_run_is_refused(ledger: Ledgers):
    counted = await count_dismissed(ledger.database, Failing(reason="unknown_sensor"))
    await dismiss(ledger.database, "anna", Failing(model="fan"), "known")

    with pytest.raises(Misused, match="nothing was changed"):
        await dismiss(ledger.database, "bo", Failing(reason="unknown_sensor"), "known", expect=counted.digest)
    assert [each.model for each in await read_failures(ledger.database, DISMISSED)] == ["fan"]
