"""What a claim that was overtaken may have written is predicted again, in lane repair."""

import asyncio
from datetime import datetime, timedelta

import pytest

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason
from latigo.domain.outcome import (
    Crashed,
    Deferred,
    Rejected,
    Retry,
    Settlement,
    SlotException,
    SlotState,
    Split,
    Stored,
)
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window
from latigo.ledger.executor_store import SQL
from latigo.ledger.protocol import Claim, Planned, Term
from latigo.ledger.shared import REPAIR_AFTER
from tests.support.build import HALF_HOUR, NOW, an_entry, at, window
from tests.support.ledgers import Ledgers

LEASE = timedelta(seconds=30)
HOUR = timedelta(hours=1)
DUE = window("11:00", "12:00")
#: Longer than a lease, and than the planner's.
AFTER_LEASE = timedelta(seconds=31)
#: When everything that waits is due.
LATER = 2 * AFTER_LEASE + REPAIR_AFTER


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    await put_model(ledgers)
    return ledgers


async def put_model(ledger: Ledgers, revision: str = "1000", slot: timedelta = HALF_HOUR) -> None:
    """Let the one model be of this revision; all that is due is `DUE`."""
    await ledger.models.put_models([an_entry(horizon=HOUR, fold=HOUR, revision=revision, slot=slot)])


async def lead(ledger: Ledgers) -> Term:
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(seconds=15))
    assert term is not None
    return term


async def needed(ledger: Ledgers) -> dict[Lane, Window]:
    windows: dict[Lane, Window] = {}
    for need in await ledger.scheduler.needs(timedelta(days=30)):
        windows |= need.windows
    return windows


async def plan(ledger: Ledgers, lane: Lane = Lane.LIVE) -> Task:
    """Plan what the model needs in this lane."""
    term = await lead(ledger)
    (need,) = await ledger.scheduler.needs(timedelta(days=30))
    planned = Planned(need.model_id, need.epoch, need.windows[lane], lane)
    assert await ledger.scheduler.plan(term, [planned]) == 1
    (task,) = await ledger.scheduler.unpublished(term, 10)
    return task


async def claim(ledger: Ledgers, task: Task, executor: str = "executor-1") -> Claim:
    claim = await ledger.executor.claim(task, executor, LEASE)
    assert claim is not None
    return claim


async def overtake(ledger: Ledgers, *, write: bool = True) -> tuple[Claim, Claim]:
    """A claim that began to write and ran out, and the one that came after it."""
    task = await plan(ledger)
    first = await claim(ledger, task)
    if write:
        assert await ledger.executor.begin_write(first, LEASE)
    await ledger.set_clock(NOW + AFTER_LEASE)
    return first, await claim(ledger, task, "executor-2")


async def settle(ledger: Ledgers, claim: Claim, settlement: Settlement | None = None) -> None:
    settlement = settlement or Stored.in_full(claim.window, rows=6)
    assert await ledger.executor.settle([(claim, settlement)]) == {claim.task_id}


async def pass_time(ledger: Ledgers, time: timedelta) -> datetime:
    """Let so much time pass, from `NOW` on."""
    await ledger.set_clock(NOW + time)
    return NOW + time


async def test_a_claim_that_ends_as_it_should_leaves_nothing_to_repair(ledger: Ledgers):
    only = await claim(ledger, await plan(ledger))
    assert await ledger.executor.begin_write(only, LEASE)
    assert await ledger.executor.begin_write(only, LEASE)
    await settle(ledger, only)

    assert await ledger.fetch("SELECT * FROM repair") == []


async def test_a_write_that_began_with_others_is_repaired_as_one_that_began_alone(ledger: Ledgers):
    task = await plan(ledger)
    first = await claim(ledger, task)
    assert await ledger.executor.begin_writes([first], LEASE) == {task.id}
    await ledger.set_clock(NOW + AFTER_LEASE)
    await settle(ledger, await claim(ledger, task, "executor-2"))

    repairs = await ledger.fetch("SELECT task_id, claim FROM repair")
    assert [(row["task_id"], row["claim"]) for row in repairs] == [(task.id, first.number)]


async def test_a_claim_that_had_not_begun_to_write_when_it_ran_out_leaves_nothing_to_repair(ledger: Ledgers):
    _, second = await overtake(ledger, write=False)
    assert await ledger.executor.begin_write(second, LEASE)
    await settle(ledger, second)

    assert await ledger.fetch("SELECT * FROM repair") == []


