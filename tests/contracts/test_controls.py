"""What people change at run time, on the real ledger: limits, drains, probes, tasks that are taken back."""

from datetime import timedelta
from typing import Any

import pytest

from latigo.actions.backfill import Asked, preview_backfill, request_backfill
from latigo.actions.draining import drain, resume_executor
from latigo.actions.hand_back import Held, hand_back
from latigo.actions.limits import reset_limits, resume_backfill, set_limits
from latigo.actions.pausing import pause, resume
from latigo.actions.probing import probe_circuit
from latigo.actions.record import Order
from latigo.actions.run_now import run_now
from latigo.cli.backfill_progress import progress_line
from latigo.domain.coverage import Coverage
from latigo.domain.errors import LatigoError, Misused, UnknownName
from latigo.domain.limits import Controls, Limits
from latigo.domain.model import ModelRef
from latigo.domain.outcome import Deferred, Retry, SlotException, SlotState, Stored
from latigo.domain.task import Lane, Task
from latigo.ledger.protocol import Claim, ExecutorInfo, Planned, Term
from latigo.postgres.ranges import to_coverage, to_range, to_window
from latigo.reports.backfills import read_backfills
from latigo.reports.limits import BackfillPause, ConfiguredLimits, read_executors, read_limits
from latigo.reports.plan import read_plan
from latigo.reports.status import ALL_DRAINED, BACKFILL_WAITS, NO_EXECUTOR, NO_PLANNER, read_status, read_stopped
from latigo.reports.tasks import TaskEnd, read_task_end
from tests.support.build import NOW, an_entry, at, window
from tests.support.ledgers import Ledgers

CATCH_UP = timedelta(days=30)
LEASE = timedelta(seconds=30)
HOUR = timedelta(hours=1)
PUMP = ModelRef("plant", "pump")
CONFIGURED = ConfiguredLimits(concurrency=32, backfill_share=0.05, outstanding=0)
GORDO = "gordo/plant"


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """Two models with a live and a backfill window each, and two executors."""
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry(name, fold=HOUR) for name in ("fan", "pump")])
    for name in ("host-a/1/abc", "host-a/12/def"):
        await ledgers.executor.register(ExecutorInfo(name, "test", 1, 1, 32))
    return ledgers


async def lead(ledger: Ledgers) -> Term:
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=9))
    assert term is not None
    return term


async def plan(ledger: Ledgers, *lanes: Lane) -> dict[tuple[str, Lane], Task]:
    """Plan what is needed in these lanes, as a scheduler does, and publish it; the tasks by model and lane."""
    term = await lead(ledger)
    needs = await ledger.scheduler.needs(CATCH_UP)
    planned = [
        Planned(need.model_id, need.epoch, need.windows[lane], lane)
        for need in needs
        for lane in lanes
        if lane in need.windows
    ]
    await ledger.scheduler.plan(term, planned)
    return await publish(ledger)


async def publish(ledger: Ledgers) -> dict[tuple[str, Lane], Task]:
    term = await lead(ledger)
    tasks = await ledger.scheduler.unpublished(term, 100)
    await ledger.scheduler.mark_published(term, {task.id: "internal/1" for task in tasks})
    return {(task.ref.name, task.lane): task for task in tasks}


async def claim(ledger: Ledgers, task: Task, executor: str = "host-a/1/abc") -> Claim:
    claimed = await ledger.executor.claim(task, executor, LEASE)
    assert claimed is not None
    return claimed


async def recorded(ledger: Ledgers) -> list[tuple[object, ...]]:
    rows = await ledger.fetch("SELECT kind, who, selector ->> 'reason' AS reason FROM request ORDER BY id")
    return [tuple(row.values()) for row in rows]


# --- limits -----------------------------------------------------------------------------------------------------------


