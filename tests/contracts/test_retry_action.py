"""What a retry tries again, and what it asks about before."""

import pytest

from latigo.actions.retry import Retried, count_retried, retry
from latigo.domain.errors import Reason, UnknownName
from latigo.postgres.ranges import to_range, to_window
from latigo.reports.actions import read_actions
from tests.support.build import NOW, an_entry, at, window
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


@pytest.mark.parametrize(
    ("names", "selected"),
    [(["plant"], MODELS[:2]), (["plant/pump", "elsewhere/pump"], MODELS[1:]), (["*/p*"], MODELS[1:]), (["*"], MODELS)],
)
async def test_models_of_several_projects_are_tried_again_together(
    plants: Ledgers, names: list[str], selected: list[tuple[str, str]]
):
    counted = await count_retried(plants.database, Retried(names=names))
    unparked, woken, _ = await retry(plants.database, "anna", Retried(names=names), why="a test", expect=counted.digest)

    assert (counted.windows, counted.waiting, counted.models) == (len(selected),) * 3
    assert sorted((each.project, each.model) for each in unparked) == sorted(selected)
    assert woken == len(selected)
    wanted = {"names": names, "why": "a test"}
    (kept,) = await plants.fetch("SELECT selector @> $1 AS kept FROM request", wanted)
    assert kept == {"kept": True}


async def test_a_name_that_selects_nothing_is_refused(plants: Ledgers):
    with pytest.raises(UnknownName, match="plant/pmp"):
        await count_retried(plants.database, Retried(names=["plant/fan", "plant/pmp"]))


@pytest.mark.parametrize(
    ("start", "end", "windows", "waiting", "left"),
    [
        ("10:40", "10:41", 1, 0, [("09:00", "10:30")]),
        ("09:30", "10:30", 1, 0, [("09:00", "09:30"), ("10:30", "11:00")]),
        ("09:00", "11:01", 1, 1, []),
        ("11:00", None, 0, 1, [("09:00", "11:00")]),
        (None, "09:00", 0, 0, [("09:00", "11:00")]),
    ],
)
async def test_only_whole_slots_of_a_time_are_tried_again(
    ledger: Ledgers,
    start: str | None,
    end: str | None,
    windows: int,
    waiting: int,
    left: list[tuple[str, str]],
):
    await ledger.fetch("UPDATE parked SET windows = tstzmultirange($1)", to_range(window("09:00", "11:00")))
    wanted = Retried(start=at(start) if start else None, end=at(end) if end else None)

    counted = await count_retried(ledger.database, wanted)
    unparked, woken, _ = await retry(ledger.database, "anna", wanted, expect=counted.digest)

    assert (counted.windows, counted.waiting) == (windows, waiting)
    assert (len(unparked), woken) == (windows, waiting)
    parked = await ledger.fetch("SELECT unnest(windows) AS stretch FROM parked ORDER BY 1")
    assert [to_window(row["stretch"]) for row in parked] == [window(*each) for each in left]


async def test_of_slots_without_readings_those_of_a_time_are_rechecked_and_others_keep_theirs(ledger: Ledgers):
    await ledger.fetch(
        "INSERT INTO slot_exception (model_id, state, reason, looks, next_look, slots, tags)"
        " SELECT id, 'absent', 'no_readings', 3, 'infinity', tstzmultirange($1), '{A}' FROM model",
        to_range(window("07:00", "10:00")),
    )
    wanted = Retried(sensor="A", start=at("08:00"), end=at("08:30"))

    counted = await count_retried(ledger.database, wanted)
    await retry(ledger.database, "anna", wanted, expect=counted.digest)

    assert counted.rechecked == 1
    rows = await ledger.fetch(
        "SELECT next_look = 'infinity' AS later, looks, tags, unnest(slots) AS stretch FROM slot_exception ORDER BY 4"
    )
    assert [(row["later"], row["looks"], row["tags"], to_window(row["stretch"])) for row in rows] == [
        (True, 3, ["A"], window("07:00", "08:00")),
        (False, 3, ["A"], window("08:00", "08:30")),
        (True, 3, ["A"], window("08:30", "10:00")),
    ]


@pytest.mark.parametrize("why", ["the network is back", ""])
async def test_the_record_says_why_and_takes_no_cause_for_it(ledger: Ledgers, why: str):
    await retry(ledger.database, "anna", Retried(reason="attempts"), why=why)

    (action,) = await read_actions(ledger.database)

    assert (action.kind, action.who, action.reason) == ("retry", "anna", why)
    assert action.selector["reason"] == "attempts"
