"""What a pause stops, and that resuming loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from latigo.actions.backfill import Asked, cancel_backfill, pause_backfill, request_backfill
from latigo.actions.backfill import resume_backfill as resume_request
from latigo.actions.limits import resume_backfill, set_limits
from latigo.actions.pausing import pause, resume
from latigo.actions.record import Order
from latigo.domain.errors import LatigoError, Misused, Reason
from latigo.domain.limits import Limits
from latigo.domain.model import ModelRef
from latigo.domain.outcome import Stored
from latigo.domain.task import Lane, Task
from latigo.ledger.protocol import Planned, Term
from latigo.postgres.ranges import to_range
from latigo.postgres.statements import load_statements
from latigo.reports.explain import read_explanation
from latigo.reports.failures import read_failures
from latigo.reports.status import read_status
from latigo.reports.story import sentences
from latigo.reports.tasks import TaskFilter, read_task_end, read_tasks
from tests.support.build import NOW, an_entry, window
from tests.support.ledgers import Ledgers

CATCH_UP = timedelta(days=30)
LEASE = timedelta(seconds=30)
MODELS = (("plant", "pump"), ("plant", "fan"), ("elsewhere", "pump"))


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry(name, project=project) for project, name in MODELS])
    return ledgers


def pair(ref: ModelRef) -> tuple[str, str]:
    return ref.project, ref.name


async def paused(ledger: Ledgers) -> set[tuple[str, str]]:
    rows: list[Any] = await ledger.fetch("SELECT project, model FROM v_models WHERE state = 'paused'")
    return {(row["project"], row["model"]) for row in rows}


async def needed(ledger: Ledgers) -> set[tuple[str, str]]:
    return {pair(need.ref) for need in await ledger.scheduler.needs(CATCH_UP)}


async def planned(ledger: Ledgers) -> tuple[Term, dict[tuple[str, str], Task]]:
    """Plan the live window of every model; the tasks that are to be published."""
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=9))
    assert term is not None
    needs = await ledger.scheduler.needs(CATCH_UP)
    await ledger.scheduler.plan(
        term, [Planned(need.model_id, need.epoch, need.windows[Lane.LIVE], Lane.LIVE) for need in needs]
    )
    return term, {pair(task.ref): task for task in await ledger.scheduler.unpublished(term, 100)}


@pytest.mark.parametrize(
    ("project", "model", "stopped"),
    [("plant", "pump", {("plant", "pump")}), ("plant", None, {("plant", "pump"), ("plant", "fan")})],
)
async def test_what_is_paused_is_neither_planned_nor_published_nor_started(
    ledger: Ledgers, project: str, model: str | None, stopped: set[tuple[str, str]]
):
    term, tasks = await planned(ledger)

    count, _ = await pause(ledger.database, "operator", project, model, "repair")

    assert (count, await paused(ledger)) == (len(stopped), stopped)
    assert {pair(task.ref) for task in await ledger.scheduler.unpublished(term, 100)} == set(MODELS) - stopped
    for ref, task in tasks.items():
        claim = await ledger.executor.claim(task, "executor-1", LEASE)
        assert (claim is None) == (ref in stopped)
    await ledger.set_clock(NOW + timedelta(hours=1))
    assert not await needed(ledger) & stopped


async def test_a_task_that_runs_ends_as_usual_and_its_coverage_counts(ledger: Ledgers):
    _, tasks = await planned(ledger)
    task = tasks["plant", "pump"]
    claim = await ledger.executor.claim(task, "executor-1", LEASE)
    assert claim is not None

    await pause(ledger.database, "operator", "plant", "pump", "repair")
    counted = await ledger.executor.settle([(claim, Stored.in_full(task.window))])

    assert counted == {task.id}
    rows: list[Any] = await ledger.fetch("SELECT covered FROM v_coverage WHERE project = 'plant' AND model = 'pump'")
    assert [(part.lower, part.upper) for part in rows[0]["covered"]] == [(task.window.start, task.window.end)]


@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("end", ["died", "stopped"])
async def test_a_task_whose_executor_ended_while_its_model_was_paused_waits_with_all_that_is_known_of_it(
    ledger: Ledgers, probe: bool, end: str
):
    term, tasks = await planned(ledger)
    task = tasks["plant", "pump"]
    await ledger.fetch("UPDATE task SET probe = $2, starts = 3 WHERE id = $1", task.id, probe)
    claimed = await ledger.executor.claim(task, "executor-1", LEASE)
    assert claimed
    await pause(ledger.database, "operator", "plant", None, "it kills executors")
    if end == "stopped":
        await ledger.executor.release([claimed])
    await ledger.set_clock(NOW + LEASE)

    await ledger.scheduler.recover(term, "queue", isolated_starts=3, version="test")
    published = {pair(task.ref) for task in await ledger.scheduler.unpublished(term, 100)}

    assert published == {("elsewhere", "pump")}
    assert await ledger.scheduler.probing() == {}
    assert (await ledger.scheduler.outstanding()).total == 1  # that of another project
    await resume(ledger.database, "operator", "plant", None)
    assert await ledger.scheduler.wake_waiting(term, blocked=[], most=10) == 1
    (again,) = [task for task in await ledger.scheduler.unpublished(term, 100) if task.ref.project == "plant"]
    claimed_again = await ledger.executor.claim(again, "executor-2", LEASE)
    assert claimed_again
    assert (again.id, claimed_again.isolated) == (task.id, True)


async def stop_model(ledger: Ledgers, _: int) -> None:
    await pause(ledger.database, "operator", "plant", "pump", "it kills executors")


async def stop_project(ledger: Ledgers, _: int) -> None:
    await pause(ledger.database, "operator", "plant", None, "it kills executors")


async def stop_backfill(ledger: Ledgers, _: int) -> None:
    await set_limits(ledger.database, "operator", Limits(backfill_paused=True), "it kills executors")


async def stop_request(ledger: Ledgers, request: int) -> None:
    await pause_backfill(ledger.database, "operator", request, "it kills executors")


async def go_on(ledger: Ledgers, request: int) -> None:
    with suppress(Misused):
        await resume(ledger.database, "operator", "plant", "pump")
    with suppress(Misused):
        await resume(ledger.database, "operator", "plant", None)
    await resume_backfill(ledger.database, "operator", "")
    with suppress(LatigoError):
        await resume_request(ledger.database, "operator", request)


@pytest.mark.parametrize("stop", [stop_model, stop_project, stop_backfill, stop_request])
@pytest.mark.parametrize("state", ["planned", "published", "claimed"])
async def test_a_task_that_may_have_killed_its_process_is_isolated_after_a_pause_too(
    ledger: Ledgers, stop: Callable[[Ledgers, int], Awaitable[None]], state: str
):
    asked = Asked("fill", window("06:00", "08:00"), ("plant/pump",))
    number, _ = await request_backfill(ledger.database, "operator", asked)
    assert number is not None
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=9))
    assert term is not None
    (need,) = [need for need in await ledger.scheduler.needs(CATCH_UP) if need.request == number]
    wanted = Planned(need.model_id, need.epoch, need.windows[Lane.MANUAL], Lane.MANUAL, request=number)
    await ledger.scheduler.plan(term, [wanted])
    (task,) = await ledger.scheduler.unpublished(term, 100)
    assert await ledger.executor.claim(task, "executor-1", LEASE)
    await ledger.set_clock(NOW + LEASE)
    if state != "claimed":
        await ledger.scheduler.recover(term, "queue", isolated_starts=3, version="test")
    if state == "published":
        await ledger.scheduler.mark_published(term, {task.id: "queue"})

    await stop(ledger, number)
    await ledger.scheduler.recover(term, "queue", isolated_starts=3, version="test")
    await ledger.scheduler.tend_requests(term)
    while_paused = [each.id for each in await ledger.scheduler.unpublished(term, 100)]
    claimed_meanwhile = await ledger.executor.claim(task, "executor-2", LEASE)
    woken = await ledger.scheduler.wake_waiting(term, blocked=[], most=10)
    probed = await ledger.scheduler.wake_probe(term, "plant", [])
    await go_on(ledger, number)
    await ledger.scheduler.wake_waiting(term, blocked=[], most=10)
    again = [each for each in await ledger.scheduler.unpublished(term, 100) if each.id == task.id]

    assert (while_paused, claimed_meanwhile, woken, probed) == ([], None, 0, False)
    claimed = await ledger.executor.claim(again[0], "executor-2", LEASE)
    assert claimed
    assert (claimed.starts, claimed.isolated) == (1, True)


async def requested(
    ledger: Ledgers, state: str, columns: Mapping[str, object] | None = None, lane: Lane = Lane.MANUAL
) -> int:
    """Request a window of the pump, and put its task in this state and lane, with these columns; the request."""
    span = window("06:00", "08:00")
    number, _ = await request_backfill(ledger.database, "operator", Asked("fill", span, ("plant/pump",)))
    assert number is not None
    await ledger.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, not_before, request_id)"
        " SELECT id, epoch, $1, $2, $3, ledger_now(), ledger_now(), $4 FROM model"
        " WHERE (project, name) = ('plant', 'pump')",
        *(to_range(span), lane, state, number),
    )
    for name, value in (columns or {}).items():
        await ledger.fetch(f"UPDATE task SET {name} = $1", value)
    return number


@pytest.mark.parametrize("stop", [stop_model, stop_project, stop_backfill, stop_request])
@pytest.mark.parametrize("state", ["planned", "published", "waiting"])
@pytest.mark.parametrize("remembers", [{"starts": 2}, {"attempts": 4}, {"stored_in": ["sink/postgres"]}])
async def test_every_pause_keeps_the_tasks_that_have_something_to_remember(
    ledger: Ledgers, stop: Callable[[Ledgers, int], Awaitable[None]], state: str, remembers: dict[str, object]
):
    number = await requested(ledger, state, remembers)
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=9))
    assert term is not None

    await stop(ledger, number)
    await ledger.scheduler.tend_requests(term)
    while_paused = await ledger.fetch("SELECT state FROM task")
    await go_on(ledger, number)
    woken = await ledger.scheduler.wake_waiting(term, blocked=[], most=10)

    assert (while_paused, woken) == ([{"state": "waiting"}], 1)
    ((name, value),) = remembers.items()
    assert await ledger.fetch(f"SELECT {name} FROM task") == [{name: value}]


@pytest.mark.parametrize("stop", [stop_model, stop_project, stop_backfill, stop_request])
@pytest.mark.parametrize("state", ["planned", "published"])
async def test_every_pause_withdraws_the_tasks_that_have_nothing_to_remember(
    ledger: Ledgers, stop: Callable[[Ledgers, int], Awaitable[None]], state: str
):
    await stop(ledger, await requested(ledger, state))

    assert await ledger.fetch("SELECT FROM task") == []


@pytest.mark.parametrize("stop", [stop_backfill, stop_request])
async def test_a_pause_withdraws_what_is_being_published_since_executors_would_run_it(
    ledger: Ledgers, stop: Callable[[Ledgers, int], Coroutine[Any, Any, None]]
):
    number = await requested(ledger, "planned")

    async with asyncio.TaskGroup() as group, ledger.database.transaction() as planner:
        await planner.execute("SELECT FROM planner FOR SHARE")
        await planner.execute("UPDATE task SET state = 'published'")
        group.create_task(stop(ledger, number))
        await ledger.someone_waits_in("%FROM planner FOR UPDATE%")

    assert await ledger.fetch("SELECT FROM task") == []


async def test_a_request_that_is_paused_for_its_failures_keeps_them_as_well(ledger: Ledgers):
    number = await requested(ledger, "published", {"attempts": 4})
    await ledger.fetch("UPDATE request SET stop_after = 1, failures = 1 WHERE id = $1", number)
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=9))
    assert term is not None

    (stopped,) = await ledger.scheduler.tend_requests(term)

    assert stopped.state == "paused"
    assert await ledger.fetch("SELECT state, attempts FROM task") == [{"state": "waiting", "attempts": 4}]


@pytest.mark.parametrize(
    ("lane", "of_request", "stopped"),
    [
        (Lane.LIVE, False, False),
        (Lane.LIVE, True, False),
        (Lane.MANUAL, False, False),
        (Lane.MANUAL, True, True),
        (Lane.BACKFILL, False, True),
        (Lane.REPAIR, False, True),
    ],
)
async def test_all_agree_on_what_a_pause_of_backfill_stops(
    ledger: Ledgers, lane: Lane, of_request: bool, stopped: bool
):
    await requested(ledger, "planned", {"starts": 1} | ({} if of_request else {"request_id": None}), lane)
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=9))
    assert term is not None

    await set_limits(ledger.database, "operator", Limits(backfill_paused=True), "reports")
    (at_once,) = await ledger.fetch("SELECT state FROM task")
    (task,) = await ledger.fetch("UPDATE task SET state = 'planned' RETURNING id")
    published = await ledger.scheduler.unpublished(term, 10)
    await ledger.fetch("UPDATE task SET state = 'waiting', not_before = ledger_now(), detail = 'no answer'")
    (listed,) = await read_tasks(ledger.database, TaskFilter())
    moment = await read_explanation(
        ledger.database, ModelRef("plant", "pump"), window("06:00", "08:00").start, timedelta(days=1)
    )
    _, end = await read_task_end(ledger.database, int(str(task["id"])))
    probed = await ledger.scheduler.wake_probe(term, "plant", [])
    await ledger.fetch("UPDATE task SET state = 'waiting', not_before = ledger_now()")
    woken = await ledger.scheduler.wake_waiting(term, blocked=[], most=10)

    assert end
    assert at_once["state"] == ("waiting" if stopped else "planned")
    assert [each.lane for each in published] == ([] if stopped else [lane])
    assert [listed.detail, end.detail] == 2 * ["no answer; backfill is paused" if stopped else "no answer"]
    assert [list(each.paused_by) for each in moment.tasks] == [["backfill"] if stopped else []]
    assert (probed, woken) == (not stopped, 0 if stopped else 1)


@pytest.mark.parametrize(
    ("stops", "names", "pauses"),
    [
        ([stop_project], ["its project"], "the pause of its project."),
        ([stop_backfill, stop_model], ["its model", "backfill"], "the pauses of its model and backfill."),
        (
            [stop_model, stop_project, stop_request, stop_backfill],
            ["its model", "its project", "request {}", "backfill"],
            "the pauses of its model, its project, request {} and backfill.",
        ),
    ],
)
async def test_all_pauses_that_hold_a_task_are_named(
    ledger: Ledgers, stops: Sequence[Callable[[Ledgers, int], Awaitable[None]]], names: Sequence[str], pauses: str
):
    number = await requested(ledger, "waiting", {"starts": 1})
    for stop in stops:
        await stop(ledger, number)

    (listed,) = await read_tasks(ledger.database, TaskFilter())
    moment = await read_explanation(
        ledger.database, ModelRef("plant", "pump"), window("06:00", "08:00").start, timedelta(days=1)
    )
    story = " ".join(sentences(moment))

    named = [name.format(number) for name in names]
    assert [list(task.paused_by) for task in moment.tasks] == [named]
    assert listed.detail == "; ".join(f"{name} is paused" for name in named)
    assert f"waits for the end of {pauses.format(number)}" in story
    whose = {
        stop_model: "operator paused the model at",
        stop_project: "operator paused the whole project at",
        stop_backfill: "operator paused backfill at",
        stop_request: "wants it, but is paused",
    }
    assert {stop for stop, words in whose.items() if words in story} == set(stops)


async def test_a_cancelled_request_leaves_no_task_that_waited_for_its_pause(ledger: Ledgers):
    asked = Asked("fill", window("06:00", "08:00"), ("plant/pump",))
    number, _ = await request_backfill(ledger.database, "operator", asked)
    assert number is not None
    await ledger.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, request_id, starts)"
        " SELECT id, epoch, $1, 'manual', 'published', ledger_now(), $2, 1 FROM model"
        " WHERE (project, name) = ('plant', 'pump')",
        to_range(window("06:00", "08:00")),
        number,
    )

    await pause_backfill(ledger.database, "operator", number)
    waits = await ledger.fetch("SELECT state FROM task")
    await cancel_backfill(ledger.database, "operator", number)

    assert (waits, await ledger.fetch("SELECT state FROM task")) == ([{"state": "waiting"}], [])


@pytest.mark.parametrize("failed_before", [False, True])
async def test_what_waits_for_the_end_of_a_pause_is_shown_so_and_is_no_failure(ledger: Ledgers, failed_before: bool):
    _, tasks = await planned(ledger)
    task = tasks["plant", "pump"]
    await ledger.fetch(
        "UPDATE task SET starts = 1, attempts = $2, detail = $3 WHERE id = $1",
        *(task.id, int(failed_before), "no answer" if failed_before else ""),
    )

    await pause(ledger.database, "operator", "plant", "pump", "it kills executors")
    (listed,) = await read_tasks(ledger.database, TaskFilter(state="waiting"))
    moment = await read_explanation(ledger.database, task.ref, task.window.start, timedelta(days=1))
    told = " ".join(sentences(moment))
    failures = await read_failures(ledger.database)
    _, end = await read_task_end(ledger.database, task.id)

    assert listed.detail == ("no answer; its model is paused" if failed_before else "its model is paused")
    assert end
    assert (listed.next_attempt, end.next_attempt, end.detail) == (None, None, listed.detail)
    assert "waits for the end of the pause of its model" in told
    assert "tried again" not in told
    assert [(each.detail, each.next_attempt) for each in failures] == ([("no answer", None)] if failed_before else [])


async def test_what_an_earlier_program_let_wait_for_a_pause_has_not_failed_either(ledger: Ledgers):
    await requested(ledger, "waiting", {"starts": 1, "detail": "paused before it was done"})
    before = await read_failures(ledger.database)

    revision = load_statements("latigo.postgres.migrations", "0031_waiting_is_no_failure.sql")
    await ledger.fetch(revision["forget_pauses_in_details"])

    assert (len(before), await read_failures(ledger.database)) == (1, [])


async def test_after_a_pause_all_that_became_due_is_planned_in_one_window(ledger: Ledgers):
    await pause(ledger.database, "operator", "plant", None, "repair")
    await ledger.set_clock(NOW + timedelta(hours=3))

    count = await resume(ledger.database, "operator", "plant", None)

    assert (count, await paused(ledger)) == (2, set())
    (need,) = [need for need in await ledger.scheduler.needs(CATCH_UP) if pair(need.ref) == ("plant", "fan")]
    assert need.windows[Lane.LIVE] == window("10:00", "15:00")


async def test_models_that_a_paused_project_gets_later_are_paused_too_also_unusable_ones(ledger: Ledgers):
    await pause(ledger.database, "operator", "plant", None, "repair")
    new = an_entry("new")
    await ledger.models.put_models([new, an_entry("new", project="elsewhere")])
    odd = an_entry("odd").spec.ref
    await ledger.models.put_unusable(odd, "1000", Reason.BAD_METADATA, "no", "test", timedelta(hours=2))
    await ledger.models.put_models([an_entry("odd", revision="1001")])

    assert await paused(ledger) == {("plant", name) for name in ("pump", "fan", "new", "odd")}


async def test_a_new_revision_of_a_paused_model_stays_paused(ledger: Ledgers):
    await pause(ledger.database, "operator", "plant", "pump", "repair")
    await ledger.models.put_models([an_entry("pump", revision="1001"), an_entry("fan", revision="1001")])

    assert await paused(ledger) == {("plant", "pump")}


async def test_a_model_that_was_paused_by_itself_is_resumed_with_its_project(ledger: Ledgers):
    await pause(ledger.database, "operator", "plant", "pump", "repair")
    await pause(ledger.database, "operator", "plant", None, "turnaround")
    await resume(ledger.database, "operator", "plant", None)

    assert await paused(ledger) == set()


async def test_one_model_of_a_paused_project_is_not_resumed_alone(ledger: Ledgers):
    await pause(ledger.database, "anna", "plant", None, "turnaround")

    with pytest.raises(Misused, match=r"plant is paused with all its models, by anna \(turnaround\)"):
        await resume(ledger.database, "operator", "plant", "pump")

    assert ("plant", "pump") in await paused(ledger)


async def test_what_is_not_paused_cannot_be_resumed(ledger: Ledgers):
    with pytest.raises(Misused, match="plant/pump is not paused"):
        await resume(ledger.database, "operator", "plant", "pump")


async def test_who_when_and_why_are_kept_and_shown(ledger: Ledgers):
    first = await pause(ledger.database, "anna", "plant", None, "turnaround")
    await ledger.set_clock(NOW + timedelta(hours=1))
    second = await pause(ledger.database, "bo", "plant", None, "longer turnaround")

    assert (first.already, second) == (None, (0, Order(who="anna", at=NOW, reason="turnaround")))
    status = await read_status(ledger.database, "test")
    requests: list[Any] = await ledger.fetch(
        "SELECT kind, who, selector ->> 'reason' AS reason FROM request ORDER BY id"
    )

    (shown,) = status.pauses
    assert (shown.project, shown.model, shown.who, shown.at, shown.reason) == (
        *("plant", "", "anna", NOW, "turnaround"),
    )
    assert [(row["kind"], row["who"], row["reason"]) for row in requests] == [
        ("pause", "anna", "turnaround"),
        ("pause", "bo", "longer turnaround"),
    ]