async def test_changed_limits_hold_for_schedulers_and_executors_until_they_are_reset(ledger: Ledgers):
    changed = Limits(concurrency=4, backfill_share=0.5, outstanding=100)
    await set_limits(ledger.database, "anna", changed, "slow server")
    await set_limits(ledger.database, "bo", Limits(concurrency=2), "slower")
    await set_limits(ledger.database, "bo", Limits(concurrency=2, backfill_share=0.5), "as slow as before")
    held = (await ledger.scheduler.outstanding()).limits
    controls = await ledger.executor.controls("host-a/1/abc")
    report = await read_limits(ledger.database, CONFIGURED)
    ended = await reset_limits(ledger.database, "anna", "it is fast again")

    assert held == controls.limits == Limits(2, 0.5, 100)
    assert [(each.name, each.settings, each.now, each.changed_by, each.reason) for each in report.limits] == [
        ("concurrency", 32, 2, "bo", "slower"),
        ("backfill_share", 0.05, 0.5, "anna", "slow server"),
        ("outstanding", 0, 100, "anna", "slow server"),
    ]
    assert ended == 3
    assert (await ledger.scheduler.outstanding()).limits == Limits()
    assert await recorded(ledger) == [
        ("limits", "anna", "slow server"),
        ("limits", "bo", "slower"),
        ("limits", "bo", "as slow as before"),
        ("limits_reset", "anna", "it is fast again"),
    ]


@pytest.mark.parametrize(("settled", "now"), [(0, 64), (500, 500), (9000, 2000)])
async def test_without_a_number_outstanding_is_as_measured(ledger: Ledgers, settled: int, now: int):
    await ledger.fetch(
        "INSERT INTO task_history (id, model_id, revision, epoch, span, lane, outcome, attempts, starts, planned_at,"
        " settled_at) SELECT n, m.id, '1000', 1, tstzrange($2, $3), 'live', 'stored', 1, 1, $4, $4"
        " FROM model m, generate_series(1, $1::int) AS n WHERE m.name = 'fan'",
        *(settled, at("10:00"), at("10:30"), NOW),
    )
    limits = (await read_limits(ledger.database, CONFIGURED)).limits

    assert [(each.now, each.measured) for each in limits if each.name == "outstanding"] == [(now, True)]


async def test_while_backfill_is_paused_only_live_is_planned_and_what_waited_in_the_queue_is_taken_back(
    ledger: Ledgers,
):
    tasks = await plan(ledger, Lane.BACKFILL)
    running = await claim(ledger, tasks["fan", Lane.BACKFILL])

    taken_back = await set_limits(ledger.database, "anna", Limits(backfill_paused=True), "reports")
    claimed = await ledger.executor.claim(tasks["pump", Lane.BACKFILL], "host-a/1/abc", LEASE)
    planned = await plan(ledger, Lane.LIVE, Lane.BACKFILL)
    counted = await ledger.executor.settle([(running, Stored.in_full(running.window))])
    status = await read_status(ledger.database, "test")
    was_paused = await resume_backfill(ledger.database, "anna", "done")
    resumed = await plan(ledger, Lane.BACKFILL)

    assert (taken_back, claimed) == (1, None)
    assert set(planned) == {("fan", Lane.LIVE), ("pump", Lane.LIVE)}
    assert counted == {running.task_id}
    assert [(limit.name, limit.who, limit.reason) for limit in status.limits] == [
        ("backfill_paused", "anna", "reports")
    ]
    assert was_paused
    assert set(resumed) == {("pump", Lane.BACKFILL)}


@pytest.mark.parametrize("by_hand", [False, True])
async def test_while_backfill_is_paused_a_task_of_it_whose_executor_died_is_not_begun_again(
    ledger: Ledgers, by_hand: bool
):
    tasks = await plan(ledger, Lane.LIVE, Lane.BACKFILL)
    task = tasks["fan", Lane.BACKFILL]
    if by_hand:
        await ledger.fetch("UPDATE task SET lane = 'manual' WHERE id = $1", task.id)
    await claim(ledger, task)
    await claim(ledger, tasks["fan", Lane.LIVE])
    await set_limits(ledger.database, "anna", Limits(backfill_paused=True), "it kills executors")
    await ledger.set_clock(NOW + LEASE)

    await ledger.scheduler.recover(await lead(ledger), "internal/1", isolated_starts=3, version="test")
    left = await publish(ledger)
    await resume_backfill(ledger.database, "anna", "done")
    woken = await ledger.scheduler.wake_waiting(await lead(ledger), blocked=[], most=10)

    assert set(left) == {("fan", Lane.LIVE)} | ({("fan", Lane.MANUAL)} if by_hand else set())
    assert woken == (0 if by_hand else 1)