async def test_an_attempt_that_failed_while_it_wrote_leaves_nothing_to_repair(ledger: Ledgers):
    task = await plan(ledger)
    first = await claim(ledger, task)
    assert await ledger.executor.begin_write(first, LEASE)
    await settle(ledger, first, Retry("500", retry_after=LEASE))
    await ledger.set_clock(NOW + AFTER_LEASE)
    assert await ledger.scheduler.wake_waiting(await lead(ledger), blocked=[], most=1) == 1
    await settle(ledger, await claim(ledger, task))

    assert await ledger.fetch("SELECT * FROM repair") == []


async def test_what_an_attempt_without_an_answer_may_have_written_is_repaired_a_while_later(ledger: Ledgers):
    task = await plan(ledger)
    first = await claim(ledger, task)
    assert await ledger.executor.begin_write(first, LEASE)
    await settle(ledger, first, Retry("no answer", retry_after=LEASE, may_arrive=True))
    await ledger.set_clock(NOW + AFTER_LEASE)
    assert await ledger.scheduler.wake_waiting(await lead(ledger), blocked=[], most=1) == 1
    second = await claim(ledger, task)
    assert await ledger.executor.begin_write(second, LEASE)
    await settle(ledger, second)

    due = NOW + AFTER_LEASE + REPAIR_AFTER
    assert await ledger.fetch("SELECT claim, due_at FROM repair") == [{"claim": first.number, "due_at": due}]


async def test_what_an_attempt_without_an_answer_may_have_written_is_repaired_under_a_newer_revision(ledger: Ledgers):
    old = await claim(ledger, await plan(ledger))
    assert await ledger.executor.begin_write(old, LEASE)
    await settle(ledger, old, Retry("no answer", retry_after=HOUR, may_arrive=True))
    await put_model(ledger, revision="2000")
    recovered = await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")
    assert recovered["superseded"] == 1

    await settle(ledger, await claim(ledger, await plan(ledger)))
    await pass_time(ledger, REPAIR_AFTER)

    assert (await needed(ledger))[Lane.REPAIR] == DUE


@pytest.mark.parametrize(
    "ended",
    [
        Deferred("others have no answer either", "sink/influx", may_arrive=True),
        Deferred("others have no answer either", "sink/influx", stored_in=["sink/first"], may_arrive=True),
        Retry("no answer", may_arrive=True),
        Crashed("no answer that can be read", may_arrive=True),
    ],
    ids=["planned anew", "waits", "parked after its attempts", "crashed"],
)
async def test_however_a_task_ends_whose_write_had_no_answer_it_is_repaired_under_a_newer_revision(
    ledger: Ledgers, ended: Settlement
):
    old = await claim(ledger, await plan(ledger))
    await ledger.fetch(f"UPDATE task SET attempts = {5 if isinstance(ended, Retry) else 0}")
    assert await ledger.executor.begin_write(old, LEASE)
    await settle(ledger, old, ended)
    await put_model(ledger, revision="2000")
    await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")
    await ledger.fetch("UPDATE coverage SET hold_until = NULL")

    await settle(ledger, await claim(ledger, await plan(ledger)))
    await pass_time(ledger, REPAIR_AFTER)

    assert (await needed(ledger))[Lane.REPAIR] == DUE


@pytest.mark.parametrize("ended", [Deferred("503", "sink/influx"), Retry("500"), Crashed("a bug")], ids=type)
async def test_a_task_that_ends_after_an_answer_leaves_nothing_to_repair(ledger: Ledgers, ended: Settlement):
    only = await claim(ledger, await plan(ledger))
    assert await ledger.executor.begin_write(only, LEASE)
    await settle(ledger, only, ended)
    await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")

    assert await ledger.fetch("SELECT * FROM repair") == []


async def test_a_lost_claim_whose_write_had_no_answer_is_repaired_when_it_can_arrive_no_more(ledger: Ledgers):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await ledger.executor.request_repair(first, may_arrive=True)

    await pass_time(ledger, AFTER_LEASE + REPAIR_AFTER - timedelta(seconds=1))
    assert Lane.REPAIR not in await needed(ledger)
    await pass_time(ledger, AFTER_LEASE + REPAIR_AFTER)
    assert (await needed(ledger))[Lane.REPAIR] == DUE


