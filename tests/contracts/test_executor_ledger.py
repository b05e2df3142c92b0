"""The contract of the ledger for executors, PostgreSQL and in memory."""

from dataclasses import replace
from datetime import timedelta

import pytest

from latigo.domain.outcome import Retry, Settlement, Stored
from latigo.domain.receipt import Receipt
from latigo.ledger.protocol import Claim, ExecutorInfo, MismatchKind
from tests.support.build import NOW, a_spec, window
from tests.support.role_ledgers import LEASE, RoleLedgers, role_ledgers

__all__ = ["role_ledgers"]

PAUSE, LONGEST = timedelta(seconds=15), timedelta(minutes=1)
GORDO = "gordo/plant"
STORED = Stored.in_full(window("11:00", "12:00"))


async def claimed(ledgers: RoleLedgers, task_id: int, executor: str = "executor-1") -> Claim:
    claim = await ledgers.executor.claim(await ledgers.message(task_id), executor, LEASE)
    assert claim is not None
    return claim


async def test_an_executor_may_register_twice_send_heartbeats_and_leave(role_ledgers: RoleLedgers):
    executor = ExecutorInfo("executor-1", "test", 1, 1, concurrency=4)

    await role_ledgers.executor.register(executor)
    await role_ledgers.executor.register(executor)
    is_known = await role_ledgers.executor.heartbeat("executor-1", in_flight=1, limit=4, concurrency=8)
    await role_ledgers.executor.deregister("executor-1")
    is_known_afterwards = await role_ledgers.executor.heartbeat("executor-1", in_flight=1, limit=4, concurrency=8)
    await role_ledgers.executor.deregister("executor-1")

    assert (is_known, is_known_afterwards) == (True, False)


async def test_a_first_claim_has_no_history(role_ledgers: RoleLedgers):
    claim = await claimed(role_ledgers, await role_ledgers.add_task("pump"))

    assert (claim.attempts, claim.starts, claim.stored_in, claim.isolated) == (0, 0, frozenset(), False)


async def test_a_task_has_one_claim_at_a_time(role_ledgers: RoleLedgers):
    task_id = await role_ledgers.add_task("pump")
    await claimed(role_ledgers, task_id)

    assert await role_ledgers.executor.claim(await role_ledgers.message(task_id), "executor-2", LEASE) is None
    assert await role_ledgers.executor.claim(await role_ledgers.message(task_id), "executor-1", LEASE) is None


async def test_a_task_that_never_existed_cannot_be_claimed(role_ledgers: RoleLedgers):
    task_id = await role_ledgers.add_task("pump")

    assert await role_ledgers.executor.claim(await role_ledgers.message(task_id + 1), "executor-1", LEASE) is None


@pytest.mark.parametrize("epoch", [0, 2])
async def test_a_task_cannot_be_claimed_under_another_epoch_than_its_own(role_ledgers: RoleLedgers, epoch: int):
    task_id = await role_ledgers.add_task("pump")

    assert await role_ledgers.executor.claim(await role_ledgers.message(task_id, epoch), "executor-1", LEASE) is None
    await claimed(role_ledgers, task_id)


async def test_a_message_of_another_model_or_window_claims_nothing_and_is_a_mismatch(role_ledgers: RoleLedgers):
    task = await role_ledgers.message(await role_ledgers.add_task("pump"))
    other = replace(task, model=a_spec("fan")), replace(task, window=window("10:00", "11:00"))

    for message, is_first in zip(other, (True, False), strict=True):
        assert await role_ledgers.executor.claim(message, "executor-1", LEASE) is None
        mismatch = await role_ledgers.executor.examine(message)
        assert mismatch is not None
        assert (mismatch.kind, mismatch.is_first) == (MismatchKind.OTHER_TASK, is_first)

    await claimed(role_ledgers, task.id)