async def test_while_backfill_is_paused_requests_wait_and_everything_that_shows_them_says_so(ledger: Ledgers):
    await lead(ledger)
    await ledger.fetch("UPDATE coverage SET covered = tstzmultirange(tstzrange($1, $2))", at("00:00"), at("12:00"))
    asked = Asked("replace", window("10:00", "11:00"), ("*",))
    before = await request_backfill(ledger.database, "anna", asked, why="reports")
    await set_limits(ledger.database, "anna", Limits(backfill_paused=True), "reports")

    status = await read_status(ledger.database, "test")
    (shown,) = await read_backfills(ledger.database)
    preview = await preview_backfill(ledger.database, asked)
    planned = await read_plan(ledger.database)
    await resume_backfill(ledger.database, "anna", "done")
    (resumed,) = await read_backfills(ledger.database)

    assert (status.backlog.slots, status.requests.active, status.limited_by) == (0, 1, BACKFILL_WAITS)
    assert [each.backfill_paused for each in (before.preview, preview, shown, resumed)] == [False, True, True, False]
    assert "backfill is paused" in progress_line(shown, 0, 10)
    assert planned.backfill_paused == BackfillPause(who="anna", at=NOW, reason="reports")
    assert (await read_plan(ledger.database)).backfill_paused is None


async def test_while_backfill_is_paused_a_failed_window_of_it_waits_and_a_live_one_is_tried_again(ledger: Ledgers):
    tasks = await plan(ledger, Lane.LIVE, Lane.BACKFILL)
    claims = [await claim(ledger, tasks["fan", lane]) for lane in (Lane.LIVE, Lane.BACKFILL)]
    await ledger.executor.settle([(each, Retry("500", retry_after=timedelta(0))) for each in claims])
    await set_limits(ledger.database, "anna", Limits(backfill_paused=True), "reports")
    await ledger.set_clock(NOW + HOUR)

    woken = await ledger.scheduler.wake_waiting(await lead(ledger), blocked=(), most=9)
    probed = await ledger.scheduler.wake_probe(await lead(ledger), "plant", [])
    rows = await ledger.fetch("SELECT lane FROM task WHERE state = 'planned'")

    assert (woken, probed, [row["lane"] for row in rows]) == (1, False, ["live"])


async def test_what_is_paused_is_taken_back_from_the_queue_so_that_it_is_published_again_after_the_pause(
    ledger: Ledgers,
):
    """Its messages are gone when an executor may not claim them, and nothing else would publish its tasks again."""
    tasks = await plan(ledger, Lane.LIVE)
    await pause(ledger.database, "anna", "plant", "pump", "repair")
    refused = await ledger.executor.claim(tasks["pump", Lane.LIVE], "host-a/1/abc", LEASE)
    await resume(ledger.database, "anna", "plant", "pump", "repaired")

    again = await plan(ledger, Lane.LIVE)

    assert refused is None
    assert set(again) == {("pump", Lane.LIVE)}


# --- executors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["host-a/1/abc", "host-a/1/"])
async def test_a_drained_executor_is_ordered_to_start_nothing_until_it_is_resumed(ledger: Ledgers, name: str):
    drained = (await drain(ledger.database, "anna", name, "patched")).executor
    orders = [await ledger.executor.controls(each) for each in ("host-a/1/abc", "host-a/12/def", "unknown")]
    await drain(ledger.database, "anna", name, "patched", stop=True)
    stops = await ledger.executor.controls("host-a/1/abc")
    await resume_executor(ledger.database, "anna", name, "done")

    assert drained == "host-a/1/abc"
    assert orders == [Controls(drained=True), Controls(), Controls()]
    assert stops == Controls(drained=True, stops=True)
    assert await ledger.executor.controls("host-a/1/abc") == Controls()
    assert await recorded(ledger) == [
        ("executors_drain", "anna", "patched"),
        ("executors_drain", "anna", "patched"),
        ("executors_resume", "anna", "done"),
    ]


