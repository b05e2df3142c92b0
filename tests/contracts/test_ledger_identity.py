"""A ledger that was restored from a backup: what its messages and claims of before, and those of other ledgers, can do.

A copy of the database is the backup: both ledgers go on from there, each with another task under the same number.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from latigo.actions.mark_restored import mark_restored
from latigo.domain.coverage import Coverage
from latigo.domain.health import State
from latigo.domain.model import ModelRef
from latigo.domain.outcome import Deferred, Retry, SlotException, SlotState, Stored
from latigo.domain.task import Lane, LedgerIdentity, Task
from latigo.domain.windows import Window
from latigo.ledger.protocol import Claim, ExecutorInfo, Mismatch, MismatchKind, Planned, Term
from latigo.ledger.shared import read_identity
from latigo.postgres.ranges import to_coverage
from latigo.reports.status import Status, read_status
from tests.support.build import NOW, a_spec, a_task, an_entry, at, window
from tests.support.ledgers import Ledgers, open_ledgers
from tests.support.postgres import fresh_database

LEASE, HOUR = timedelta(seconds=30), timedelta(hours=1)
LIVE, BACK = window("11:00", "12:00"), window("10:00", "11:00")
LATER = NOW + timedelta(days=2)
RESTORED = "latigo ledger restored"


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """A ledger with one model."""
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry("pump", fold=HOUR)])
    return ledgers


async def lead(ledger: Ledgers) -> Term:
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=30))
    assert term is not None
    return term


async def plan(ledger: Ledgers, name: str = "pump", span: Window = LIVE, lane: Lane = Lane.LIVE) -> Task:
    """Plan a window of a model; the task as its message has it."""
    term = await lead(ledger)
    (model,) = [known for known in await ledger.models.known_models("plant") if known.name == name]
    (row,) = await ledger.fetch("SELECT epoch FROM v_models WHERE model = $1", name)
    assert await ledger.scheduler.plan(term, [Planned(model.id, int(str(row["epoch"])), span, lane)]) == 1
    return max(await ledger.scheduler.unpublished(term, 100), key=lambda task: task.id)


async def claim(ledger: Ledgers, task: Task, executor: str = "executor-1") -> Claim:
    claimed = await ledger.executor.claim(task, executor, LEASE)
    assert claimed is not None
    return claimed


async def covered(ledger: Ledgers, name: str) -> Coverage:
    (row,) = await ledger.fetch("SELECT covered FROM v_coverage WHERE model = $1", name)
    return to_coverage(row["covered"])


async def identity(ledger: Ledgers) -> LedgerIdentity:
    async with ledger.database.connection() as connection:
        return await read_identity(connection)


async def status(ledger: Ledgers) -> Status:
    return await read_status(ledger.database, "test")


def in_version(version: int, task: Task) -> Task:
    """The task as an executor reads it from an envelope of this version."""
    return task if version > 1 else replace(task, ledger=None)


@dataclass
class Restore:
    """A ledger, and the same one as restored from a backup that was made before its last task."""

    before: Ledgers
    after: Ledgers
    lost: Task  #: planned after the backup was made
    task: Task  #: of another model, under the same number in the restored ledger


@pytest.fixture
async def restore(postgres_server: str, ledger_template: str) -> AsyncIterator[Restore]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(fresh_database(postgres_server, template=ledger_template))
        async with open_ledgers(url) as ledger:
            await ledger.set_clock(NOW)
            await ledger.models.put_models([an_entry(name, fold=HOUR) for name in ("pump", "fan")])
        name = urlsplit(url).path.removeprefix("/")
        backup = await stack.enter_async_context(fresh_database(postgres_server, template=name))
        before = await stack.enter_async_context(open_ledgers(url))
        after = await stack.enter_async_context(open_ledgers(backup))
        lost = await plan(before, "pump")
        task = await plan(after, "fan")
        assert lost.id == task.id
        yield Restore(before, after, lost, task)


# --- claims -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
async def test_a_message_is_claimed_in_either_version(ledger: Ledgers, version: int):
    task = await plan(ledger)

    claimed = await claim(ledger, in_version(version, task))

    assert task.ledger == await identity(ledger)
    assert (claimed.task_id, claimed.ref, claimed.window, claimed.epoch) == (task.id, task.ref, LIVE, 1)
    assert claimed.incarnation == 1


async def test_a_message_of_another_ledger_or_incarnation_is_not_claimed(ledger: Ledgers):
    task = await plan(ledger)
    assert task.ledger is not None

    for other in (LedgerIdentity(UUID(int=7), 1), replace(task.ledger, incarnation=2)):
        assert await ledger.executor.claim(replace(task, ledger=other), "executor-1", LEASE) is None

    await claim(ledger, task)


@pytest.mark.parametrize("statement", ["paused = true", "state = 'disabled'", "epoch = epoch + 1"])
async def test_a_model_that_is_paused_disabled_or_of_a_new_epoch_is_not_claimed(ledger: Ledgers, statement: str):
    task = await plan(ledger)
    await ledger.fetch(f"UPDATE model SET {statement}")

    assert await ledger.executor.claim(task, "executor-1", LEASE) is None
    assert await ledger.executor.claim(replace(task, epoch=2), "executor-1", LEASE) is None
    assert await ledger.executor.examine(task) is None


@pytest.mark.parametrize("version", [1, 2])
async def test_a_message_of_before_a_restore_is_not_claimed_for_the_task_of_its_number(restore: Restore, version: int):
    assert await restore.after.executor.claim(in_version(version, restore.lost), "executor-1", LEASE) is None

    counted = await claim(restore.after, restore.task)
    assert await restore.after.executor.settle([(counted, Stored.in_full(LIVE))]) == {counted.task_id}
    assert await covered(restore.after, "fan") == Coverage((LIVE,))


async def test_a_claim_of_before_a_restore_can_do_nothing_to_the_task_of_its_number(restore: Restore):
    executor = restore.after.executor
    stale, fresh = await claim(restore.before, restore.lost), await claim(restore.after, restore.task)
    assert (stale.task_id, stale.number) == (fresh.task_id, fresh.number)

    assert await executor.renew([stale], LEASE) == frozenset()
    assert not await executor.start_isolated(stale, LEASE)
    await executor.release([stale])
    assert await executor.settle([(stale, Stored.in_full(LIVE))]) == frozenset()
    assert await covered(restore.after, "fan") == Coverage()
    assert await executor.renew([fresh], LEASE) == {fresh.task_id}


PUMP = ModelRef("plant", "pump")
#: What else than its number a task is known by, once with another project, name, start, end and epoch.
OTHERWISE = {
    "project": (ModelRef("elsewhere", "pump"), LIVE, 1),
    "name": (ModelRef("plant", "fan"), LIVE, 1),
    "start": (PUMP, window("11:30", "12:00"), 1),
    "end": (PUMP, window("11:00", "11:30"), 1),
    "epoch": (PUMP, LIVE, 2),
}


@pytest.mark.parametrize("differs", OTHERWISE)
async def test_a_message_that_differs_in_one_thing_from_the_task_of_its_number_is_not_claimed(
    ledger: Ledgers, differs: str
):
    task = await plan(ledger)
    await ledger.models.put_models([an_entry("pump", project="elsewhere"), an_entry("fan")])
    ref, span, epoch = OTHERWISE[differs]
    sent = replace(task, model=a_spec(ref.name, project=ref.project), window=span, epoch=epoch)

    assert await ledger.executor.claim(sent, "executor-1", LEASE) is None
    await claim(ledger, task)


@pytest.mark.parametrize("differs", [*OTHERWISE, "number"])
async def test_a_claim_that_differs_in_one_thing_from_the_task_of_its_number_can_do_nothing(
    ledger: Ledgers, differs: str
):
    executor, fresh = ledger.executor, await claim(ledger, await plan(ledger))
    await ledger.models.put_models([an_entry("pump", project="elsewhere"), an_entry("fan")])
    ref, span, epoch = OTHERWISE.get(differs, (PUMP, LIVE, 1))
    stale = replace(fresh, ref=ref, window=span, epoch=epoch, number=fresh.number + (differs == "number"))
    before = await ledger.fetch("SELECT * FROM task")
    await ledger.set_clock(NOW + timedelta(seconds=1))

    assert await executor.renew([stale], LEASE) == frozenset()
    assert not await executor.begin_write(stale, LEASE)
    assert not await executor.start_isolated(stale, LEASE)
    assert await executor.release([stale]) == frozenset()
    assert await executor.settle([(stale, Stored.in_full(LIVE))]) == frozenset()

    assert await ledger.fetch("SELECT * FROM task") == before
    assert await executor.settle([(fresh, Stored.in_full(LIVE))]) == {fresh.task_id}


async def test_in_one_transaction_each_settlement_goes_to_its_own_task(restore: Restore):
    stale, fresh = await claim(restore.before, restore.lost), await claim(restore.after, restore.task)
    absent = Stored(exceptions=[SlotException(SlotState.ABSENT, Coverage((LIVE,)), "no 'a'")])

    settlements = [(fresh, absent), (stale, Stored.in_full(LIVE))]
    assert await restore.after.executor.settle(settlements) == {fresh.task_id}

    assert await covered(restore.after, "fan") == Coverage()


# --- settlements ------------------------------------------------------------------------------------------------------


async def test_a_settlement_covers_nothing_beyond_the_window_of_its_task(ledger: Ledgers):
    claimed = await claim(ledger, await plan(ledger))
    beyond = SlotException(SlotState.SHORT, Coverage((window("09:00", "10:00"),)), "no 'a'")

    counted = await ledger.executor.settle([(claimed, Stored(Coverage((window("10:30", "12:30"),)), [beyond], rows=3))])

    assert counted == {claimed.task_id}
    assert await covered(ledger, "pump") == Coverage((LIVE,))
    assert await ledger.fetch("SELECT FROM v_exceptions") == []
    (ended,) = await ledger.fetch("SELECT outcome, covered FROM task_history")
    assert (ended["outcome"], ended["covered"]) == ("stored", HOUR)


async def test_a_settlement_that_leaves_slots_open_parks_the_window_and_covers_nothing(ledger: Ledgers):
    claimed = await claim(ledger, await plan(ledger))

    await ledger.executor.settle([(claimed, Stored(Coverage((window("11:00", "11:30"),))))])

    assert await covered(ledger, "pump") == Coverage()
    (parked,) = await ledger.fetch("SELECT reason, detail FROM v_parked")
    assert parked["reason"] == "crashed"
    assert str(window("11:30", "12:00")) in str(parked["detail"])


# --- what contradicts the ledger --------------------------------------------------------------------------------------


def kind(mismatch: Mismatch | None) -> MismatchKind | None:
    return mismatch.kind if mismatch else None


async def test_messages_that_the_ledger_cannot_have_sent_are_recorded_and_alarm_naming_the_command(restore: Restore):
    ledger, task, lost = restore.after, restore.task, restore.lost
    assert task.ledger is not None
    sent = {
        MismatchKind.OTHER_TASK: lost,
        MismatchKind.BEYOND_SEQUENCE: replace(lost, id=lost.id + 1),
        MismatchKind.LATER_EPOCH: replace(task, epoch=task.epoch + 1),
        MismatchKind.LATER_INCARNATION: replace(task, ledger=replace(task.ledger, incarnation=9)),
    }
    assert not any(RESTORED in alarm for alarm in (await status(ledger)).alarms)

    for expected, message in sent.items():
        for is_first in (True, False):
            assert await ledger.executor.claim(message, "executor-1", LEASE) is None
            mismatch = await ledger.executor.examine(message)
            assert mismatch is not None
            assert (mismatch.kind, mismatch.is_first) == (expected, is_first)
        seen = await status(ledger)
        assert seen.state is State.NEEDS_ATTENTION
        assert sum(RESTORED in alarm for alarm in seen.alarms) == 1
    assert {row.kind for row in (await status(ledger)).queue.mismatched} == {kind.value for kind in sent}


async def test_a_sink_ahead_of_the_ledger_alarms_until_the_next_incarnation_which_is_newer(restore: Restore):
    ledger = restore.after
    ahead = await restore.before.executor.claim(restore.lost, "executor-1", LEASE)
    claim = await ledger.executor.claim(restore.task, "executor-1", LEASE)
    assert ahead is not None
    assert claim is not None
    for _ in "ab":
        await ledger.executor.record_newer_predictions(claim, "sink/postgres keeps 6 rows")
    (alarm,) = [alarm for alarm in (await status(ledger)).alarms if RESTORED in alarm]
    assert "a sink holds predictions" in alarm
    assert "sink/postgres keeps 6 rows" in alarm

    await mark_restored(ledger.database, "test")

    assert not any(RESTORED in alarm for alarm in (await status(ledger)).alarms)
    term = await ledger.scheduler.acquire_lease("scheduler-1", LEASE)
    assert term is not None
    (task,) = await ledger.scheduler.unpublished(term, 10)
    again = await ledger.executor.claim(task, "executor-1", LEASE)
    assert again is not None
    assert again.fence > max(ahead.fence, claim.fence)


@pytest.mark.parametrize("version", [1, 2])
async def test_another_window_of_the_same_model_is_a_mismatch_too(ledger: Ledgers, version: int):
    message = in_version(version, replace(await plan(ledger), window=BACK))

    assert await ledger.executor.claim(message, "executor-1", LEASE) is None
    assert kind(await ledger.executor.examine(message)) is MismatchKind.OTHER_TASK


@pytest.mark.parametrize(("ours", "others"), [("fan", "pump"), ("pump", "fan")])
async def test_a_message_is_compared_with_its_own_task_and_model(ledger: Ledgers, ours: str, others: str):
    await ledger.models.put_models([an_entry("fan", fold=HOUR)])
    task, _ = await plan(ledger, ours), await plan(ledger, others)
    await ledger.fetch("UPDATE model SET epoch = 7 WHERE name = $1", others)
    await claim(ledger, task)
    elsewhere = replace(task, model=replace(task.model, ref=ModelRef("elsewhere", ours)))

    assert await ledger.executor.examine(task) is None
    assert kind(await ledger.executor.examine(replace(task, epoch=2))) is MismatchKind.LATER_EPOCH
    await ledger.fetch("DELETE FROM task WHERE id = $1", task.id)
    assert kind(await ledger.executor.examine(replace(task, epoch=2))) is MismatchKind.LATER_EPOCH
    assert await ledger.executor.examine(replace(elsewhere, epoch=2)) is None, "of a model that is unknown"


async def test_a_message_ahead_of_a_model_whose_task_is_done_is_a_mismatch(ledger: Ledgers):
    """Without its ledger, a message may be older than a restore that was dealt with."""
    task = await plan(ledger)
    await ledger.executor.settle([(await claim(ledger, task), Stored.in_full(LIVE))])
    ahead = replace(task, epoch=2)

    assert kind(await ledger.executor.examine(ahead)) is MismatchKind.LATER_EPOCH
    assert await ledger.executor.examine(in_version(1, ahead)) is None


async def test_any_number_of_such_messages_is_one_row_of_each_kind_written_once_a_minute(ledger: Ledgers):
    for task_id in range(100, 120):
        await ledger.executor.examine(a_task(id=task_id))
    assert [row["task_id"] for row in await ledger.fetch("SELECT task_id FROM queue_mismatch")] == [100]

    await ledger.set_clock(NOW + timedelta(minutes=1))
    await ledger.executor.examine(a_task(id=150))

    (row,) = await ledger.fetch("SELECT task_id, first_at, last_at FROM queue_mismatch")
    assert row == {"task_id": 150, "first_at": NOW, "last_at": NOW + timedelta(minutes=1)}


async def test_a_message_of_another_ledger_is_reported_without_an_alarm_and_forgotten_after_a_week(ledger: Ledgers):
    await plan(ledger)
    alarms = (await status(ledger)).alarms
    foreign = a_task(id=10**9, ledger=LedgerIdentity(UUID(int=7), 1))

    mismatch = await ledger.executor.examine(foreign)

    assert kind(mismatch) is MismatchKind.OTHER_LEDGER
    noticed = await status(ledger)
    assert noticed.alarms == alarms
    assert [row.kind for row in noticed.queue.mismatched] == ["other_ledger"]
    await ledger.set_clock(NOW + timedelta(days=8))
    assert (await status(ledger)).queue.mismatched == []


@pytest.mark.parametrize("version", [1, 2])
async def test_messages_of_tasks_that_ended_in_any_way_never_alarm(ledger: Ledgers, version: int):
    live = await plan(ledger)
    claimed = await claim(ledger, live)
    messages = [live]
    assert await ledger.executor.examine(live) is None  # another executor has it
    await ledger.executor.settle([(claimed, Retry("500"))])
    assert await ledger.executor.examine(live) is None  # it waits
    for settlement in (Stored.in_full(BACK), Deferred("away")):
        task = await plan(ledger, span=BACK, lane=Lane.REPAIR)
        messages.append(task)
        await ledger.executor.settle([(await claim(ledger, task), settlement)])
    superseded = await plan(ledger, span=BACK, lane=Lane.REPAIR)
    messages.append(superseded)
    await ledger.models.put_models([an_entry("pump", fold=HOUR, revision="2000")])
    assert await ledger.executor.examine(superseded) is None
    await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")
    await ledger.fetch("SELECT nextval('task_id_seq'), nextval('task_id_seq')")  # planned twice: numbers of no task
    messages.append(replace(superseded, id=superseded.id + 1))

    await ledger.set_clock(NOW + timedelta(days=90))
    await ledger.scheduler.maintain(history=timedelta(days=30))  # nothing is left of them

    assert await ledger.fetch("SELECT FROM task_history") == []
    for message in messages:
        sent = in_version(version, message)
        assert await ledger.executor.claim(sent, "executor-1", LEASE) is None
        assert await ledger.executor.examine(sent) is None
    assert (await status(ledger)).queue.mismatched == []


async def test_the_first_number_of_an_empty_ledger_is_beyond_its_sequence(ledger: Ledgers):
    assert kind(await ledger.executor.examine(a_task(id=1))) is MismatchKind.BEYOND_SEQUENCE


# --- latigo ledger restored -------------------------------------------------------------------------------------------


async def test_a_restored_ledger_has_a_new_incarnation_and_no_alarm(restore: Restore):
    ledger = restore.after
    assert await ledger.executor.examine(restore.lost)
    claimed = await claim(ledger, restore.task)

    restored = await mark_restored(ledger.database, "operator@host")

    assert (restored.replanned, restored.incarnation) == (1, int(NOW.timestamp()))
    assert await identity(ledger) == LedgerIdentity(UUID(restored.ledger), restored.incarnation)
    assert not any(RESTORED in alarm for alarm in (await status(ledger)).alarms)
    assert await ledger.executor.settle([(claimed, Stored.in_full(LIVE))]) == frozenset()
    (task,) = await ledger.scheduler.unpublished(await lead(ledger), 10)
    assert (task.ref, task.window) == (restore.task.ref, LIVE)
    again = await claim(ledger, task)
    assert (again.incarnation, again.isolated) == (restored.incarnation, False)
    assert await ledger.executor.settle([(again, Stored.in_full(LIVE))]) == {again.task_id}
    assert await ledger.fetch("SELECT kind, who FROM request") == [{"kind": "ledger_restored", "who": "operator@host"}]


@pytest.mark.parametrize("version", [1, 2])
async def test_after_it_no_message_of_before_is_claimed_or_alarms(restore: Restore, version: int):
    ledger, lost, task = restore.after, restore.lost, restore.task
    await mark_restored(ledger.database, "operator@host")
    await plan(ledger, "pump")

    for message in (lost, task, replace(lost, id=lost.id + 10_000_000), replace(task, epoch=7)):
        sent = in_version(version, message)
        assert await ledger.executor.claim(sent, "executor-1", LEASE) is None
        assert await ledger.executor.examine(sent) is None
    assert (await status(ledger)).queue.mismatched == []


async def test_no_number_of_before_is_handed_out_again_though_a_backup_is_restored_twice(restore: Restore):
    first = await mark_restored(restore.before.database, "operator@host")
    newest = await plan(restore.before, "fan")
    await restore.after.set_clock(LATER)

    second = await mark_restored(restore.after.database, "operator@host")
    task = await plan(restore.after, "pump", span=BACK, lane=Lane.REPAIR)

    assert second.incarnation > first.incarnation
    assert task.id > newest.id > restore.lost.id
    assert kind(await restore.before.executor.examine(task)) is MismatchKind.LATER_INCARNATION


async def test_an_incarnation_rises_even_if_the_clock_stands_or_went_back(ledger: Ledgers):
    first = await mark_restored(ledger.database, "operator@host")
    second = await mark_restored(ledger.database, "operator@host")
    before = await plan(ledger)
    await ledger.set_clock(at("00:00"))
    third = await mark_restored(ledger.database, "operator@host")

    assert [second.incarnation, third.incarnation] == [first.incarnation + 1, first.incarnation + 2]
    (task,) = await ledger.scheduler.unpublished(await lead(ledger), 10)
    assert task.id > before.id


async def test_tasks_in_every_state_are_planned_again_and_those_that_wait_go_on_waiting(ledger: Ledgers):
    await ledger.models.put_models([an_entry(name, fold=HOUR) for name in ("fan", "valve", "mill", "press")])
    waiting = await claim(ledger, await plan(ledger, "pump"))
    await ledger.executor.settle([(waiting, Retry("500", stored_in=["sink/first"]))])
    published, suspect = await plan(ledger, "fan"), await plan(ledger, "valve")
    await ledger.scheduler.mark_published(await lead(ledger), {published.id: "queue#0", suspect.id: "queue#0"})
    await claim(ledger, suspect)
    await claim(ledger, await plan(ledger, "press"))
    await ledger.set_clock(NOW + LEASE)
    assert await ledger.executor.start_isolated(await claim(ledger, suspect), LEASE)
    await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")
    await plan(ledger, "mill")

    restored = await mark_restored(ledger.database, "operator@host")

    assert restored.replanned == 4
    rows = await ledger.fetch(
        "SELECT m.name, t.state, t.starts, t.attempts, t.stored_in, t.claimed_by, t.channel FROM task t"
        " JOIN model m ON m.id = t.model_id ORDER BY m.name"
    )
    assert [(row["name"], row["state"], row["starts"], row["attempts"], row["stored_in"]) for row in rows] == [
        ("fan", "planned", 0, 0, []),
        ("mill", "planned", 0, 0, []),
        ("press", "planned", 1, 0, []),
        ("pump", "waiting", 0, 1, ["sink/first"]),
        ("valve", "planned", 1, 0, []),
    ]
    assert {row["channel"] for row in rows if row["state"] == "planned"} == {""}
    assert len(await ledger.scheduler.unpublished(await lead(ledger), 10)) == 4


# --- versions of the envelope -----------------------------------------------------------------------------------------


async def test_the_newest_version_that_all_executors_read_is_known_while_an_old_one_lives(ledger: Ledgers):
    assert (await ledger.scheduler.outstanding()).readable is None
    await ledger.executor.register(ExecutorInfo("old", "1", 1, 1, concurrency=4))
    await ledger.executor.register(ExecutorInfo("new", "2", 1, 2, concurrency=4))
    assert (await ledger.scheduler.outstanding()).readable == 1

    await ledger.set_clock(NOW + timedelta(minutes=3))
    await ledger.executor.heartbeat("new", in_flight=0, limit=4, concurrency=8)

    assert (await ledger.scheduler.outstanding()).readable == 2