async def test_a_number_that_no_task_has_had_is_a_mismatch_and_that_of_a_task_never_is(role_ledgers: RoleLedgers):
    executor, task = role_ledgers.executor, await role_ledgers.message(await role_ledgers.add_task("pump"))

    beyond = await executor.examine(replace(task, id=task.id + 1))
    examined = [await executor.examine(task)]
    claim = await claimed(role_ledgers, task.id)
    examined.append(await executor.examine(task))
    await executor.settle([(claim, STORED)])
    examined.append(await executor.examine(task))

    assert beyond is not None
    assert (beyond.kind, beyond.is_first) == (MismatchKind.BEYOND_SEQUENCE, True)
    assert examined == [None, None, None]


@pytest.mark.parametrize("epoch", [1, 2])
async def test_a_task_cannot_be_claimed_once_the_epoch_of_its_model_has_risen(role_ledgers: RoleLedgers, epoch: int):
    pump, fan = [await role_ledgers.add_task(name) for name in ("pump", "fan")]

    await role_ledgers.supersede("pump")

    assert await role_ledgers.executor.claim(await role_ledgers.message(pump, epoch), "executor-1", LEASE) is None
    await claimed(role_ledgers, fan)


async def test_claims_of_a_batch_are_those_that_each_task_would_have_had_by_itself(role_ledgers: RoleLedgers):
    names = ("pump", "fan", "valve", "motor", "again", "other")
    pump, fan, valve, motor, again, other = [
        await role_ledgers.message(await role_ledgers.add_task(name)) for name in names
    ]
    fan_claim = await claimed(role_ledgers, fan.id)
    lost = await claimed(role_ledgers, again.id)
    await role_ledgers.supersede("valve")
    await role_ledgers.set_clock(NOW + LEASE / 2)
    assert await role_ledgers.executor.renew([fan_claim], LEASE) == {fan.id}
    await role_ledgers.set_clock(NOW + LEASE)
    beyond, foreign = replace(pump, id=other.id + 1), replace(other, window=window("10:00", "11:00"))

    batch = [beyond, again, foreign, fan, valve, replace(motor, epoch=2), pump, motor]
    claims = await role_ledgers.executor.claim_many(batch, "executor-2", LEASE)

    assert {place: claim.task_id for place, claim in claims.items()} == {1: again.id, 6: pump.id, 7: motor.id}
    assert [(claims[place].starts, claims[place].ref) for place in (1, 6, 7)] == [
        (1, again.ref),
        (0, pump.ref),
        (0, motor.ref),
    ]
    assert claims[1].number > lost.number
    assert await role_ledgers.executor.claim_many(batch, "executor-1", LEASE) == {}
    assert await role_ledgers.executor.settle([(claim, STORED) for claim in claims.values()]) == {
        again.id,
        pump.id,
        motor.id,
    }


async def test_a_task_that_is_twice_in_a_batch_has_one_claim(role_ledgers: RoleLedgers):
    task = await role_ledgers.message(await role_ledgers.add_task("pump"))

    assert len(await role_ledgers.executor.claim_many([task, task], "executor-1", LEASE)) == 1


async def test_a_batch_of_no_tasks_has_no_claims(role_ledgers: RoleLedgers):
    assert await role_ledgers.executor.claim_many([], "executor-1", LEASE) == {}


async def test_a_settlement_under_an_old_epoch_does_not_count(role_ledgers: RoleLedgers):
    pump, fan = [await claimed(role_ledgers, await role_ledgers.add_task(name)) for name in ("pump", "fan")]

    await role_ledgers.supersede("pump")

    assert await role_ledgers.executor.settle([(pump, STORED), (fan, STORED)]) == {fan.task_id}


async def test_a_claim_is_taken_over_when_its_lease_has_run_out_and_counts_for_nothing_then(role_ledgers: RoleLedgers):
    task_id = await role_ledgers.add_task("pump")
    first = await claimed(role_ledgers, task_id)
    await role_ledgers.set_clock(NOW + LEASE)

    second = await claimed(role_ledgers, task_id, "executor-2")

    assert (second.starts, second.isolated) == (1, True)
    assert second.number > first.number
    assert await role_ledgers.executor.renew([first, second], LEASE) == {task_id}
    assert not await role_ledgers.executor.start_isolated(first, LEASE)
    assert await role_ledgers.executor.settle([(first, STORED)]) == frozenset()
    await role_ledgers.executor.release([first])
    assert await role_ledgers.executor.settle([(second, STORED)]) == {task_id}