async def test_an_executor_learns_how_many_work_at_present(ledger: Ledgers):
    both = (await ledger.executor.controls("host-a/1/abc")).executors
    await drain(ledger.database, "anna", "host-a/12/def", "patched")
    one = (await ledger.executor.controls("host-a/1/abc")).executors
    await resume_executor(ledger.database, "anna", "host-a/12/def", "done")
    await ledger.set_clock(NOW + timedelta(minutes=2))
    await ledger.executor.heartbeat("host-a/1/abc", in_flight=3, limit=4, concurrency=32)
    not_seen = (await ledger.executor.controls("host-a/1/abc")).executors

    assert (both, one, not_seen) == (2, 1, 1)


async def test_a_second_drain_keeps_who_when_and_why_and_can_add_that_it_stops(ledger: Ledgers):
    first = await drain(ledger.database, "anna", "host-a/1/abc", "patched")
    await ledger.set_clock(NOW + timedelta(minutes=1))
    await ledger.executor.heartbeat("host-a/1/abc", in_flight=3, limit=4, concurrency=32)
    stopping = await drain(ledger.database, "bo", "host-a/1/abc", "moved", stop=True)
    third = await drain(ledger.database, "bo", "host-a/1/abc", "moved")
    shown = (await read_executors(ledger.database))[0]

    assert first == ("host-a/1/abc", 0, False, None)
    assert stopping == ("host-a/1/abc", 3, True, Order(who="anna", at=NOW, reason="patched"))
    assert third == stopping
    assert (shown.drained_by, shown.drained_at, shown.drain_reason) == ("anna", NOW, "patched")


async def test_an_executor_is_still_drained_after_an_outage_in_which_others_are_forgotten(ledger: Ledgers):
    await drain(ledger.database, "anna", "host-a/1/abc", "patched")
    await ledger.set_clock(NOW + timedelta(hours=5))
    await ledger.scheduler.maintain(history=timedelta(days=30))

    assert [row["id"] for row in await ledger.fetch("SELECT id FROM executor")] == ["host-a/1/abc"]
    assert await ledger.executor.controls("host-a/1/abc") == Controls(drained=True)


async def test_an_executor_is_named_without_doubt(ledger: Ledgers):
    with pytest.raises(UnknownName, match="host-a/2: unknown executor; the nearest known one is host-a/1"):
        await drain(ledger.database, "anna", "host-a/2", "patched")
    with pytest.raises(Misused, match="host-a/1 is the beginning of 2 executors"):
        await drain(ledger.database, "anna", "host-a/1", "patched")
    with pytest.raises(Misused, match="host-a/1/abc is not drained"):
        await resume_executor(ledger.database, "anna", "host-a/1/abc", "")
    await ledger.set_clock(NOW + timedelta(minutes=2))
    with pytest.raises(UnknownName, match="none is running"):
        await drain(ledger.database, "anna", "host-a/1/abc", "patched")


async def test_why_nothing_is_started_is_known_before_somebody_waits_for_it(ledger: Ledgers):
    found = [await read_stopped(ledger.database)]
    await lead(ledger)
    found.append(await read_stopped(ledger.database))
    for name in ("host-a/1/abc", "host-a/12/def"):
        await drain(ledger.database, "anna", name, "patched")
    found.append(await read_stopped(ledger.database))
    await ledger.set_clock(NOW + timedelta(minutes=2))
    found.append(await read_stopped(ledger.database))

    assert found == [NO_PLANNER, "", ALL_DRAINED, NO_EXECUTOR]


async def test_when_all_executors_are_drained_status_needs_attention(ledger: Ledgers):
    await lead(ledger)
    await drain(ledger.database, "anna", "host-a/1/abc", "patched")
    some = await read_status(ledger.database, "test")
    await drain(ledger.database, "anna", "host-a/12/def", "patched")
    every = await read_status(ledger.database, "test")

    assert [
        [cause.kind for cause in status.causes if cause.kind == "executors_drained"] for status in (some, every)
    ] == [
        [],
        ["executors_drained"],
    ]
    assert every.limited_by.startswith("every executor is drained")


