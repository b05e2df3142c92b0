"""What the ledger on PostgreSQL promises of probes, to schedulers and executors together."""

from datetime import timedelta

import pytest

from latigo.domain.errors import Reason
from latigo.domain.outcome import Deferred, Rejected, Retry
from latigo.domain.task import Lane
from latigo.ledger.protocol import LeaseLost, Planned, Term
from tests.support.build import NOW, an_entry, window
from tests.support.ledgers import Ledgers

PAUSE, LEASE = timedelta(seconds=15), timedelta(seconds=30)
CATCH_UP = timedelta(days=30)
GORDO = "gordo/plant"


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """Three models, and an open circuit of which a probe is due."""
    await ledgers.set_clock(NOW - PAUSE)
    await ledgers.models.put_models([an_entry("fan"), an_entry("pump"), an_entry("valve", project="elsewhere")])
    await ledgers.executor.open_circuit(GORDO, "503", alarm=False, pause=PAUSE)
    await ledgers.set_clock(NOW)
    return ledgers


async def lead(ledger: Ledgers) -> Term:
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    assert term is not None
    return term


async def plan(ledger: Ledgers, name: str, *, probe: bool = False) -> int:
    """Plan what a model needs; how many tasks that made."""
    needs = {need.ref.name: need for need in await ledger.scheduler.needs(CATCH_UP)}
    need = needs[name]
    planned = Planned(need.model_id, need.epoch, need.windows[Lane.LIVE], Lane.LIVE, probe=probe)
    return await ledger.scheduler.plan(await lead(ledger), [planned], probes=[GORDO] if probe else [])


async def make_wait(ledger: Ledgers, name: str, pause: timedelta) -> int:
    """A task of the model that waits for another attempt; its id."""
    await plan(ledger, name)
    tasks = await ledger.scheduler.unpublished(await lead(ledger), 100)
    (task_id,) = [task.id for task in tasks if task.ref.name == name]
    claim = await ledger.claim(task_id, 1, "executor-1", LEASE)
    assert claim is not None
    await ledger.executor.settle([(claim, Retry(detail="500", retry_after=pause))])
    return task_id


async def is_due(ledger: Ledgers) -> bool:
    (circuit,) = await ledger.scheduler.circuits()
    return circuit.probe_due


async def test_a_planned_probe_ends_the_turn_until_the_pause_is_over_again(ledger: Ledgers):
    before = await is_due(ledger)
    await plan(ledger, "pump", probe=True)

    assert (before, await is_due(ledger)) == (True, False)
    assert set((await ledger.scheduler.probing()).values()) == {"plant"}
    await ledger.set_clock(NOW + PAUSE)
    assert await is_due(ledger)


async def test_a_probe_that_was_overtaken_by_events_does_not_cost_the_turn(ledger: Ledgers):
    (need,) = [need for need in await ledger.scheduler.needs(CATCH_UP) if need.ref.name == "pump"]
    await plan(ledger, "pump")

    again = Planned(need.model_id, need.epoch, need.windows[Lane.LIVE], Lane.LIVE, probe=True)

    assert await ledger.scheduler.plan(await lead(ledger), [again], probes=[GORDO]) == 0
    assert await is_due(ledger)


async def test_a_task_that_waited_long_enough_can_be_the_probe(ledger: Ledgers):
    task_id = await make_wait(ledger, "pump", timedelta(hours=2))
    term = await lead(ledger)

    early = await ledger.scheduler.wake_probe(term, "plant", [GORDO])
    due_early = await is_due(ledger)
    await ledger.set_clock(NOW + timedelta(hours=2))
    elsewhere = await ledger.scheduler.wake_probe(term, "elsewhere", [GORDO])
    woken = await ledger.scheduler.wake_probe(term, "plant", [GORDO])

    assert (early, due_early, elsewhere, woken) == (False, True, False, True)
    assert not await is_due(ledger)
    assert [(task.id, task.probe) for task in await ledger.scheduler.unpublished(term, 10)] == [(task_id, True)]