async def test_a_renewed_lease_is_counted_from_its_renewal(role_ledgers: RoleLedgers):
    task_id = await role_ledgers.add_task("pump")
    claim = await claimed(role_ledgers, task_id)

    await role_ledgers.set_clock(NOW + LEASE - timedelta(seconds=1))
    assert await role_ledgers.executor.renew([claim], LEASE) == {task_id}
    await role_ledgers.set_clock(NOW + LEASE)
    assert await role_ledgers.executor.claim(await role_ledgers.message(task_id), "executor-2", LEASE) is None
    await role_ledgers.set_clock(NOW + 2 * LEASE)
    await claimed(role_ledgers, task_id, "executor-2")


async def test_a_lease_is_renewed_with_no_other(role_ledgers: RoleLedgers):
    pump, fan = await role_ledgers.add_task("pump"), await role_ledgers.add_task("fan")
    ours, others = await claimed(role_ledgers, pump), await claimed(role_ledgers, fan)
    await role_ledgers.set_clock(NOW + LEASE / 2)

    assert await role_ledgers.executor.renew([ours], LEASE) == {pump}

    await role_ledgers.set_clock(NOW + LEASE)
    assert await role_ledgers.executor.claim(await role_ledgers.message(pump), "executor-2", LEASE) is None
    assert await role_ledgers.executor.claim(await role_ledgers.message(fan), "executor-2", LEASE) is not None
    assert await role_ledgers.executor.settle([(others, Stored.in_full(others.window))]) == frozenset()


async def test_an_expired_lease_can_be_renewed_while_no_other_executor_has_the_task(role_ledgers: RoleLedgers):
    claim = await claimed(role_ledgers, await role_ledgers.add_task("pump"))
    await role_ledgers.set_clock(NOW + 2 * LEASE)

    assert await role_ledgers.executor.renew([claim], LEASE) == {claim.task_id}
    assert await role_ledgers.executor.claim(await role_ledgers.message(claim.task_id), "executor-2", LEASE) is None


async def test_an_isolated_start_is_counted_and_renews_the_lease(role_ledgers: RoleLedgers):
    task_id = await role_ledgers.add_task("pump")
    await claimed(role_ledgers, task_id)
    await role_ledgers.set_clock(NOW + LEASE)
    second = await claimed(role_ledgers, task_id)
    await role_ledgers.set_clock(NOW + LEASE * 1.5)

    assert await role_ledgers.executor.start_isolated(second, LEASE)

    await role_ledgers.set_clock(NOW + 2 * LEASE)
    assert await role_ledgers.executor.claim(await role_ledgers.message(task_id), "executor-2", LEASE) is None
    await role_ledgers.set_clock(NOW + 3 * LEASE)
    assert (await claimed(role_ledgers, task_id, "executor-2")).starts == 2


async def test_a_released_task_can_be_claimed_at_once_as_if_it_had_not_been_started(role_ledgers: RoleLedgers):
    task_id = await role_ledgers.add_task("pump")
    first = await claimed(role_ledgers, task_id)

    await role_ledgers.executor.release([first])
    again = await claimed(role_ledgers, task_id, "executor-2")

    assert again.starts == 0
    assert await role_ledgers.executor.settle([(first, STORED)]) == frozenset()


async def test_a_release_keeps_the_starts_of_before(role_ledgers: RoleLedgers):
    task_id = await role_ledgers.add_task("pump")
    await claimed(role_ledgers, task_id)
    await role_ledgers.set_clock(NOW + LEASE)
    second = await claimed(role_ledgers, task_id)
    assert await role_ledgers.executor.start_isolated(second, LEASE)

    await role_ledgers.executor.release([second])

    assert (await claimed(role_ledgers, task_id)).starts == 1


