"""Two transactions at once: what one waits for, what it reads afterwards, and that none waits for ever."""

import asyncio
from datetime import timedelta

import pytest

from latigo.actions.mark_restored import mark_restored
from latigo.domain.coverage import Coverage
from latigo.domain.outcome import Settlement, SlotException, SlotState, Stored
from latigo.domain.task import Lane
from latigo.ledger.protocol import Claim, Planned, Term
from tests.support.build import NOW, an_entry, at, window
from tests.support.ledgers import Ledgers

LEASE = timedelta(seconds=30)
CATCH_UP = timedelta(days=30)
REQUESTED = window("10:00", "12:00")
PLANNER = "SELECT FROM planner FOR SHARE"  # as every planning transaction
LAST_OF_A_CHANGE = "LOCK parked IN SHARE MODE"  # what is written last when models change
CLAIMING = "%SELECT FROM task WHERE id = $1 FOR UPDATE%"
SETTLING, LOCKING_MODELS = "%FOR UPDATE OF t, c%", "%JOIN coverage c ON c.model_id = m.id%"


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """Three models, in the ledger in another order than by their names."""
    await ledgers.set_clock(NOW)
    for name in ("valve", "pump", "fan"):
        await ledgers.models.put_models([an_entry(name)])
    return ledgers


async def lead(ledger: Ledgers) -> Term:
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    assert term is not None
    return term


async def wanted(ledger: Ledgers) -> list[Planned]:
    """What all models need now."""
    needs = await ledger.scheduler.needs(CATCH_UP)
    return [
        Planned(need.model_id, need.epoch, need.windows[Lane.LIVE], Lane.LIVE)
        for need in needs
        if Lane.LIVE in need.windows
    ]


async def claimed(ledger: Ledgers) -> list[Claim]:
    """A claimed task of each model, in the order in which the models were put; the table has them reversed."""
    term = await lead(ledger)
    await ledger.scheduler.plan(term, sorted(await wanted(ledger), key=lambda planned: planned.model_id))
    tasks = await ledger.scheduler.unpublished(term, 10)
    claims = [await ledger.claim(task.id, 1, "executor-1", LEASE) for task in reversed(tasks)]
    assert len(claims) == 3
    return [claim for claim in reversed(claims) if claim is not None]


def task_row(claim: Claim) -> str:
    return f"SELECT FROM task WHERE id = {claim.task_id} FOR UPDATE"


def coverage_of(claim: Claim) -> str:
    return f"SELECT FROM coverage WHERE model_id = (SELECT model_id FROM task WHERE id = {claim.task_id}) FOR UPDATE"


def stored(claims: list[Claim]) -> list[tuple[Claim, Settlement]]:
    return [(claim, Stored.in_full(REQUESTED)) for claim in claims]


async def test_a_settle_that_had_to_wait_for_a_new_epoch_adds_nothing(ledger: Ledgers):
    await ledger.set_clock(at("12:37"))
    claims = await claimed(ledger)
    entries = [an_entry(name, slot=timedelta(hours=1)) for name in ("fan", "pump", "valve")]
    everything = Stored.in_full(window("10:00", "12:30"))

    async with asyncio.TaskGroup() as group, ledger.holding(LAST_OF_A_CHANGE):
        changing = group.create_task(ledger.models.put_models(entries))
        await ledger.someone_waits_in("%parked%")
        settling = group.create_task(ledger.executor.settle([(claim, everything) for claim in claims]))
        await ledger.someone_waits_in(SETTLING)

    assert changing.result() == 3
    assert settling.result() == frozenset()
    assert await ledger.fetch("SELECT count(*) FROM coverage WHERE isempty(covered)") == [{"count": 3}]


async def test_models_that_change_wait_for_what_is_being_settled_of_them(ledger: Ledgers):
    """An exception refers to its model, so its settle needs the model's row as well."""
    claims = await claimed(ledger)
    absent = Stored(exceptions=[SlotException(SlotState.ABSENT, Coverage((REQUESTED,)), "no 'a'")])

    async with asyncio.TaskGroup() as group, ledger.holding("LOCK task_history IN SHARE MODE"):
        settling = group.create_task(ledger.executor.settle([(claim, absent) for claim in claims]))
        await ledger.someone_waits_in("%DELETE FROM task t%s.outcome%")
        changing = group.create_task(ledger.models.put_models([an_entry("pump", revision="1001")]))
        await ledger.someone_waits_in(LOCKING_MODELS)

    assert settling.result() == {claim.task_id for claim in claims}
    assert changing.result() == 1


async def test_models_that_are_left_out_wait_for_what_is_being_settled_of_them(ledger: Ledgers):
    claims = await claimed(ledger)

    async with asyncio.TaskGroup() as group, ledger.holding("LOCK task_history IN SHARE MODE"):
        settling = group.create_task(ledger.executor.settle(stored(claims)))
        await ledger.someone_waits_in("%DELETE FROM task t%s.outcome%")
        changing = group.create_task(ledger.models.set_state("plant", ["pump"], "gone"))
        await ledger.someone_waits_in(LOCKING_MODELS)

    assert settling.result() == {claim.task_id for claim in claims}
    assert changing.result() == ["pump"]


