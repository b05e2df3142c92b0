"""What a retry tries again, and what it asks about before."""

import pytest

from latigo.actions.retry import Retried, count_retried, retry
from latigo.domain.errors import Reason
from latigo.postgres.ranges import to_range
from tests.support.build import NOW, an_entry, window
from tests.support.ledgers import Ledgers

MODELS = [("plant", "fan"), ("plant", "pump"), ("elsewhere", "pump")]


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """One model with a parked window, and a task that waits for another attempt."""
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry("pump")])
    await ledgers.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, revision, $2, 'no', tstzmultirange($1), ledger_now(), 'test' FROM model",
        *(to_range(window("10:30", "11:00")), Reason.ATTEMPTS.value),
    )
    await ledgers.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, not_before)"
        " SELECT id, 1, $1, 'backfill', 'waiting', ledger_now(), 'infinity' FROM model",
        to_range(window("11:00", "11:30")),
    )
    return ledgers


@pytest.mark.parametrize(
    ("reason", "windows", "waiting"), [(None, 1, 1), ("attempts", 1, 0), ("retry", 0, 1), ("crashed", 0, 0)]
)
async def test_it_does_what_was_counted_of_parked_windows_and_of_waiting_tasks(
    ledger: Ledgers, reason: str | None, windows: int, waiting: int
):
    counted = await count_retried(ledger.database, Retried(reason=reason))
    unparked, woken, _ = await retry(ledger.database, "operator", Retried(reason=reason))

    assert (counted.windows, counted.waiting, counted.rechecked) == (windows, waiting, 0)
    assert (len(unparked), woken) == (windows, waiting)
    assert await ledger.fetch("SELECT FROM task WHERE not_before <= ledger_now()") == [{}] * waiting
    assert await ledger.fetch("SELECT FROM parked") == [{}] * (1 - windows)


@pytest.fixture
async def plants(ledgers: Ledgers) -> Ledgers:
    """Models of two projects, each with a parked window, a task that waits, and one that is out."""
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry(name, project=project) for project, name in MODELS])
    await ledgers.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, revision, 'attempts', 'no', tstzmultirange($1), ledger_now(), 'test' FROM model",
        to_range(window("10:30", "11:00")),
    )
    await ledgers.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, not_before)"
        " SELECT id, 1, span, 'backfill', o.state, ledger_now(), 'infinity'"
        " FROM model, (VALUES ($1::tstzrange, 'waiting'), ($2, 'planned')) AS o (span, state)",
        to_range(window("11:00", "11:30")),
        to_range(window("11:30", "12:00")),
    )
    return ledgers


SELECTED = pytest.mark.parametrize(
    ("project", "model", "selected"),
    [
        (None, None, MODELS),
        ("plant", None, MODELS[:2]),
        ("plant", "pump", MODELS[1:2]),
        (None, "pump", MODELS[1:]),
        ("elsewhere", "fan", []),
    ],
)


@SELECTED
async def test_only_the_selected_models_are_counted_and_tried_again(
    plants: Ledgers, project: str | None, model: str | None, selected: list[tuple[str, str]]
):
    counted = await count_retried(plants.database, Retried(project, model))
    unparked, woken, _ = await retry(plants.database, "operator", Retried(project, model))

    assert (counted.windows, counted.waiting, counted.models) == (len(selected),) * 3
    assert sorted((each.project, each.model) for each in unparked) == sorted(selected)
    assert woken == len(selected)
    ended = await plants.fetch(
        "SELECT project, name FROM task JOIN model m ON m.id = model_id WHERE not_before <= ledger_now()"
    )
    assert sorted((row["project"], row["name"]) for row in ended) == sorted(selected)


@SELECTED
async def test_of_the_selected_models_those_that_could_not_be_used_are_described_again(
    plants: Ledgers, project: str | None, model: str | None, selected: list[tuple[str, str]]
):
    await plants.models.put_models([an_entry("usable", project=project) for project in ("plant", "elsewhere")])
    await plants.fetch("UPDATE model SET state = 'unusable' WHERE name <> 'usable'")

    await retry(plants.database, "operator", Retried(project, model))

    described = await plants.fetch("SELECT project, name FROM model WHERE stale_metadata")
    assert sorted((row["project"], row["name"]) for row in described) == sorted(selected)