async def test_what_a_silent_writer_may_have_written_is_repaired_when_it_can_write_no_more(ledger: Ledgers):
    _, second = await overtake(ledger)
    await settle(ledger, second)

    await pass_time(ledger, AFTER_LEASE + REPAIR_AFTER - timedelta(seconds=1))
    assert Lane.REPAIR not in await needed(ledger)
    await pass_time(ledger, AFTER_LEASE + REPAIR_AFTER)
    assert (await needed(ledger))[Lane.REPAIR] == DUE

    await pass_time(ledger, LATER)
    await settle(ledger, await claim(ledger, await plan(ledger, Lane.REPAIR)))
    assert Lane.REPAIR not in await needed(ledger)
    assert await ledger.fetch("SELECT * FROM repair") == []
    (coverage,) = await ledger.fetch("SELECT covered FROM v_coverage")
    assert [(part.lower, part.upper) for part in coverage["covered"]] == [(DUE.start, DUE.end)]  # type: ignore[attr-defined]


async def test_a_writer_that_reports_that_it_is_done_is_repaired_at_once_and_only_once(ledger: Ledgers):
    first, second = await overtake(ledger)
    await ledger.executor.request_repair(first)
    assert await needed(ledger) == {}, "the window is out"
    await settle(ledger, second)

    assert await needed(ledger) == {Lane.REPAIR: DUE}
    await pass_time(ledger, 2 * AFTER_LEASE)
    await settle(ledger, await claim(ledger, await plan(ledger, Lane.REPAIR)))
    await pass_time(ledger, LATER)

    assert Lane.REPAIR not in await needed(ledger)


async def test_a_writer_that_reports_after_the_repair_is_repaired_again(ledger: Ledgers):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await pass_time(ledger, LATER)
    await settle(ledger, await claim(ledger, await plan(ledger, Lane.REPAIR)))
    assert await ledger.fetch("SELECT * FROM repair") == []

    await ledger.executor.request_repair(first)

    assert (await needed(ledger))[Lane.REPAIR] == DUE


async def test_a_repair_that_began_before_the_writer_was_done_does_not_count(ledger: Ledgers):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await pass_time(ledger, AFTER_LEASE + REPAIR_AFTER)
    early = await claim(ledger, await plan(ledger, Lane.REPAIR))
    await pass_time(ledger, AFTER_LEASE + REPAIR_AFTER + timedelta(seconds=1))

    await ledger.executor.request_repair(first)
    await settle(ledger, early)

    assert (await needed(ledger))[Lane.REPAIR] == DUE


@pytest.mark.parametrize("begun", [True, False])
async def test_what_a_claim_of_an_older_epoch_was_writing_is_repaired_with_the_newer_one(ledger: Ledgers, begun: bool):
    old = await claim(ledger, await plan(ledger))
    if begun:
        assert await ledger.executor.begin_write(old, LEASE)
    await put_model(ledger, revision="2000")
    recovered = await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")
    assert recovered["superseded"] == 1
    assert not await ledger.executor.begin_write(old, LEASE)

    await settle(ledger, await claim(ledger, await plan(ledger)))
    await pass_time(ledger, REPAIR_AFTER)

    assert (await needed(ledger)).get(Lane.REPAIR) == (DUE if begun else None)


async def test_a_window_predicted_anew_after_the_writer_was_done_needs_no_repair(ledger: Ledgers):
    old = await claim(ledger, await plan(ledger))
    assert await ledger.executor.begin_write(old, LEASE)
    await put_model(ledger, revision="2000")
    await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")
    await ledger.executor.request_repair(old)

    await pass_time(ledger, AFTER_LEASE)
    await settle(ledger, await claim(ledger, await plan(ledger)))

    assert await ledger.fetch("SELECT * FROM repair") == []


async def test_a_task_that_is_handed_back_in_the_middle_of_a_write_is_repaired(ledger: Ledgers):
    task = await plan(ledger)
    first = await claim(ledger, task)
    assert await ledger.executor.begin_write(first, LEASE)
    assert await ledger.executor.release([first]) == {first.task_id}
    assert await ledger.executor.release([first]) == frozenset()

    await settle(ledger, await claim(ledger, task))

    assert await ledger.fetch("SELECT claim, due_at FROM repair") == [
        {"claim": first.number, "due_at": NOW + REPAIR_AFTER}
    ]