async def test_a_circuit_is_closed_without_waiting_for_models_that_are_being_settled(ledger: Ledgers):
    claims = await claimed(ledger)
    await ledger.executor.open_circuit("gordo/plant", "503", alarm=False, pause=LEASE)
    await ledger.fetch("UPDATE coverage SET hold_until = 'infinity', held_for = 'gordo/plant'")

    async with ledger.holding(coverage_of(claims[1])), asyncio.timeout(60):
        assert await ledger.executor.close_circuit("gordo/plant")

    held = await ledger.fetch("SELECT model_id FROM coverage WHERE hold_until IS NOT NULL")
    assert held == await ledger.fetch("SELECT model_id FROM task WHERE id = $1", claims[1].task_id)


async def test_a_claim_counts_the_starts_that_it_had_to_wait_for(ledger: Ledgers):
    claim, *_ = await claimed(ledger)
    await ledger.set_clock(NOW + LEASE)
    ended = "UPDATE task SET state = 'planned', starts = 3, lease_until = NULL"

    async with asyncio.TaskGroup() as group, ledger.holding(ended):
        claiming = group.create_task(ledger.claim(claim.task_id, 1, "executor-2", LEASE))
        await ledger.someone_waits_in(CLAIMING)

    again = claiming.result()
    assert again is not None
    assert again.starts == 3


async def test_claims_of_a_batch_wait_for_no_task_that_is_locked(ledger: Ledgers):
    claims = await claimed(ledger)
    tasks = [await ledger.message(claim.task_id) for claim in claims]
    await ledger.set_clock(NOW + LEASE)

    async with ledger.holding(task_row(claims[1])), asyncio.timeout(60):
        batch = await ledger.executor.claim_many(tasks, "executor-2", LEASE)

    assert set(batch) == {0, 2}
    assert await ledger.claim(claims[1].task_id, 1, "executor-2", LEASE) is not None


async def test_writes_that_begin_together_wait_for_no_task_that_is_locked(ledger: Ledgers):
    claims = await claimed(ledger)

    async with ledger.holding(task_row(claims[1])), asyncio.timeout(60):
        begun = await ledger.executor.begin_writes(claims, LEASE)

    assert begun == {claims[0].task_id, claims[2].task_id}
    assert await ledger.executor.begin_write(claims[1], LEASE)


async def test_claims_of_a_batch_wait_for_no_settlement_and_take_nothing_from_it(ledger: Ledgers):
    claims = await claimed(ledger)
    tasks = [await ledger.message(claim.task_id) for claim in claims]
    await ledger.set_clock(NOW + LEASE)

    async with asyncio.TaskGroup() as group, ledger.holding(coverage_of(claims[2])):
        settling = group.create_task(ledger.executor.settle(stored(claims)))
        await ledger.someone_waits_in(SETTLING)
        async with asyncio.timeout(60):
            batch = await ledger.executor.claim_many(tasks, "executor-2", LEASE)

    assert set(batch) <= {2}  # whose lock the settlement may have or not when it waits for its coverage
    assert settling.result() == {claim.task_id for claim in claims} - {claim.task_id for claim in batch.values()}


async def test_batches_of_many_executors_claim_every_task_once(ledger: Ledgers):
    claims = await claimed(ledger)
    tasks = [await ledger.message(claim.task_id) for claim in claims]
    await ledger.set_clock(NOW + LEASE)
    orders = [tasks, tasks[::-1], [*tasks[1:], tasks[0]], tasks] * 4

    async with asyncio.timeout(60):
        batches = await asyncio.gather(
            *(ledger.executor.claim_many(order, f"executor-{n}", LEASE) for n, order in enumerate(orders))
        )

    assert sorted(claim.task_id for batch in batches for claim in batch.values()) == sorted(task.id for task in tasks)


async def test_no_other_scheduler_acquires_the_lease_before_a_planning_transaction_ends(ledger: Ledgers):
    term, needed = await lead(ledger), await wanted(ledger)

    async with asyncio.TaskGroup() as group, ledger.holding("LOCK task IN SHARE MODE"):
        planning = group.create_task(ledger.scheduler.plan(term, needed))
        await ledger.someone_waits_in("%INSERT INTO task %")
        await ledger.set_clock(NOW + timedelta(days=2))
        acquiring = group.create_task(ledger.scheduler.acquire_lease("scheduler-2", LEASE))
        await ledger.someone_waits_in("%UPDATE planner%")

    assert planning.result() == 3
    assert acquiring.result() == Term("scheduler-2", term.number + 1)


@pytest.mark.parametrize(
    ("held", "waits_in"),
    [(PLANNER, "%FROM planner FOR UPDATE%"), ("SELECT FROM task FOR UPDATE", "%FROM task ORDER BY%")],
)
async def test_a_ledger_is_marked_as_restored_when_nothing_is_being_planned_or_settled(
    ledger: Ledgers, held: str, waits_in: str
):
    await claimed(ledger)

    async with asyncio.TaskGroup() as group, ledger.holding(held):
        marking = group.create_task(mark_restored(ledger.database, "test"))
        await ledger.someone_waits_in(waits_in)

    assert marking.result().replanned == 3


