"""What the scheduler recovers, and what it leaves alone: tasks that are lost, superseded, or can never be done."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from latigo.domain.outcome import Retry, Stored
from latigo.domain.task import Lane
from latigo.ledger.protocol import Claim, Planned, Term
from tests.support.build import NOW, an_entry
from tests.support.ledgers import Ledgers

SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=30)
HUB = "hub"
PARTITION = "hub#3"


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry()])
    return ledgers


async def lead(ledger: Ledgers) -> Term:
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    assert term is not None
    return term


async def plan(ledger: Ledgers) -> dict[str, int]:
    """Plan what is needed; the ids of tasks by their models."""
    term = await lead(ledger)
    needs = await ledger.scheduler.needs(timedelta(days=30))
    planned = [Planned(need.model_id, need.epoch, need.windows[Lane.LIVE], Lane.LIVE) for need in needs]
    await ledger.scheduler.plan(term, planned)
    return {task.ref.name: task.id for task in await ledger.scheduler.unpublished(term, 10)}


async def published(ledger: Ledgers) -> int:
    """The id of the one task, which is in a partition of the queue."""
    (task_id,) = (await plan(ledger)).values()
    await ledger.scheduler.mark_published(await lead(ledger), {task_id: PARTITION})
    return task_id


async def claimed(ledger: Ledgers) -> Claim:
    claim = await ledger.claim(await published(ledger), 1, "executor-1", LEASE)
    assert claim is not None
    return claim


async def recovered(ledger: Ledgers, channel: str = HUB, isolated_starts: int = 3) -> dict[str, int]:
    """What is recovered of each kind, where there is any."""
    found = await ledger.scheduler.recover(await lead(ledger), channel, isolated_starts=isolated_starts, version="test")
    return {kind: number for kind, number in found.items() if number}


async def drain(ledger: Ledgers, to: datetime) -> None:
    """Let all that was in the partition at this time be done with."""
    await ledger.fetch(
        "INSERT INTO queue_partition (channel, consumer_group, partition, begin_sequence, last_sequence, read_at,"
        " drained_to) VALUES ('hub', 'group', '3', 0, 9, $1, $1)",
        to,
    )


async def refuse(ledger: Ledgers, task_id: int, at: datetime, channel: str = HUB, reason: str = "too_new") -> None:
    """Let a message of the task be refused; one that is too large before it was sent."""
    await ledger.fetch(
        "INSERT INTO queue_refused (channel, partition, sequence, task_id, reason, detail, at)"
        " VALUES ($1, '3', $2, $3, $4, 'refused', $5)",
        channel,
        None if reason == "too_large" else 17,
        task_id,
        reason,
        at,
    )


async def parked(ledger: Ledgers) -> list[tuple[object, object]]:
    """The models that are parked, and why."""
    return [(row["model"], row["reason"]) for row in await ledger.fetch("SELECT model, reason FROM v_parked")]


@pytest.mark.parametrize(("message", "lost"), [(True, {}), (False, {"lost": 1})])
async def test_a_task_in_the_ledgers_own_queue_is_lost_without_its_message(
    ledger: Ledgers, message: bool, lost: dict[str, int]
):
    (task_id,) = (await plan(ledger)).values()
    await ledger.scheduler.mark_published(await lead(ledger), {task_id: "postgres"})
    if message:
        sql = "INSERT INTO queued_task (task_id, body, share, sent_at) VALUES ($1, '', 0, ledger_now())"
        await ledger.fetch(sql, task_id)

    assert await recovered(ledger, "postgres") == lost


async def test_a_claimed_task_is_not_lost_because_its_queue_holds_it_no_more(ledger: Ledgers):
    claim = await claimed(ledger)

    found = await ledger.scheduler.recover(await lead(ledger), HUB, held=[], isolated_starts=3, version="test")

    assert found["lost"] == 0
    assert await ledger.executor.renew([claim], LEASE) == {claim.task_id}


@pytest.mark.parametrize(("after", "lost"), [(LEASE - SECOND, {}), (LEASE, {"lost": 1})])
async def test_a_claim_is_lost_when_its_lease_has_run_out_and_not_before(
    ledger: Ledgers, after: timedelta, lost: dict[str, int]
):
    claim = await claimed(ledger)
    await ledger.set_clock(NOW + after)

    assert await recovered(ledger) == lost
    assert bool(await ledger.executor.renew([claim], LEASE)) == (not lost)


async def test_a_claim_that_was_lost_counts_for_nothing_though_nobody_has_claimed_the_task_since(ledger: Ledgers):
    claim = await claimed(ledger)
    await ledger.set_clock(NOW + LEASE)
    await recovered(ledger)
    before = await ledger.fetch("SELECT * FROM task")

    assert not await ledger.executor.start_isolated(claim, LEASE)
    assert not await ledger.executor.begin_write(claim, LEASE)
    assert await ledger.executor.renew([claim], LEASE) == frozenset()
    assert await ledger.executor.release([claim]) == frozenset()
    assert await ledger.executor.settle([(claim, Stored.in_full(claim.window))]) == frozenset()
    assert await ledger.fetch("SELECT * FROM task") == before


async def test_a_claim_whose_lease_runs_is_not_lost_whatever_became_of_its_message(ledger: Ledgers):
    claim = await claimed(ledger)
    await drain(ledger, NOW + SECOND)
    await refuse(ledger, claim.task_id, NOW + SECOND)

    assert await recovered(ledger) == {}
    assert await recovered(ledger, "another") == {}


async def test_a_task_that_waits_for_another_attempt_is_not_lost_whatever_became_of_its_message(ledger: Ledgers):
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, Retry(detail="500"))])
    await drain(ledger, NOW + SECOND)
    await refuse(ledger, claim.task_id, NOW + SECOND)

    assert await recovered(ledger) == {}
    assert await recovered(ledger, "another") == {}


async def test_a_task_is_published_again_only_if_its_own_message_was_refused_as_too_new_and_since(ledger: Ledgers):
    task_id = await published(ledger)
    await refuse(ledger, task_id, NOW + SECOND, channel="another")
    await refuse(ledger, task_id + 1, NOW + SECOND)
    assert await recovered(ledger) == {}

    await ledger.fetch("DELETE FROM queue_refused")
    await refuse(ledger, task_id, NOW + SECOND, reason="unreadable")
    assert await recovered(ledger) == {}

    await ledger.fetch("UPDATE queue_refused SET reason = 'too_new', at = $1", NOW)
    assert await recovered(ledger) == {}, "an earlier message of the task"
    await ledger.fetch("UPDATE queue_refused SET at = $1", NOW + SECOND)
    assert await recovered(ledger) == {"lost": 1}


@pytest.mark.parametrize("state", ["disabled", "unregistered", "gone", "unusable"])
async def test_tasks_of_a_model_that_is_not_predicted_any_more_are_superseded(ledger: Ledgers, state: str):
    await published(ledger)
    await ledger.fetch("UPDATE model SET state = $1", state)

    assert await recovered(ledger) == {"superseded": 1}


async def test_tasks_of_a_paused_model_are_kept(ledger: Ledgers):
    await published(ledger)
    await ledger.fetch("UPDATE model SET paused = true")

    assert await recovered(ledger) == {}


@pytest.mark.parametrize("large", ["fan", "pump"])
async def test_only_the_task_that_is_too_large_is_parked(ledger: Ledgers, large: str):
    await ledger.models.put_models([an_entry("fan")])
    tasks = await plan(ledger)
    await refuse(ledger, tasks[large], NOW, reason="too_large")

    assert await recovered(ledger) == {"parked": 1}
    assert await parked(ledger) == [(large, "task_too_large")]
    assert await ledger.fetch("SELECT outcome, reason, detail FROM task_history") == [
        {"outcome": "rejected", "reason": "task_too_large", "detail": "refused"}
    ]


async def test_a_task_is_parked_for_its_size_alone_and_not_for_that_of_an_earlier_one(ledger: Ledgers):
    (task_id,) = (await plan(ledger)).values()
    await refuse(ledger, task_id, NOW)
    await refuse(ledger, task_id, NOW - SECOND, reason="too_large")

    assert await recovered(ledger) == {}


async def test_a_task_that_was_sent_after_all_is_not_parked_for_its_size(ledger: Ledgers):
    await refuse(ledger, await published(ledger), NOW, reason="too_large")

    assert await recovered(ledger) == {}


@pytest.mark.parametrize("deadly", ["fan", "pump"])
async def test_only_the_task_that_kills_its_process_is_parked(ledger: Ledgers, deadly: str):
    await ledger.models.put_models([an_entry("fan")])
    tasks = await plan(ledger)
    assert await ledger.claim(tasks[deadly], 1, "executor-1", LEASE)
    await ledger.set_clock(NOW + LEASE)

    assert await recovered(ledger, isolated_starts=0) == {"lost": 1, "parked": 1}
    assert await parked(ledger) == [(deadly, "kills_process")]


@pytest.mark.parametrize("kind", ["kills its process", "is too large"])
async def test_a_task_that_is_claimed_while_it_is_being_parked_is_not_parked(ledger: Ledgers, kind: str):
    (task_id,) = (await plan(ledger)).values()
    if kind == "is too large":
        await refuse(ledger, task_id, NOW, reason="too_large")
    starts = 2 if kind == "kills its process" else 0
    await ledger.fetch("UPDATE task SET starts = $1", starts)

    claiming = "UPDATE task SET state = 'claimed', lease_until = 'infinity'"
    async with asyncio.TaskGroup() as group, ledger.holding(claiming):
        recovering = group.create_task(recovered(ledger, isolated_starts=1))
        await ledger.someone_waits_in("%FROM task t JOIN model m%FOR UPDATE OF t;")

    assert recovering.result() == {}
    assert await parked(ledger) == []


@pytest.mark.parametrize("later", [SECOND, timedelta(minutes=5)])
async def test_a_claim_that_a_server_which_took_over_lacks_counts_for_nothing(ledger: Ledgers, later: timedelta):
    lost = await claimed(ledger)
    await ledger.fetch("UPDATE task SET state = 'published', claim = 0, claimed_by = NULL, lease_until = NULL")
    await ledger.set_clock(NOW + later)

    new = await ledger.claim(lost.task_id, 1, "executor-2", LEASE)

    assert new is not None
    assert new.fence > lost.fence
    assert await ledger.executor.renew([lost], LEASE) == frozenset()
    assert not await ledger.executor.begin_write(lost, LEASE)
    assert await ledger.executor.release([lost]) == frozenset()
    assert await ledger.executor.settle([(lost, Stored.in_full(lost.window))]) == frozenset()
    assert await ledger.executor.settle([(new, Stored.in_full(new.window))]) == {new.task_id}


async def test_the_number_of_a_claim_is_the_whole_seconds_since_2020(ledger: Ledgers):
    task_id = await published(ledger)
    await ledger.set_clock(NOW + 0.9 * SECOND)

    claim = await ledger.claim(task_id, 1, "executor-1", LEASE)

    assert claim is not None
    assert claim.number == (NOW - datetime(2020, 1, 1, tzinfo=UTC)) // SECOND