async def test_a_repair_that_is_too_large_is_done_in_halves(ledger: Ledgers):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await ledger.executor.request_repair(first)

    await settle(ledger, await claim(ledger, await plan(ledger, Lane.REPAIR)), Split("too many bytes"))
    await pass_time(ledger, 2 * AFTER_LEASE)
    halves = []
    for _ in "ab":
        half = await claim(ledger, await plan(ledger, Lane.REPAIR))
        halves.append(half.window)
        await settle(ledger, half)

    assert halves == [window("11:30", "12:00"), window("11:00", "11:30")]
    assert await ledger.fetch("SELECT * FROM repair") == []


async def test_a_half_that_waits_for_another_attempt_is_not_repaired_with_the_other(ledger: Ledgers):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await ledger.executor.request_repair(first)
    await settle(ledger, await claim(ledger, await plan(ledger, Lane.REPAIR)), Split("too many bytes"))
    await pass_time(ledger, 2 * AFTER_LEASE)

    waiting = await claim(ledger, await plan(ledger, Lane.REPAIR))
    await settle(ledger, waiting, Retry("500", retry_after=HOUR))
    await settle(ledger, await claim(ledger, await plan(ledger, Lane.REPAIR)))

    left = await ledger.fetch(
        "SELECT slots = tstzmultirange(tstzrange($1, $2)) AS half FROM repair", waiting.window.start, waiting.window.end
    )
    assert left == [{"half": True}]


async def test_a_repair_that_cannot_work_is_parked_and_not_planned_again(ledger: Ledgers):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await ledger.executor.request_repair(first)

    refused = Rejected(Reason.VALUES_REFUSED, "no finite values")
    await settle(ledger, await claim(ledger, await plan(ledger, Lane.REPAIR)), refused)

    assert await needed(ledger) == {}


async def test_a_repair_is_of_whole_slots_of_the_model_as_it_is_now(ledger: Ledgers):
    first = await claim(ledger, await plan(ledger))
    assert await ledger.executor.begin_write(first, LEASE)
    await settle(ledger, first)
    await ledger.fetch(
        "INSERT INTO repair SELECT id, 1, 1, ledger_now(), tstzmultirange(tstzrange($1, $2)) FROM model",
        at("11:10"),
        at("11:40"),
    )

    assert await needed(ledger) == {Lane.REPAIR: DUE}


async def test_a_slot_without_readings_any_more_ends_its_repair(ledger: Ledgers):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await ledger.executor.request_repair(first)

    await pass_time(ledger, 2 * AFTER_LEASE)
    gone = SlotException(SlotState.ABSENT, Coverage((DUE,)), "no_data")
    await settle(ledger, await claim(ledger, await plan(ledger, Lane.REPAIR)), Stored(exceptions=[gone]))

    assert await ledger.fetch("SELECT * FROM repair") == []


async def test_a_writer_that_reports_while_its_repair_is_being_settled_is_repaired_again(ledger: Ledgers):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await pass_time(ledger, LATER)
    repairing = await claim(ledger, await plan(ledger, Lane.REPAIR))
    await pass_time(ledger, LATER + timedelta(seconds=1))

    async with asyncio.TaskGroup() as group, ledger.database.transaction() as connection:
        window = DUE.start, DUE.end
        await connection.execute(SQL["request_repair"], first.task_id, first.number, *window, *first.ref, timedelta(0))
        settling = group.create_task(settle(ledger, repairing))
        await ledger.someone_waits_in("%UPDATE repair r SET slots = r.slots - done.spans%")

    assert settling.exception() is None
    assert (await needed(ledger))[Lane.REPAIR] == DUE


async def test_a_writer_that_reports_when_half_is_repaired_has_all_of_it_repaired(ledger: Ledgers):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await pass_time(ledger, LATER)
    await settle(ledger, await claim(ledger, await plan(ledger, Lane.REPAIR)), Split("too many bytes"))
    half = await claim(ledger, await plan(ledger, Lane.REPAIR))
    assert half.window == window("11:30", "12:00")
    await settle(ledger, half)

    await ledger.executor.request_repair(first)

    left = await ledger.fetch("SELECT slots @> tstzrange($1, $2) AS whole FROM repair", DUE.start, DUE.end)
    assert left == [{"whole": True}]