async def test_a_settled_task_can_neither_be_claimed_nor_settled_again(role_ledgers: RoleLedgers):
    stored, failed = [
        await claimed(role_ledgers, task_id)
        for task_id in [await role_ledgers.add_task("pump"), await role_ledgers.add_task("fan")]
    ]
    batch: list[tuple[Claim, Settlement]] = [(stored, STORED), (failed, Retry("500"))]

    assert await role_ledgers.executor.settle(batch) == {stored.task_id, failed.task_id}
    assert await role_ledgers.executor.settle(batch) == frozenset()
    for claim in (stored, failed):
        assert await role_ledgers.executor.claim(await role_ledgers.message(claim.task_id), "executor-1", LEASE) is None
        assert await role_ledgers.executor.renew([claim], LEASE) == frozenset()


async def test_nothing_is_settled_released_or_renewed_of_an_empty_list(role_ledgers: RoleLedgers):
    assert await role_ledgers.executor.settle([]) == frozenset()
    assert await role_ledgers.executor.renew([], LEASE) == frozenset()
    await role_ledgers.executor.release([])


async def test_an_open_circuit_that_is_opened_again_takes_the_reason_and_keeps_its_pause(role_ledgers: RoleLedgers):
    await role_ledgers.executor.open_circuit(GORDO, "503", alarm=False, pause=PAUSE)
    await role_ledgers.set_clock(NOW + PAUSE)
    await role_ledgers.executor.open_circuit(GORDO, "401", alarm=True, pause=LONGEST)

    (circuit,) = await role_ledgers.executor.circuits()

    assert (circuit.downstream, circuit.reason, circuit.alarm) == (GORDO, "401", True)
    assert (circuit.opened_at, circuit.pause, circuit.probe_due) == (NOW, PAUSE, True)


async def test_the_pause_doubles_up_to_the_longest_while_probes_fail(role_ledgers: RoleLedgers):
    await role_ledgers.executor.open_circuit(GORDO, "503", alarm=False, pause=PAUSE)
    pauses = []
    for _ in range(3):
        await role_ledgers.executor.probe_failed(GORDO, "still 503", longest=LONGEST)
        (circuit,) = await role_ledgers.executor.circuits()
        pauses.append(circuit.pause)

    assert pauses == [2 * PAUSE, LONGEST, LONGEST]
    assert (circuit.reason, circuit.probe_due) == ("still 503", False)
    await role_ledgers.set_clock(NOW + LONGEST)
    (circuit,) = await role_ledgers.executor.circuits()
    assert circuit.probe_due


async def test_a_probe_is_taken_once_a_pause(role_ledgers: RoleLedgers):
    await role_ledgers.executor.open_circuit(GORDO, "503", alarm=False, pause=PAUSE)

    early = await role_ledgers.executor.take_probe(GORDO)
    await role_ledgers.set_clock(NOW + PAUSE)
    turns = [await role_ledgers.executor.take_probe(GORDO) for _ in range(2)]
    await role_ledgers.set_clock(NOW + 2 * PAUSE)

    assert (early, turns) == (False, [True, False])
    assert await role_ledgers.executor.take_probe(GORDO)


async def test_a_circuit_that_is_not_open_has_no_probe_and_is_not_closed(role_ledgers: RoleLedgers):
    await role_ledgers.executor.probe_failed(GORDO, "503", longest=LONGEST)

    assert not await role_ledgers.executor.take_probe(GORDO)
    assert not await role_ledgers.executor.close_circuit(GORDO)
    assert await role_ledgers.executor.circuits() == []


async def test_a_circuit_is_closed_once_and_the_others_stay_open_by_name(role_ledgers: RoleLedgers):
    for downstream in ("sink/postgres", GORDO, "sensors/influx"):
        await role_ledgers.executor.open_circuit(downstream, "503", alarm=False, pause=PAUSE)

    closed = [await role_ledgers.executor.close_circuit(GORDO) for _ in range(2)]

    assert closed == [True, False]
    assert [each.downstream for each in await role_ledgers.executor.circuits()] == ["sensors/influx", "sink/postgres"]


# --- before a write ---------------------------------------------------------------------------------------------------


