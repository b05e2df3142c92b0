"""The contract of the ledger for schedulers, PostgreSQL and in memory."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import LeaseLost, Need, Planned, SchedulerLedger, Term
from tests.support.build import NOW, a_spec, an_entry, window
from tests.support.role_ledgers import RoleLedgers, role_ledgers

__all__ = ["role_ledgers"]

LEASE, PAUSE, HOUR = timedelta(days=1), timedelta(seconds=15), timedelta(hours=1)
CATCH_UP = timedelta(days=30)
GORDO = "gordo/plant"
LIVE, BACK = window("11:00", "12:00"), window("10:00", "11:00")


async def lead(ledgers: RoleLedgers, holder: str = "scheduler-1", lease: timedelta = LEASE) -> Term:
    term = await ledgers.scheduler.acquire_lease(holder, lease)
    assert term is not None
    return term


async def needs(ledgers: RoleLedgers) -> dict[str, Need]:
    return {need.ref.name: need for need in await ledgers.scheduler.needs(CATCH_UP)}


async def planned(ledgers: RoleLedgers, name: str, lane: Lane = Lane.LIVE, *, probe: bool = False) -> Planned:
    need = (await needs(ledgers))[name]
    return Planned(need.model_id, need.epoch, need.windows[lane], lane, probe=probe)


async def plan(ledgers: RoleLedgers, name: str, lane: Lane = Lane.LIVE) -> int:
    """Plan what a model needs; the id of the task."""
    term = await lead(ledgers)
    before = {task.id for task in await ledgers.scheduler.unpublished(term, 100)}
    assert await ledgers.scheduler.plan(term, [await planned(ledgers, name, lane)]) == 1
    (new,) = {task.id for task in await ledgers.scheduler.unpublished(term, 100)} - before
    return new


async def waiting(ledgers: RoleLedgers, name: str, pause: timedelta, lane: Lane = Lane.LIVE) -> int:
    task_id = await plan(ledgers, name, lane)
    await ledgers.make_wait(task_id, pause)
    return task_id


async def unpublished(ledgers: RoleLedgers) -> list[int]:
    return [task.id for task in await ledgers.scheduler.unpublished(await lead(ledgers), 100)]


# --- the lease to plan ------------------------------------------------------------------------------------------------


async def test_the_lease_has_one_holder_until_it_runs_out_and_a_new_one_a_higher_term(role_ledgers: RoleLedgers):
    first = await lead(role_ledgers, "scheduler-1", PAUSE)
    again = await lead(role_ledgers, "scheduler-1", PAUSE)
    refused = await role_ledgers.scheduler.acquire_lease("scheduler-2", PAUSE)
    await role_ledgers.set_clock(NOW + PAUSE)
    second = await lead(role_ledgers, "scheduler-2", PAUSE)

    assert (first, refused) == (again, None)
    assert second.number > first.number


async def test_a_lease_that_its_holder_gave_back_is_free_at_once_and_is_another_term(role_ledgers: RoleLedgers):
    first = await lead(role_ledgers)
    await role_ledgers.scheduler.release_lease(first)

    second = await lead(role_ledgers, "scheduler-2")
    await role_ledgers.scheduler.release_lease(first)

    assert second.number > first.number
    assert await role_ledgers.scheduler.acquire_lease("scheduler-1", LEASE) is None


async def test_a_lease_that_ran_out_is_another_term_for_its_holder_too(role_ledgers: RoleLedgers):
    first = await lead(role_ledgers, "scheduler-1", PAUSE)
    await role_ledgers.set_clock(NOW + PAUSE)

    assert (await lead(role_ledgers, "scheduler-1")).number > first.number


async def test_a_lease_is_given_back_by_its_holder_in_its_term_only(role_ledgers: RoleLedgers):
    term = await lead(role_ledgers)

    await role_ledgers.scheduler.release_lease(Term("scheduler-2", term.number))
    await role_ledgers.scheduler.release_lease(Term(term.holder, term.number + 1))

    assert await role_ledgers.scheduler.acquire_lease("scheduler-2", LEASE) is None


PLANNING: dict[str, Callable[[SchedulerLedger, Term], Awaitable[object]]] = {
    "plan": lambda ledger, term: ledger.plan(term, []),
    "wake_waiting": lambda ledger, term: ledger.wake_waiting(term, blocked=[], most=1),
    "wake_probe": lambda ledger, term: ledger.wake_probe(term, "plant", []),
    "unpublished": lambda ledger, term: ledger.unpublished(term, 1),
    "mark_published": lambda ledger, term: ledger.mark_published(term, {}),
    "recover": lambda ledger, term: ledger.recover(term, "queue-1", isolated_starts=3, version="test"),
    "expire": lambda ledger, term: ledger.expire(term, CATCH_UP),
}


@pytest.mark.parametrize("method", PLANNING)
async def test_nothing_is_planned_without_the_lease(role_ledgers: RoleLedgers, method: str):
    term = await lead(role_ledgers, "scheduler-1", PAUSE)
    await PLANNING[method](role_ledgers.scheduler, term)

    for stranger in (Term("scheduler-2", term.number), Term(term.holder, term.number + 1)):
        with pytest.raises(LeaseLost):
            await PLANNING[method](role_ledgers.scheduler, stranger)
    await role_ledgers.set_clock(NOW + PAUSE)
    with pytest.raises(LeaseLost):
        await PLANNING[method](role_ledgers.scheduler, term)


async def test_the_difference_of_clocks_is_known(role_ledgers: RoleLedgers):
    assert await role_ledgers.scheduler.clock_skew(NOW - HOUR) == HOUR


# --- runs of backfill -------------------------------------------------------------------------------------------------


async def test_a_run_of_backfill_is_planned_in_one_call_and_kept_in_its_order(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    term, first = await lead(role_ledgers), await planned(role_ledgers, "pump", Lane.BACKFILL)
    run = [first, *(replace(first, window=Window(BACK.start - n * HOUR, BACK.end - n * HOUR)) for n in (1, 2))]

    assert await role_ledgers.scheduler.plan(term, run) == 3
    tasks = await role_ledgers.scheduler.unpublished(term, 100)

    assert [task.window for task in tasks] == [task.window for task in run]
    assert [task.id for task in tasks] == sorted(task.id for task in tasks)


async def test_a_run_that_is_out_is_not_continued_and_live_work_goes_on(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    term, first = await lead(role_ledgers), await planned(role_ledgers, "pump", Lane.BACKFILL)
    live = await planned(role_ledgers, "pump")
    older = replace(first, window=Window(BACK.start - HOUR, BACK.start))
    oldest = replace(first, window=Window(BACK.start - 2 * HOUR, BACK.start - HOUR))

    assert await role_ledgers.scheduler.plan(term, [first, older]) == 2
    assert await role_ledgers.scheduler.plan(term, [oldest]) == 0
    assert await role_ledgers.scheduler.plan(term, [live]) == 1


async def test_a_model_has_one_lane_out_besides_live(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    term, first = await lead(role_ledgers), await planned(role_ledgers, "pump", Lane.BACKFILL)
    repair = replace(first, window=Window(BACK.start - HOUR, BACK.start), lane=Lane.REPAIR)

    assert await role_ledgers.scheduler.plan(term, [first, repair]) == 1
    assert [task.lane for task in await role_ledgers.scheduler.unpublished(term, 100)] == [Lane.BACKFILL]


# --- needs and tasks --------------------------------------------------------------------------------------------------


async def test_what_is_out_is_not_needed_and_not_planned_twice(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    live, back = [await planned(role_ledgers, "pump", lane) for lane in (Lane.LIVE, Lane.BACKFILL)]
    term = await lead(role_ledgers)

    first = await role_ledgers.scheduler.plan(term, [live])
    need = (await needs(role_ledgers))["pump"]
    second = await role_ledgers.scheduler.plan(term, [live, back])

    assert (first, second) == (1, 1)
    assert need.windows == {Lane.BACKFILL: BACK}
    assert await needs(role_ledgers) == {}


async def test_a_need_of_an_older_epoch_is_not_planned(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    live = await planned(role_ledgers, "pump")
    outdated = Planned(live.model_id, live.epoch - 1, live.window, live.lane)

    assert await role_ledgers.scheduler.plan(await lead(role_ledgers), [outdated]) == 0
    assert (await needs(role_ledgers))["pump"].windows[Lane.LIVE] == LIVE


@pytest.mark.parametrize(("lane", "count"), [(Lane.LIVE, 0), (Lane.BACKFILL, 0), (Lane.REPAIR, 1), (Lane.MANUAL, 1)])
async def test_only_lanes_that_repeat_predictions_may_plan_a_window_that_is_covered(
    role_ledgers: RoleLedgers, lane: Lane, count: int
):
    await role_ledgers.add_need("pump")
    need = (await needs(role_ledgers))["pump"]
    await role_ledgers.cover("pump", window("11:00", "11:30"))
    term = await lead(role_ledgers)

    assert await role_ledgers.scheduler.plan(term, [Planned(need.model_id, need.epoch, LIVE, lane)]) == count
    assert [task.lane for task in await role_ledgers.scheduler.unpublished(term, 9)] == [lane] * count


@pytest.mark.parametrize("lane", [Lane.REPAIR, Lane.MANUAL])
async def test_a_window_to_be_repeated_is_not_planned_while_a_part_of_it_is_out_nor_under_an_old_epoch(
    role_ledgers: RoleLedgers, lane: Lane
):
    await role_ledgers.add_need("pump")
    live = await planned(role_ledgers, "pump")
    term = await lead(role_ledgers)
    assert await role_ledgers.scheduler.plan(term, [live]) == 1

    overlapping = Planned(live.model_id, live.epoch, window("11:30", "12:00"), lane)
    outdated = Planned(live.model_id, live.epoch - 1, BACK, lane)

    assert await role_ledgers.scheduler.plan(term, [overlapping, outdated]) == 0


async def test_a_window_is_out_once_whatever_its_lane(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    back = await planned(role_ledgers, "pump", Lane.BACKFILL)
    term = await lead(role_ledgers)
    assert await role_ledgers.scheduler.plan(term, [back]) == 1

    assert await role_ledgers.scheduler.plan(term, [Planned(back.model_id, back.epoch, BACK, Lane.LIVE)]) == 0


async def test_a_model_has_one_task_out_in_all_lanes_but_live(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    live, back = [await planned(role_ledgers, "pump", lane) for lane in (Lane.LIVE, Lane.BACKFILL)]
    repair = Planned(back.model_id, back.epoch, window("08:00", "09:00"), Lane.REPAIR)
    term = await lead(role_ledgers)

    first = await role_ledgers.scheduler.plan(term, [repair])

    assert (first, await role_ledgers.scheduler.plan(term, [back, live])) == (1, 1)


async def test_a_task_of_an_older_epoch_is_not_published_and_dropped(role_ledgers: RoleLedgers):
    for name in ("fan", "pump"):
        await role_ledgers.add_need(name)
    fan, _ = [await plan(role_ledgers, name) for name in ("fan", "pump")]
    await role_ledgers.supersede("pump")

    published = await unpublished(role_ledgers)
    recovered = await role_ledgers.scheduler.recover(
        await lead(role_ledgers), "queue-1", isolated_starts=3, version="test"
    )

    assert published == [fan]
    assert recovered == {"superseded": 1, "lost": 0, "parked": 0}
    assert (await role_ledgers.scheduler.outstanding()).total == 1


async def test_a_planned_task_has_all_that_an_executor_needs(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump", project="elsewhere")
    await plan(role_ledgers, "pump", Lane.BACKFILL)

    (task,) = await role_ledgers.scheduler.unpublished(await lead(role_ledgers), 10)

    assert (str(task.ref), task.epoch, task.window, task.lane) == ("elsewhere/pump", 1, BACK, Lane.BACKFILL)
    assert (task.slot_seconds, task.probe, task.model) == (1800, False, an_entry("pump", project="elsewhere").spec)


async def test_live_tasks_are_published_first_and_no_more_than_asked_for(role_ledgers: RoleLedgers):
    for name in ("fan", "pump"):
        await role_ledgers.add_need(name)
    back = [await plan(role_ledgers, name, Lane.BACKFILL) for name in ("fan", "pump")]
    live = [await plan(role_ledgers, name) for name in ("fan", "pump")]

    assert await unpublished(role_ledgers) == [*live, *back]
    few = await role_ledgers.scheduler.unpublished(await lead(role_ledgers), 3)
    assert [task.id for task in few] == [*live, back[0]]


async def test_a_marked_task_is_not_published_again_unless_its_queue_is_gone(role_ledgers: RoleLedgers):
    for name in ("fan", "pump"):
        await role_ledgers.add_need(name)
    fan, pump = [await plan(role_ledgers, name) for name in ("fan", "pump")]
    term = await lead(role_ledgers)

    await role_ledgers.scheduler.mark_published(term, {pump: "queue-1#3"})
    marked = await unpublished(role_ledgers)
    same = await role_ledgers.scheduler.recover(term, "queue-1", isolated_starts=3, version="test")
    other = await role_ledgers.scheduler.recover(term, "queue-2", isolated_starts=3, version="test")

    assert marked == [fan]
    assert (same, other) == ({"superseded": 0, "lost": 0, "parked": 0}, {"superseded": 0, "lost": 1, "parked": 0})
    assert await unpublished(role_ledgers) == [fan, pump]


async def test_a_marked_task_is_published_again_when_its_queue_holds_it_no_more(role_ledgers: RoleLedgers):
    for name in ("fan", "pump", "valve"):
        await role_ledgers.add_need(name)
    fan, pump, valve = [await plan(role_ledgers, name) for name in ("fan", "pump", "valve")]
    term = await lead(role_ledgers)
    await role_ledgers.scheduler.mark_published(term, {pump: "queue-1", valve: "queue-1"})

    async def lost(held: Collection[int] | None) -> int:
        recovered = await role_ledgers.scheduler.recover(term, "queue-1", held=held, isolated_starts=3, version="test")
        return recovered["lost"]

    assert [await lost(None), await lost([valve, pump, 99])] == [0, 0]
    assert [await lost([valve]), await lost([valve])] == [1, 0]
    assert await unpublished(role_ledgers) == [fan, pump]
    assert await lost([]) == 1


async def test_a_task_that_is_unknown_or_waits_is_not_marked(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    task_id = await waiting(role_ledgers, "pump", HOUR)

    await role_ledgers.scheduler.mark_published(await lead(role_ledgers), {task_id: "queue-1", task_id + 99: "queue-1"})

    assert (await role_ledgers.scheduler.outstanding()).waiting == 1


async def test_what_is_out_is_counted(role_ledgers: RoleLedgers):
    for name in ("fan", "pump", "valve"):
        await role_ledgers.add_need(name)
    await plan(role_ledgers, "fan")
    await plan(role_ledgers, "fan", Lane.BACKFILL)
    marked = await plan(role_ledgers, "pump")
    await waiting(role_ledgers, "valve", HOUR)
    await role_ledgers.scheduler.mark_published(await lead(role_ledgers), {marked: "queue-1"})

    out = await role_ledgers.scheduler.outstanding()

    assert {lane: out.lanes.get(lane, 0) for lane in Lane} == {**dict.fromkeys(Lane, 0), Lane.LIVE: 2, Lane.BACKFILL: 1}
    assert (out.total, out.background, out.waiting, out.unpublished) == (3, 1, 1, 2)
    assert (out.stale_metadata, out.readable, out.settled) == (False, None, 0)


# --- tasks that wait, and probes --------------------------------------------------------------------------------------


async def woken(ledgers: RoleLedgers, *, blocked: Sequence[str] = (), most: int = 100) -> int:
    return await ledgers.scheduler.wake_waiting(await lead(ledgers), blocked=blocked, most=most)


async def test_a_task_waits_until_its_pause_is_over(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    task_id = await waiting(role_ledgers, "pump", HOUR)

    early = await woken(role_ledgers)
    await role_ledgers.set_clock(NOW + HOUR)

    assert (early, await woken(role_ledgers)) == (0, 1)
    assert await unpublished(role_ledgers) == [task_id]


async def test_no_more_tasks_are_woken_than_asked_for_and_none_of_a_blocked_project(role_ledgers: RoleLedgers):
    for name, project in [("fan", "plant"), ("pump", "plant"), ("valve", "elsewhere")]:
        await role_ledgers.add_need(name, project)
    fan, pump, valve = [await waiting(role_ledgers, name, HOUR) for name in ("fan", "pump", "valve")]
    await role_ledgers.set_clock(NOW + HOUR)

    assert await woken(role_ledgers, blocked=["plant"]) == 1
    assert await unpublished(role_ledgers) == [valve]
    assert await woken(role_ledgers, most=1) == 1
    assert await woken(role_ledgers) == 1
    assert sorted(await unpublished(role_ledgers)) == sorted([fan, pump, valve])


async def test_none_of_a_blocked_model_is_woken(role_ledgers: RoleLedgers):
    for name in ("fan", "pump"):
        await role_ledgers.add_need(name)
    blocked = (await needs(role_ledgers))["fan"].model_id
    fan, pump = [await waiting(role_ledgers, name, HOUR) for name in ("fan", "pump")]
    await role_ledgers.set_clock(NOW + HOUR)

    some = await role_ledgers.scheduler.wake_waiting(
        await lead(role_ledgers), blocked=[], blocked_models=[blocked], most=9
    )

    assert (some, await unpublished(role_ledgers)) == (1, [pump])
    assert await woken(role_ledgers) == 1
    assert sorted(await unpublished(role_ledgers)) == sorted([fan, pump])


async def test_a_probe_is_chosen_from_the_models_that_need_what_is_probed(role_ledgers: RoleLedgers):
    for name in ("fan", "pump"):
        await role_ledgers.add_need(name)
    pump = (await needs(role_ledgers))["pump"].model_id
    _, second = [await waiting(role_ledgers, name, HOUR) for name in ("fan", "pump")]
    await role_ledgers.open_circuit("sensors/influx", PAUSE)
    await role_ledgers.set_clock(NOW + HOUR)
    term = await lead(role_ledgers)

    none = await role_ledgers.scheduler.wake_probe(term, "plant", ["sensors/influx"], models=[])
    probed = await role_ledgers.scheduler.wake_probe(term, "plant", ["sensors/influx"], models=[pump])

    assert (none, probed) == (False, True)
    assert await unpublished(role_ledgers) == [second]
    assert await role_ledgers.scheduler.probing() == {pump: "plant"}


async def test_the_tags_of_models_are_all_that_they_read_and_those_that_are_known_are_not_read_again(
    role_ledgers: RoleLedgers,
):
    for name in ("fan", "pump"):
        await role_ledgers.add_need(name)
    known = {model.model_id: model.epoch for model in await role_ledgers.scheduler.changed_tags({})}
    again = await role_ledgers.scheduler.changed_tags(known)

    await role_ledgers.supersede("fan")
    (changed,) = await role_ledgers.scheduler.changed_tags(known)

    fan = (await needs(role_ledgers))["fan"]
    assert (len(known), list(again)) == (2, [])
    assert (changed.model_id, changed.epoch, changed.project) == (fan.model_id, fan.epoch, "plant")
    assert set(changed.tags) == set(a_spec("fan").dataset.tags)


async def test_a_task_that_waits_is_not_needed_either(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    await waiting(role_ledgers, "pump", HOUR)

    assert Lane.LIVE not in (await needs(role_ledgers))["pump"].windows


async def test_one_waiting_task_of_a_blocked_project_becomes_the_probe(role_ledgers: RoleLedgers):
    for name, project in [("fan", "plant"), ("pump", "plant")]:
        await role_ledgers.add_need(name, project)
    fan, _ = await waiting(role_ledgers, "fan", HOUR), await waiting(role_ledgers, "pump", 2 * HOUR)
    await role_ledgers.open_circuit(GORDO, PAUSE)
    term = await lead(role_ledgers)

    early = await role_ledgers.scheduler.wake_probe(term, "plant", [GORDO])
    await role_ledgers.set_clock(NOW + HOUR)
    elsewhere = await role_ledgers.scheduler.wake_probe(term, "elsewhere", [GORDO])
    (due,) = await role_ledgers.scheduler.circuits()
    probed = await role_ledgers.scheduler.wake_probe(term, "plant", [GORDO])
    (sent,) = await role_ledgers.scheduler.circuits()

    assert (early, elsewhere, probed) == (False, False, True)
    assert (due.probe_due, sent.probe_due) == (True, False)
    assert [(task.id, task.probe) for task in await role_ledgers.scheduler.unpublished(term, 9)] == [(fan, True)]
    assert set((await role_ledgers.scheduler.probing()).values()) == {"plant"}


async def test_a_probe_that_is_planned_takes_the_turn_and_one_that_is_not_leaves_it(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    await role_ledgers.open_circuit(GORDO, PAUSE)
    await role_ledgers.set_clock(NOW + PAUSE)
    term, probe = await lead(role_ledgers), await planned(role_ledgers, "pump", probe=True)

    async def due() -> bool:
        (circuit,) = await role_ledgers.scheduler.circuits()
        return circuit.probe_due

    first = (await role_ledgers.scheduler.plan(term, [probe], probes=[GORDO, "sink/none"]), await due())
    await role_ledgers.set_clock(NOW + 2 * PAUSE)
    second = (await role_ledgers.scheduler.plan(term, [probe], probes=[GORDO]), await due())

    assert (first, second) == ((1, False), (0, True))
    assert set((await role_ledgers.scheduler.probing()).values()) == {"plant"}


async def test_a_project_without_a_probe_is_not_probing(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    await plan(role_ledgers, "pump")

    assert not await role_ledgers.scheduler.probing()


async def test_a_probe_that_waits_is_no_probe_any_more(role_ledgers: RoleLedgers):
    await role_ledgers.add_need("pump")
    await role_ledgers.open_circuit(GORDO, PAUSE)
    term, probe = await lead(role_ledgers), await planned(role_ledgers, "pump", probe=True)
    await role_ledgers.scheduler.plan(term, [probe], probes=[GORDO])
    ((task_id, was_probe),) = [(task.id, task.probe) for task in await role_ledgers.scheduler.unpublished(term, 9)]

    await role_ledgers.make_wait(task_id, HOUR)
    probing = await role_ledgers.scheduler.probing()
    await role_ledgers.set_clock(NOW + HOUR)
    await woken(role_ledgers)

    assert (was_probe, probing) == (True, {})
    assert [(t.id, t.probe) for t in await role_ledgers.scheduler.unpublished(term, 9)] == [(task_id, False)]


async def test_upkeep_of_a_new_ledger_finds_nothing(role_ledgers: RoleLedgers):
    await role_ledgers.scheduler.maintain(history=CATCH_UP)

    assert await role_ledgers.scheduler.forgive_crashes("test") == 0
    assert await role_ledgers.scheduler.expire(await lead(role_ledgers), CATCH_UP) == {}