@pytest.mark.parametrize(("name", "project"), [("pump", "elsewhere"), ("fan", "plant")])
async def test_repairs_of_models_are_kept_apart(ledger: Ledgers, name: str, project: str):
    """By project as well as by name, and although their windows are the same."""
    await ledger.models.put_models([an_entry(name, project=project, horizon=HOUR, fold=HOUR)])
    term, needs = await lead(ledger), await ledger.scheduler.needs(timedelta(days=30))
    assert len(needs) == 2
    planned = [Planned(need.model_id, need.epoch, DUE, Lane.LIVE) for need in needs]
    await ledger.scheduler.plan(term, planned)
    ours, others = [await claim(ledger, task) for task in await ledger.scheduler.unpublished(term, 10)]
    await settle(ledger, ours)
    await settle(ledger, others)

    await ledger.executor.request_repair(ours)
    (need,) = await ledger.scheduler.needs(timedelta(days=30))
    assert need.ref == ours.ref
    await ledger.executor.request_repair(others)
    await pass_time(ledger, LATER)
    term = await lead(ledger)
    planned = [Planned(need.model_id, need.epoch, DUE, Lane.REPAIR)]
    assert await ledger.scheduler.plan(term, planned) == 1
    (task,) = await ledger.scheduler.unpublished(term, 10)
    await settle(ledger, await claim(ledger, task))

    left = await ledger.fetch(
        "SELECT m.project, m.name FROM repair r JOIN model m ON m.id = r.model_id WHERE NOT isempty(r.slots)"
    )
    assert [(row["project"], row["name"]) for row in left] == [others.ref]


@pytest.mark.parametrize("slot", [HALF_HOUR, 2 * HOUR], ids=str)
async def test_a_repair_is_not_that_of_another_model_whatever_is_out_or_parked_of_it(ledger: Ledgers, slot: timedelta):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await ledger.models.put_models([an_entry("fan", slot=slot), an_entry("mill", slot=slot)])
    for_ = await ledger.fetch("SELECT id, name FROM model")
    ids = {str(row["name"]): row["id"] for row in for_}
    await ledger.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at)"
        " VALUES ($1, 1, tstzrange($2, $3), 'live', 'planned', ledger_now())",
        ids["fan"],
        DUE.start,
        DUE.end,
    )
    await ledger.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " VALUES ($1, '1000', 'attempts', '', tstzmultirange(tstzrange($2, $3)), ledger_now(), 'test')",
        ids["mill"],
        DUE.start,
        DUE.end,
    )

    await ledger.executor.request_repair(first)

    repairs = {
        need.ref.name: need.windows.get(Lane.REPAIR) for need in await ledger.scheduler.needs(timedelta(days=30))
    }
    assert {name: window for name, window in repairs.items() if window} == {"pump": DUE}


async def test_a_repair_waits_while_another_window_of_the_background_is_out(ledger: Ledgers):
    first, second = await overtake(ledger)
    await settle(ledger, second)
    await ledger.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at)"
        " SELECT id, 1, tstzrange($1, $2), 'backfill', 'planned', ledger_now() FROM model",
        at("10:00"),
        at("10:30"),
    )
    await ledger.executor.request_repair(first)

    assert Lane.REPAIR not in await needed(ledger)
    await ledger.fetch("DELETE FROM task")
    assert (await needed(ledger))[Lane.REPAIR] == DUE


async def test_what_was_being_written_when_its_process_died_for_the_last_time_is_repaired(ledger: Ledgers):
    dead = await claim(ledger, await plan(ledger))
    assert await ledger.executor.begin_write(dead, LEASE)
    await pass_time(ledger, AFTER_LEASE)

    recovered = await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=0, version="test")

    assert recovered["parked"] == 1
    due = NOW + AFTER_LEASE + REPAIR_AFTER
    assert await ledger.fetch("SELECT claim, due_at FROM repair") == [{"claim": dead.number, "due_at": due}]


@pytest.mark.parametrize("lane", [Lane.LIVE, Lane.REPAIR])
@pytest.mark.parametrize("statement", ["paused = true", "state = 'disabled'", "epoch = epoch + 1"])
async def test_nothing_is_planned_for_a_model_that_changed_since_its_need_was_read(
    ledger: Ledgers, statement: str, lane: Lane
):
    term, (need,) = await lead(ledger), await ledger.scheduler.needs(timedelta(days=30))
    await ledger.fetch(f"UPDATE model SET {statement}")

    assert await ledger.scheduler.plan(term, [Planned(need.model_id, need.epoch, DUE, lane)]) == 0