# --- circuits ---------------------------------------------------------------------------------------------------------


async def test_a_probe_is_due_at_once_also_for_models_that_were_held(ledger: Ledgers):
    tasks = await plan(ledger, Lane.LIVE)
    claims = [await claim(ledger, task) for task in tasks.values()]
    await ledger.executor.settle([(each, Deferred("503", GORDO, retry_after=HOUR)) for each in claims])
    await ledger.executor.open_circuit(GORDO, "503", alarm=False, pause=HOUR)
    before = await ledger.scheduler.circuits(), await ledger.scheduler.needs(CATCH_UP)

    await probe_circuit(ledger.database, "anna", GORDO, "it is back")

    after = await ledger.scheduler.circuits(), await ledger.scheduler.needs(CATCH_UP)
    assert [[circuit.probe_due for circuit in circuits] for circuits, _ in (before, after)] == [[False], [True]]
    assert [len(needs) for _, needs in (before, after)] == [0, 2]
    assert await recorded(ledger) == [("circuits_probe", "anna", "it is back")]


async def test_only_an_open_circuit_can_be_probed(ledger: Ledgers):
    with pytest.raises(Misused, match="no circuit is open"):
        await probe_circuit(ledger.database, "anna", GORDO, "")
    await ledger.executor.open_circuit(GORDO, "503", alarm=False, pause=HOUR)
    with pytest.raises(UnknownName, match="the nearest known one is gordo/plant"):
        await probe_circuit(ledger.database, "anna", "gordo/plantt", "")


# --- tasks ------------------------------------------------------------------------------------------------------------


async def test_what_a_claim_settles_after_its_task_was_handed_back_does_not_count(ledger: Ledgers):
    tasks = await plan(ledger, Lane.LIVE, Lane.BACKFILL)
    old = await claim(ledger, tasks["pump", Lane.LIVE])
    assert await ledger.executor.begin_write(old, LEASE)

    taken = await hand_back(ledger.database, "anna", Held(["plant/pump"], lane=Lane.LIVE), "hangs")
    late = await ledger.executor.settle([(old, Stored.in_full(old.window))])
    renewed = await ledger.executor.renew([old], LEASE)
    message = await ledger.executor.claim(tasks["pump", Lane.LIVE], "host-a/12/def", LEASE)
    mismatch = await ledger.executor.examine(tasks["pump", Lane.LIVE])
    (again,) = (await publish(ledger)).values()
    new = await claim(ledger, again, "host-a/12/def")
    counted = await ledger.executor.settle([(new, Stored.in_full(new.window))])

    assert [(each.model, each.lane, each.state, each.executor) for each in taken] == [
        ("pump", "live", "claimed", "host-a/1/abc")
    ]
    assert (late, renewed, message, mismatch) == (frozenset(), frozenset(), None, None)
    assert (again.window, again.lane, new.isolated) == (old.window, Lane.LIVE, False)
    assert new.fence > old.fence
    assert counted == {again.id}
    repairs = await ledger.fetch("SELECT claim FROM repair")  # the old claim may still write
    assert [row["claim"] for row in repairs] == [old.number]


async def test_a_published_task_is_published_again_and_one_that_waits_is_left_alone(ledger: Ledgers):
    tasks = await plan(ledger, Lane.LIVE, Lane.BACKFILL)
    waiting = await claim(ledger, tasks["fan", Lane.LIVE])
    await ledger.executor.settle([(waiting, Retry("500"))])

    shown = await hand_back(ledger.database, "anna", Held(["plant/*"]), "", dry_run=True)
    nothing = await publish(ledger)
    taken = await hand_back(ledger.database, "anna", Held(["plant/*"]), "hub is stuck")

    assert shown == taken
    assert nothing == {}
    assert {(each.model, each.lane) for each in taken} == {("fan", "backfill"), ("pump", "live"), ("pump", "backfill")}
    assert set(await publish(ledger)) == {(each.model, Lane(each.lane)) for each in taken}