async def test_a_claim_that_holds_may_write_and_holds_for_a_whole_lease_from_then_on(role_ledgers: RoleLedgers):
    task_id = await role_ledgers.add_task("pump")
    claim = await claimed(role_ledgers, task_id)
    await role_ledgers.set_clock(NOW + LEASE - timedelta(seconds=1))

    assert await role_ledgers.executor.begin_write(claim, LEASE)

    await role_ledgers.set_clock(NOW + LEASE)
    assert await role_ledgers.executor.claim(await role_ledgers.message(task_id), "executor-2", LEASE) is None
    assert await role_ledgers.executor.settle([(claim, STORED)]) == {task_id}


async def test_a_claim_that_was_overtaken_settled_or_handed_back_may_not_write(role_ledgers: RoleLedgers):
    overtaken = await claimed(role_ledgers, await role_ledgers.add_task("pump"))
    await role_ledgers.set_clock(NOW + LEASE)
    second = await claimed(role_ledgers, overtaken.task_id, "executor-2")
    settled = await claimed(role_ledgers, await role_ledgers.add_task("fan"))
    await role_ledgers.executor.settle([(settled, STORED)])
    released = await claimed(role_ledgers, await role_ledgers.add_task("valve"))
    assert await role_ledgers.executor.release([released, overtaken]) == {released.task_id}

    for claim in (overtaken, settled, released):
        assert not await role_ledgers.executor.begin_write(claim, LEASE)
    assert await role_ledgers.executor.begin_write(second, LEASE)


async def test_of_writes_that_begin_together_those_go_on_whose_claims_hold(role_ledgers: RoleLedgers):
    overtaken = await claimed(role_ledgers, await role_ledgers.add_task("pump"))
    kept = await claimed(role_ledgers, await role_ledgers.add_task("fan"))
    await role_ledgers.set_clock(NOW + LEASE - timedelta(seconds=1))
    assert await role_ledgers.executor.renew([kept], LEASE) == {kept.task_id}
    await role_ledgers.set_clock(NOW + LEASE)
    second = await claimed(role_ledgers, overtaken.task_id, "executor-2")

    begun = await role_ledgers.executor.begin_writes([overtaken, kept], LEASE)

    assert begun == {kept.task_id}
    assert await role_ledgers.executor.begin_writes([second], LEASE) == {second.task_id}
    assert await role_ledgers.executor.begin_writes([], LEASE) == frozenset()
    await role_ledgers.set_clock(NOW + LEASE * 2 - timedelta(seconds=1))
    assert await role_ledgers.executor.claim(await role_ledgers.message(kept.task_id), "executor-2", LEASE) is None


async def test_the_fences_of_claims_on_a_task_rise(role_ledgers: RoleLedgers):
    first = await claimed(role_ledgers, await role_ledgers.add_task("pump"))
    await role_ledgers.set_clock(NOW + LEASE)
    second = await claimed(role_ledgers, first.task_id, "executor-2")

    assert first.fence < second.fence
    assert first.fence[:3] == second.fence[:3] == (first.incarnation, 1, first.task_id)


async def test_a_repair_may_be_requested_whatever_became_of_the_task(role_ledgers: RoleLedgers):
    claim = await claimed(role_ledgers, await role_ledgers.add_task("pump"))

    await role_ledgers.executor.request_repair(claim)
    await role_ledgers.executor.settle([(claim, STORED)])
    await role_ledgers.executor.request_repair(claim)


async def test_a_receipt_changes_nothing_about_how_a_task_is_settled(role_ledgers: RoleLedgers):
    claims = [await claimed(role_ledgers, await role_ledgers.add_task(name)) for name in ("pump", "fan")]
    settlements: list[tuple[Claim, Settlement]] = [(claim, STORED) for claim in claims]

    counted = await role_ledgers.executor.settle(settlements, {claims[0]: Receipt(elapsed=5)})

    assert counted == {claim.task_id for claim in claims}
    assert await role_ledgers.executor.settle(settlements, {claims[0]: Receipt(elapsed=5)}) == frozenset()