async def test_models_are_settled_and_changed_in_one_order(ledger: Ledgers):
    claims = await claimed(ledger)
    entries = [an_entry(name, revision="1001") for name in ("fan", "pump", "valve")]

    async with asyncio.TaskGroup() as group, ledger.holding(coverage_of(claims[1])):
        settling = group.create_task(ledger.executor.settle(stored(claims)))
        await ledger.someone_waits_in(SETTLING)
        changing = group.create_task(ledger.models.put_models(entries))
        await ledger.someone_waits_in(LOCKING_MODELS)

    assert settling.result() == {claim.task_id for claim in claims}
    assert changing.result() == 3


async def test_planning_does_not_wait_for_models_that_are_being_changed(ledger: Ledgers):
    term, planned = await lead(ledger), await wanted(ledger)
    entries = [an_entry(name, revision="1001") for name in ("fan", "pump", "valve")]

    async with asyncio.TaskGroup() as group, ledger.holding(LAST_OF_A_CHANGE):
        changing = group.create_task(ledger.models.put_models(entries))
        await ledger.someone_waits_in("%parked%")
        async with asyncio.timeout(60):
            assert await ledger.scheduler.plan(term, planned) == 3

    assert changing.result() == 3
    assert await ledger.scheduler.unpublished(term, 10) == []
    assert (await ledger.scheduler.recover(term, "queue", isolated_starts=3, version="test"))["superseded"] == 3


async def test_leases_are_renewed_in_the_order_in_which_tasks_are_settled(ledger: Ledgers):
    claims = await claimed(ledger)

    async with asyncio.TaskGroup() as group, ledger.holding(task_row(claims[1])):
        settling = group.create_task(ledger.executor.settle(stored(claims)))
        await ledger.someone_waits_in(SETTLING)
        renewing = group.create_task(ledger.executor.renew(claims[::-1], LEASE))
        await ledger.someone_waits_in("%UPDATE task t SET lease_until%")

    assert settling.result() == {claim.task_id for claim in claims}
    assert renewing.result() == frozenset()


async def test_a_lease_is_not_renewed_once_another_executor_has_the_task(ledger: Ledgers):
    claim, *_ = await claimed(ledger)

    async with asyncio.TaskGroup() as group, ledger.holding("UPDATE task SET claim = claim + 1"):
        renewing = group.create_task(ledger.executor.renew([claim], 2 * LEASE))
        await ledger.someone_waits_in("%UPDATE task t SET lease_until%")

    assert renewing.result() == frozenset()
    assert await ledger.fetch("SELECT DISTINCT lease_until FROM task") == [{"lease_until": NOW + LEASE}]


async def test_a_settlement_waits_for_no_other_model(ledger: Ledgers):
    ours, others, _ = await claimed(ledger)

    async with ledger.holding(coverage_of(others)), asyncio.timeout(60):
        assert await ledger.executor.settle(stored([ours])) == {ours.task_id}


@pytest.mark.parametrize("kind", ["lost", "superseded"])
async def test_what_is_being_settled_is_neither_lost_nor_superseded_yet(ledger: Ledgers, kind: str):
    claims = await claimed(ledger)
    term = await lead(ledger)
    if kind == "superseded":
        await ledger.models.put_models([an_entry(name, revision="1001") for name in ("fan", "pump", "valve")])
    await ledger.set_clock(NOW + timedelta(seconds=31))

    async with asyncio.TaskGroup() as group, ledger.holding(task_row(claims[1])):
        settling = group.create_task(ledger.executor.settle(stored(claims)))
        await ledger.someone_waits_in(SETTLING)
        async with asyncio.timeout(60):
            recovered = await ledger.scheduler.recover(term, "queue", isolated_starts=3, version="test")

    assert recovered[kind] == 1
    assert settling.result() == ({claim.task_id for claim in claims[:2]} if kind == "lost" else frozenset())


async def test_holes_of_a_model_that_is_being_settled_expire_later(ledger: Ledgers):
    claims = await claimed(ledger)
    term = await lead(ledger)
    await ledger.set_clock(at("14:07"))
    catch_up = timedelta(hours=2, minutes=30)  # what is before 12:00 falls behind
    await ledger.fetch("UPDATE model SET since = since - interval '1 hour'")

    async with asyncio.TaskGroup() as group, ledger.holding(coverage_of(claims[1])):
        settling = group.create_task(ledger.executor.settle(stored(claims)))
        await ledger.someone_waits_in(SETTLING)
        async with asyncio.timeout(60):
            meanwhile = await ledger.scheduler.expire(term, catch_up)
    later = await ledger.scheduler.expire(term, catch_up)

    assert settling.result() == {claim.task_id for claim in claims}
    assert (list(meanwhile.values()), list(later.values())) == ([2], [2, 2])