async def test_what_one_executor_has_is_taken_back_from_it_alone(ledger: Ledgers):
    tasks = await plan(ledger, Lane.LIVE)
    await claim(ledger, tasks["fan", Lane.LIVE], "host-a/1/abc")
    await claim(ledger, tasks["pump", Lane.LIVE], "host-a/12/def")

    taken = await hand_back(ledger.database, "anna", Held(executor="host-a/12"), "no answer")

    assert [each.model for each in taken] == ["pump"]
    with pytest.raises(Misused, match="no task of these"):
        await hand_back(ledger.database, "anna", Held(executor="host-a/12"), "no answer")
    with pytest.raises(UnknownName, match="the nearest known one is plant/pump"):
        await hand_back(ledger.database, "anna", Held(["plant/pumpp"]), "no answer")


# --- one model now ----------------------------------------------------------------------------------------------------

NEWEST = window("11:30", "12:00")


async def cover(ledger: Ledgers) -> None:
    await ledger.fetch("UPDATE coverage SET covered = tstzmultirange($1)", to_range(window("10:00", "12:00")))


async def test_the_newest_slot_is_predicted_again_although_it_is_covered(ledger: Ledgers):
    await cover(ledger)
    running = await run_now(ledger.database, "anna", PUMP, "recalibrated")
    (task,) = (await publish(ledger)).values()
    claimed = await claim(ledger, task)
    counted = await ledger.executor.settle([(claimed, Stored.in_full(NEWEST, rows=3))])
    _, end = await read_task_end(ledger.database, running.task)

    assert (task.id, task.ref, task.window, task.lane) == (running.task, PUMP, NEWEST, Lane.LIVE)
    assert counted == {task.id}
    assert end == TaskEnd(outcome="stored", reason="", detail="", rows=3, next_attempt=None)
    assert await recorded(ledger) == [("models_run_now", "anna", "recalibrated")]


async def test_a_covered_slot_whose_readings_are_gone_when_it_is_predicted_again_is_no_exception(ledger: Ledgers):
    await cover(ledger)
    await run_now(ledger.database, "anna", PUMP, "recalibrated")
    (task,) = (await publish(ledger)).values()
    gone = SlotException(SlotState.ABSENT, Coverage((NEWEST,)), "no data: 'b'", ("b",))

    await ledger.executor.settle([(await claim(ledger, task), Stored(Coverage(), [gone], rows=0))])

    assert await ledger.fetch("SELECT FROM slot_exception") == []
    rows = await ledger.fetch("SELECT covered FROM coverage")
    assert [to_coverage(row["covered"]) for row in rows] == len(rows) * [Coverage((window("10:00", "12:00"),))]


async def test_what_is_planned_of_the_model_makes_room_and_is_planned_again(ledger: Ledgers):
    before = await plan(ledger, Lane.LIVE, Lane.BACKFILL)
    await run_now(ledger.database, "anna", PUMP, "")
    live = await ledger.executor.claim(before["pump", Lane.LIVE], "host-a/1/abc", LEASE)
    backfill = await claim(ledger, before["pump", Lane.BACKFILL])
    (task,) = (await publish(ledger)).values()
    claimed = await claim(ledger, task)
    await ledger.executor.settle(
        [(claimed, Stored.in_full(NEWEST)), (backfill, Stored.in_full(window("10:00", "11:00")))]
    )
    (need,) = await ledger.scheduler.needs(CATCH_UP)

    assert live is None
    assert (task.window, task.lane) == (NEWEST, Lane.LIVE)
    assert (need.ref, need.windows) == (PUMP, {Lane.BACKFILL: window("11:00", "11:30")})


async def test_in_the_place_of_a_task_that_may_have_killed_its_process_it_runs_in_isolation_too(ledger: Ledgers):
    tasks = await plan(ledger, Lane.LIVE)
    await claim(ledger, tasks["pump", Lane.LIVE])
    await ledger.set_clock(NOW + LEASE)
    await ledger.scheduler.recover(await lead(ledger), "internal/1", isolated_starts=3, version="test")

    running = await run_now(ledger.database, "anna", PUMP, "")
    (again,) = [task for task in (await publish(ledger)).values() if task.ref == PUMP]

    claimed = await claim(ledger, again, "host-a/2/def")
    assert (again.id, claimed.starts, claimed.isolated) == (running.task, 1, True)