async def test_only_one_of_the_waiting_tasks_is_woken(ledger: Ledgers):
    first = await make_wait(ledger, "pump", timedelta(hours=1))
    second = await make_wait(ledger, "fan", timedelta(hours=2))
    term = await lead(ledger)
    await ledger.set_clock(NOW + timedelta(hours=3))

    await ledger.scheduler.wake_probe(term, "plant", [GORDO])

    rows = await ledger.fetch("SELECT id, state, probe FROM task ORDER BY id")
    assert rows == [
        {"id": first, "state": "planned", "probe": True},
        {"id": second, "state": "waiting", "probe": False},
    ]


async def test_of_the_waiting_tasks_live_ones_are_woken_first_then_those_that_have_waited_longest(ledger: Ledgers):
    await ledger.models.put_models([an_entry(f"model-{n}") for n in range(6)])
    await ledger.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, not_before)"
        " SELECT id, epoch, tstzrange($1, $2), CASE WHEN n < 3 THEN 'backfill' ELSE 'live' END, 'waiting',"
        " ledger_now(), ledger_now() - n % 3 * interval '1 minute'"
        " FROM (SELECT m.*, right(m.name, 1)::integer AS n FROM model m WHERE m.name LIKE 'model-%' ORDER BY name) m",
        *(window("08:00", "09:00").start, window("08:00", "09:00").end),
    )

    woken: list[str] = []
    for _ in range(6):
        before = {*woken}
        assert await ledger.scheduler.wake_waiting(await lead(ledger), blocked=[], most=1) == 1
        tasks = await ledger.scheduler.unpublished(await lead(ledger), 10)
        woken += [task.ref.name for task in tasks if task.ref.name not in before]

    assert woken == [f"model-{n}" for n in (5, 4, 3, 2, 1, 0)]


async def test_a_probe_that_waits_again_is_no_probe_any_more(ledger: Ledgers):
    task_id = await make_wait(ledger, "pump", timedelta(hours=2))
    await ledger.set_clock(NOW + timedelta(hours=2))
    await ledger.scheduler.wake_probe(await lead(ledger), "plant", [GORDO])
    claim = await ledger.claim(task_id, 1, "executor-1", LEASE)
    assert claim is not None

    await ledger.executor.settle([(claim, Retry(detail="500"))])

    assert not await ledger.scheduler.probing()
    assert await ledger.fetch("SELECT state, probe FROM task") == [{"state": "waiting", "probe": False}]


async def test_a_task_whose_lane_is_taken_is_not_woken(ledger: Ledgers):
    await make_wait(ledger, "pump", timedelta(minutes=40))
    await ledger.set_clock(NOW + timedelta(hours=1))
    await plan(ledger, "pump")

    assert not await ledger.scheduler.wake_probe(await lead(ledger), "plant", [GORDO])


@pytest.mark.parametrize("statement", ["paused = true", "state = 'disabled'"])
async def test_no_task_of_a_model_that_is_not_predicted_is_woken(ledger: Ledgers, statement: str):
    await make_wait(ledger, "pump", timedelta(minutes=40))
    await ledger.fetch(f"UPDATE model SET {statement} WHERE name = 'pump'")
    await ledger.set_clock(NOW + timedelta(hours=1))

    assert not await ledger.scheduler.wake_probe(await lead(ledger), "plant", [GORDO])
    assert await ledger.scheduler.wake_waiting(await lead(ledger), blocked=[], most=10) == 0


@pytest.mark.parametrize(("lane", "woken"), [(Lane.LIVE, 0), (Lane.BACKFILL, 1)])
async def test_a_task_waits_on_while_another_is_out_in_its_lane_and_for_no_other(
    ledger: Ledgers, lane: Lane, woken: int
):
    await make_wait(ledger, "pump", timedelta(minutes=40))
    (pump,) = await ledger.fetch("SELECT id FROM model WHERE name = 'pump'")
    other = Planned(int(str(pump["id"])), 1, window("09:00", "10:00"), lane)
    assert await ledger.scheduler.plan(await lead(ledger), [other]) == 1
    await ledger.set_clock(NOW + timedelta(hours=1))

    assert await ledger.scheduler.wake_waiting(await lead(ledger), blocked=[], most=10) == woken