@pytest.mark.parametrize("state", ["planned", "published"])
async def test_a_task_of_another_window_that_may_have_killed_its_process_waits_for_the_lane_and_is_isolated(
    ledger: Ledgers, state: str
):
    other = (await plan(ledger, Lane.LIVE))["pump", Lane.LIVE]
    await claim(ledger, other)
    await ledger.set_clock(NOW + timedelta(minutes=30))
    await ledger.scheduler.recover(await lead(ledger), "internal/1", isolated_starts=3, version="test")
    if state == "published":
        await publish(ledger)

    running = await run_now(ledger.database, "anna", PUMP, "")
    (newest,) = [task for task in (await publish(ledger)).values() if task.ref == PUMP]
    while_it_is_out = await ledger.scheduler.wake_waiting(await lead(ledger), blocked=(), most=9)
    claimed = await claim(ledger, newest)
    await ledger.executor.settle([(claimed, Stored.in_full(newest.window))])
    woken = await ledger.scheduler.wake_waiting(await lead(ledger), blocked=(), most=9)
    (again,) = [task for task in (await publish(ledger)).values() if task.ref == PUMP]
    claimed_again = await claim(ledger, again, "host-a/2/def")

    assert (newest.id, running.waits, claimed.isolated) == (running.task, False, False)
    assert (while_it_is_out, woken) == (0, 1)
    assert (again.id, again.window, claimed_again.starts, claimed_again.isolated) == (other.id, other.window, 1, True)


@pytest.mark.parametrize("state", ["planned", "published", "waiting"])
async def test_the_older_slots_of_a_task_keep_its_starts_attempts_and_sinks(ledger: Ledgers, state: str):
    before = (await plan(ledger, Lane.LIVE))["pump", Lane.LIVE]
    await ledger.fetch(
        "UPDATE task SET state = $2, starts = 2, attempts = 3, stored_in = '{sink/first}', detail = 'no answer',"
        " not_before = ledger_now() WHERE id = $1",
        *(before.id, state),
    )

    running = await run_now(ledger.database, "anna", PUMP, "")
    (newest,) = [task for task in (await publish(ledger)).values() if task.ref == PUMP]
    by_its_old_message = await ledger.executor.claim(before, "host-a/1/abc", LEASE)
    claimed = await claim(ledger, newest)
    await ledger.executor.settle([(claimed, Stored.in_full(NEWEST))])
    woken = await ledger.scheduler.wake_waiting(await lead(ledger), blocked=(), most=9)
    (older,) = [task for task in (await publish(ledger)).values() if task.ref == PUMP]
    again = await claim(ledger, older, "host-a/2/def")

    assert before.window == window("11:00", "12:00")
    assert (newest.id, newest.window, claimed.starts) == (running.task, NEWEST, 2)
    assert (by_its_old_message, woken, older.window, older.lane) == (None, 1, window("11:00", "11:30"), Lane.LIVE)
    assert (again.starts, again.isolated, again.attempts, again.stored_in) == (2, True, 3, frozenset({"sink/first"}))


async def test_the_older_slots_of_a_task_that_has_nothing_to_keep_are_planned_anew(ledger: Ledgers):
    await plan(ledger, Lane.LIVE)

    await run_now(ledger.database, "anna", PUMP, "")

    rows = await ledger.fetch("SELECT t.span FROM task t JOIN model m ON m.id = t.model_id WHERE m.name = 'pump'")
    assert [to_window(row["span"]) for row in rows] == [NEWEST]


async def test_all_that_the_last_executor_of_a_task_may_still_write_is_repaired(ledger: Ledgers):
    before = (await plan(ledger, Lane.LIVE))["pump", Lane.LIVE]
    writes = await claim(ledger, before)
    assert await ledger.executor.begin_write(writes, LEASE)
    await ledger.set_clock(NOW + LEASE)
    await ledger.scheduler.recover(await lead(ledger), "internal/1", isolated_starts=3, version="test")

    await run_now(ledger.database, "anna", PUMP, "")

    repairs = await ledger.fetch("SELECT task_id, slots FROM repair")
    assert [(row["task_id"], to_coverage(row["slots"])) for row in repairs] == [(before.id, Coverage((before.window,)))]


async def test_a_task_that_has_begun_with_the_slot_is_not_repeated(ledger: Ledgers):
    tasks = await plan(ledger, Lane.LIVE)
    claimed = await claim(ledger, tasks["pump", Lane.LIVE])

    running = await run_now(ledger.database, "anna", PUMP, "")

    assert (running.task, running.claimed_by, running.window) == (claimed.task_id, "host-a/1/abc", claimed.window)
    assert await publish(ledger) == {}


async def test_it_waits_for_the_end_of_another_live_task_that_has_begun_also_while_backfill_is_paused(ledger: Ledgers):
    tasks = await plan(ledger, Lane.LIVE)
    claimed = await claim(ledger, tasks["pump", Lane.LIVE])
    await ledger.set_clock(NOW + timedelta(minutes=30))
    await set_limits(ledger.database, "anna", Limits(backfill_paused=True), "reports")

    running = await run_now(ledger.database, "anna", PUMP, "")
    while_it_runs = await ledger.scheduler.wake_waiting(await lead(ledger), blocked=(), most=9)
    await ledger.executor.settle([(claimed, Stored.in_full(claimed.window))])
    woken = await ledger.scheduler.wake_waiting(await lead(ledger), blocked=(), most=9)
    tasks = await publish(ledger)

    assert (running.waits, while_it_runs, woken) == (True, 0, 1)
    assert [task.id for task in tasks.values()] == [running.task]


async def test_a_slot_that_is_parked_is_tried_again_and_what_is_parked_before_it_stays(ledger: Ledgers):
    await ledger.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, revision, 'attempts', '', tstzmultirange($1), ledger_now(), '' FROM model WHERE name = 'pump'",
        to_range(window("11:00", "12:00")),
    )
    await run_now(ledger.database, "anna", PUMP, "")

    rows = await ledger.fetch(
        "SELECT windows = tstzmultirange($1) AS same FROM parked", to_range(window("11:00", "11:30"))
    )
    assert [row["same"] for row in rows] == [True]
    assert [task.window for task in (await publish(ledger)).values()] == [NEWEST]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("UPDATE model SET paused = true", "plant/pump is paused; latigo resume plant/pump"),
        ("UPDATE model SET state = 'gone', missing_since = ledger_now()", "plant/pump is missing"),
        ("UPDATE model SET state = 'gone'", "plant/pump is retired"),
        ("UPDATE model SET since = ledger_now()", "has no due slot yet"),
    ],
)
async def test_a_model_that_is_not_predicted_is_not_run(ledger: Ledgers, change: str, text: str):
    await ledger.fetch(change)

    with pytest.raises(LatigoError, match=text):
        await run_now(ledger.database, "anna", PUMP, "")
    assert await publish(ledger) == {}


@pytest.mark.parametrize(
    ("settlement", "outcome", "waits"), [(Retry("500"), "", True), (Deferred("503", GORDO), "deferred", False)]
)
async def test_how_it_failed_is_known(ledger: Ledgers, settlement: Any, outcome: str, waits: bool):
    running = await run_now(ledger.database, "anna", PUMP, "")
    (task,) = (await publish(ledger)).values()
    await ledger.executor.settle([(await claim(ledger, task), settlement)])
    _, end = await read_task_end(ledger.database, running.task)
    await pause(ledger.database, "anna", "plant", "pump", "repair")

    assert end is not None
    assert (end.outcome, end.detail, end.next_attempt is not None, end.stored) == (
        *(outcome, settlement.detail, waits, False),
    )


async def test_a_task_that_was_taken_back_has_no_end(ledger: Ledgers):
    running = await run_now(ledger.database, "anna", PUMP, "")
    await pause(ledger.database, "anna", "plant", "pump", "repair")

    assert await read_task_end(ledger.database, running.task) == (False, None)