@pytest.mark.parametrize(("name", "lane"), [("fan", Lane.LIVE), ("pump", Lane.BACKFILL)])
async def test_a_task_is_the_probe_whatever_is_out_of_other_models_and_lanes(ledger: Ledgers, name: str, lane: Lane):
    needs = {need.ref.name: need for need in await ledger.scheduler.needs(CATCH_UP)}
    await make_wait(ledger, "pump", timedelta(minutes=40))
    other = Planned(needs[name].model_id, 1, window("09:00", "10:00"), lane)
    assert await ledger.scheduler.plan(await lead(ledger), [other]) == 1
    await ledger.set_clock(NOW + timedelta(hours=1))

    assert await ledger.scheduler.wake_probe(await lead(ledger), "plant", [GORDO])


async def test_a_probe_takes_the_turn_of_its_own_downstreams_only(ledger: Ledgers):
    async def due() -> set[str]:
        return {circuit.downstream for circuit in await ledger.scheduler.circuits() if circuit.probe_due}

    for name in ("sink/other", "sink/postgres"):
        await ledger.set_clock(NOW - PAUSE)
        await ledger.executor.open_circuit(name, "503", alarm=False, pause=PAUSE)
    await ledger.set_clock(NOW)

    await plan(ledger, "pump", probe=True)
    assert await due() == {"sink/other", "sink/postgres"}
    assert await ledger.executor.take_probe("sink/postgres")
    assert await due() == {"sink/other"}
    await ledger.executor.probe_failed("sink/postgres", "still 503", longest=timedelta(hours=1))
    assert {circuit.downstream: circuit.reason for circuit in await ledger.scheduler.circuits()} == {
        GORDO: "503",
        "sink/other": "503",
        "sink/postgres": "still 503",
    }


async def test_a_scheduler_that_does_not_plan_wakes_nothing(ledger: Ledgers):
    term = await lead(ledger)

    with pytest.raises(LeaseLost):
        await ledger.scheduler.wake_probe(Term("someone else", term.number), "plant", [GORDO])


async def test_an_executor_may_probe_once_a_pause(ledger: Ledgers):
    turns = [await ledger.executor.take_probe(GORDO) for _ in range(2)]
    unknown = await ledger.executor.take_probe("sink/elsewhere")
    await ledger.set_clock(NOW + PAUSE)
    later = await ledger.executor.take_probe(GORDO)

    assert (turns, unknown, later) == ([True, False], False, True)


async def test_a_rejected_probe_leaves_the_circuit_as_it_is(ledger: Ledgers):
    """Only the calls themselves open and close circuits."""
    await plan(ledger, "pump", probe=True)
    (task,) = await ledger.scheduler.unpublished(await lead(ledger), 10)
    claim = await ledger.claim(task.id, 1, "executor-1", LEASE)
    assert claim is not None

    await ledger.executor.settle([(claim, Rejected(reason=Reason.VALUES_REFUSED, detail="no"))])

    assert [circuit.downstream for circuit in await ledger.scheduler.circuits()] == [GORDO]
    assert task.window == window("10:00", "12:00")


async def test_what_was_deferred_goes_out_as_soon_as_the_circuit_closes_that_it_waits_for(ledger: Ledgers):
    async def wanted() -> set[str]:
        return {need.ref.name for need in await ledger.scheduler.needs(CATCH_UP)}

    for name, downstream in [("fan", GORDO), ("pump", ""), ("valve", "gordo/elsewhere")]:
        await plan(ledger, name)
        (task,) = await ledger.scheduler.unpublished(await lead(ledger), 100)
        claim = await ledger.claim(task.id, 1, "executor-1", LEASE)
        assert claim is not None
        deferred = Deferred(downstream=downstream, retry_after=timedelta(hours=1))
        await ledger.executor.settle([(claim, deferred)])

    held = await wanted()
    await ledger.executor.close_circuit(GORDO)

    assert held == set()
    assert await wanted() == {"fan"}
    await ledger.set_clock(NOW + timedelta(hours=1, seconds=1))
    assert await wanted() == {"fan", "pump", "valve"}
    assert await ledger.executor.close_circuit(GORDO) is False
