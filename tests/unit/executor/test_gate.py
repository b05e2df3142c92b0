"""Who starts next."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latigo.domain.lane_share import LaneShare
from latigo.domain.task import Lane, Task
from latigo.executor.gate import ROOM, Gate
from latigo.runtime.in_progress import InProgress
from tests.support.build import a_spec, a_task, lane_share
from tests.support.examples import examples


@dataclass(eq=False)
class Held:
    """A delivery that remembers whether it is done."""

    task: Task
    is_done: bool = field(default=False)

    async def done(self) -> None:
        self.is_done = True


def a_delivery(number: int = 1, project: str = "plant", lane: Lane = Lane.LIVE) -> Held:
    return Held(a_task(a_spec(f"model-{number}", project=project), id=number, lane=lane))


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def is_stuck(task: "asyncio.Task[object]") -> bool:
    await turns()
    return not task.done()


async def started(gate: Gate, count: int) -> list[Task]:
    async with asyncio.timeout(60):
        return [(await gate.next()).task for _ in range(count)]


async def fill(gate: Gate, *deliveries: Held) -> None:
    async with asyncio.timeout(60):
        for delivery in deliveries:
            await gate.offer(delivery)


async def test_deliveries_are_counted_from_their_offer_until_they_have_ended():
    tasks = InProgress()
    ended: list[int] = []
    tasks.on_end(lambda: ended.append(tasks.count))
    gate = Gate(1, lane_share(), tasks)
    deliveries = [a_delivery(number) for number in range(ROOM)]
    await fill(gate, *deliveries)
    late = asyncio.create_task(gate.offer(a_delivery(ROOM)))
    assert await is_stuck(late)
    assert tasks.count == ROOM + 1

    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    await started(gate, 1)
    await gate.ended(deliveries[0])

    assert ended == [ROOM]  # that whose wait was cancelled is there all the same


async def test_no_more_run_than_the_concurrency_and_an_end_lets_the_next_one_start():
    gate = Gate(2, lane_share())
    deliveries = [a_delivery(number) for number in (1, 2, 3)]
    await fill(gate, *deliveries)

    first = [task.id for task in await started(gate, 2)]
    third = asyncio.create_task(gate.next())
    assert await is_stuck(third)
    await gate.ended(deliveries[0])

    assert (first, (await third).task.id) == ([1, 2], 3)
    assert (gate.running, gate.waiting) == (2, 0)


async def test_the_waiting_room_is_bounded():
    gate = Gate(2, lane_share())
    await fill(gate, *(a_delivery(number) for number in range(ROOM * 2)))

    offered = asyncio.create_task(gate.offer(a_delivery(99)))
    assert await is_stuck(offered)
    await gate.next()

    assert not await is_stuck(offered)
    assert gate.waiting == ROOM * 2


async def test_live_goes_first_yet_backfill_has_its_share():
    gate = Gate(100, LaneShare(0.1))
    back = [a_delivery(number, lane=Lane.BACKFILL) for number in range(100, 110)]
    await fill(gate, *back, *(a_delivery(number) for number in range(60)))

    lanes = [task.lane for task in await started(gate, 40)]

    assert [place for place, lane in enumerate(lanes, 1) if lane is Lane.BACKFILL] == [10, 20, 30, 40]


@pytest.mark.parametrize("lane", [Lane.BACKFILL, Lane.REPAIR, Lane.MANUAL])
async def test_all_other_lanes_count_as_backfill(lane: Lane):
    gate = Gate(4, LaneShare(0.05))
    await fill(gate, a_delivery(1, lane=lane), a_delivery(2))

    assert [task.id for task in await started(gate, 2)] == [2, 1]


async def test_the_lanes_that_count_as_backfill_take_turns():
    gate = Gate(100, LaneShare(0.5))
    lanes = [Lane.BACKFILL] * 6 + [Lane.REPAIR] * 6 + [Lane.MANUAL] * 2 + [Lane.LIVE] * 20
    await fill(gate, *(a_delivery(number, lane=lane) for number, lane in enumerate(lanes)))

    order = [task.lane for task in await started(gate, 20)]

    assert order[::2] == [Lane.LIVE] * 10
    turn = [Lane.BACKFILL, Lane.REPAIR, Lane.MANUAL]
    assert order[1::2] == [*turn, *turn, Lane.BACKFILL, Lane.REPAIR, Lane.BACKFILL, Lane.REPAIR]


async def test_a_lane_in_which_nothing_may_start_neither_loses_nor_yields_a_turn_to_live():
    gate = Gate(100, LaneShare(0.5))
    await fill(
        gate, a_delivery(1, lane=Lane.BACKFILL), a_delivery(1, lane=Lane.REPAIR), a_delivery(2, lane=Lane.MANUAL)
    )
    order = [(task.ref.name, task.lane) for task in await started(gate, 2)]
    stuck = asyncio.create_task(gate.next())

    assert order == [("model-1", Lane.BACKFILL), ("model-2", Lane.MANUAL)]  # no model runs twice at once
    assert await is_stuck(stuck)


async def test_no_project_holds_more_than_half_while_others_wait():
    gate = Gate(8, lane_share())
    await fill(gate, *(a_delivery(n, "big") for n in range(10)), *(a_delivery(n, "small") for n in range(10, 16)))

    projects = Counter(task.ref.project for task in await started(gate, 8))

    assert projects == {"big": 4, "small": 4}


async def test_a_project_has_all_starts_while_no_other_wants_them():
    gate = Gate(8, lane_share())
    await fill(gate, *(a_delivery(n, "big") for n in range(10)))

    assert len(await started(gate, 8)) == 8


async def test_a_start_is_rather_left_free_than_given_to_the_project_that_has_half():
    gate = Gate(4, lane_share())
    big = [a_delivery(n, "big") for n in range(6)]
    await fill(gate, *big)
    await started(gate, 4)
    await fill(gate, a_delivery(10, "small"), a_delivery(11, "small"))

    await gate.ended(big[0])
    await gate.ended(big[1])

    assert [task.ref.project for task in await started(gate, 2)] == ["small", "small"]


async def test_backfill_of_another_project_counts_as_waiting():
    gate = Gate(4, LaneShare(0.0))
    await fill(gate, *(a_delivery(n, "big") for n in range(6)), a_delivery(10, "small", Lane.BACKFILL))

    assert Counter(task.ref.project for task in await started(gate, 4)) == {"big": 3, "small": 1}


# --- isolated ---------------------------------------------------------------------------------------------------------


async def test_a_model_runs_once_at_a_time_and_others_pass_what_waits_for_it():
    gate = Gate(4, lane_share())
    live = a_delivery(1)
    await fill(gate, live, a_delivery(1, lane=Lane.BACKFILL), a_delivery(1, lane=Lane.MANUAL), a_delivery(2))

    first = [task.id for task in await started(gate, 2)]
    third = asyncio.create_task(gate.next())

    assert first == [1, 2]
    assert await is_stuck(third)
    await gate.ended(live)
    again = (await third).task
    assert (again.ref, again.lane.is_live) == (live.task.ref, False)
    fourth = asyncio.create_task(gate.next())
    assert await is_stuck(fourth)
    fourth.cancel()


@pytest.mark.parametrize("lane", [Lane.BACKFILL, Lane.MANUAL])
async def test_two_windows_of_the_past_of_a_model_run_at_once_and_no_more(lane: Lane):
    gate = Gate(8, lane_share())
    run = [Held(a_task(a_spec("model-1"), id=number, lane=lane)) for number in (1, 2, 3)]
    live = Held(a_task(a_spec("model-1"), id=4))
    await fill(gate, *run)

    first = [task.id for task in await started(gate, 2)]
    third = asyncio.create_task(gate.next())
    stuck = await is_stuck(third)
    await fill(gate, live)
    stuck_too = await is_stuck(third)
    await gate.ended(run[0])
    waits_for_live = await is_stuck(third)
    await gate.ended(run[1])

    assert (first, stuck, stuck_too, waits_for_live) == ([1, 2], True, True, True)
    assert (await third).task.id == live.task.id


async def test_an_isolated_task_waits_for_the_others_and_nothing_starts_while_it_runs():
    gate = Gate(4, lane_share())
    isolated, other, later = a_delivery(1), a_delivery(2), a_delivery(3)
    await fill(gate, isolated, other, later)
    await started(gate, 2)
    inside, leave = asyncio.Event(), asyncio.Event()

    async def run_isolated() -> None:
        async with gate.exclusive():
            inside.set()
            await leave.wait()
        await gate.ended(isolated)

    running = asyncio.create_task(run_isolated())
    await turns()
    next_one = asyncio.create_task(gate.next())
    assert await is_stuck(next_one)
    assert not inside.is_set()
    await gate.ended(other)
    await turns()
    assert inside.is_set()
    assert await is_stuck(next_one)
    leave.set()
    await running

    assert (await next_one).task.id == 3


async def test_a_task_that_stops_waiting_for_isolation_blocks_no_other():
    gate = Gate(4, lane_share())
    isolated, other, later = a_delivery(1), a_delivery(2), a_delivery(3)
    await fill(gate, isolated, other, later)
    await started(gate, 2)

    async def run_isolated() -> None:
        try:
            async with gate.exclusive():
                raise AssertionError("it was not alone")
        finally:
            await gate.ended(isolated)

    running = asyncio.create_task(run_isolated())
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert [task.id for task in await started(gate, 1)] == [3]
    await gate.ended(other)
    await gate.ended(later)
    assert gate.running == 0


class Watched:
    """Runs deliveries through a gate and notes what it should never see."""

    def __init__(self, concurrency: int, least: float, random: Random) -> None:
        self.gate = Gate(concurrency, LaneShare(least))
        self.concurrency = concurrency
        self.random = random
        self.active = 0
        self.is_one_isolated = False
        self.ran: list[int] = []
        self.wrong: list[str] = []

    async def run(self, delivery: Held, *, isolated: bool) -> None:
        try:
            if isolated:
                async with self.gate.exclusive():
                    await self.body(isolated=True)
            else:
                await self.body(isolated=False)
            self.ran.append(delivery.task.id)
        finally:
            await self.gate.ended(delivery)

    async def body(self, *, isolated: bool) -> None:
        if self.is_one_isolated or (isolated and self.active):
            self.wrong.append("something ran beside a task that was to run alone")
        if self.gate.running > self.concurrency:
            self.wrong.append("more ran than the concurrency")
        self.active, self.is_one_isolated = self.active + 1, isolated
        try:
            await turns(self.random.randrange(4))
        finally:
            self.active, self.is_one_isolated = self.active - 1, False


@settings(max_examples=examples(60))
@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(Lane), st.integers(0, 3), st.integers(0, 5)), max_size=40
    ),
    st.floats(0, 0.9),
    st.integers(0, 2**32).map(Random),
)
async def test_every_delivery_is_started_once_and_an_isolated_one_is_isolated(
    concurrency, drawn, least, random: Random
):
    watched = Watched(concurrency, least, random)
    gate, running = watched.gate, list[asyncio.Task[None]]()
    plan = {
        number: (
            Held(a_task(a_spec(f"m-{number}", project=project), id=number, lane=lane)),
            isolated == 0,
            cancelled == 0,
        )
        for number, (project, lane, isolated, cancelled) in enumerate(drawn)
    }

    async def offer() -> None:
        for delivery, *_ in plan.values():
            await gate.offer(delivery)
            await turns(random.randrange(2))

    async with asyncio.timeout(60):
        offering = asyncio.create_task(offer())
        for _ in plan:
            delivery = await gate.next()
            _, isolated, cancelled = plan[delivery.task.id]
            running.append(asyncio.create_task(watched.run(delivery, isolated=isolated)))  # type: ignore[arg-type]  # our own
            if cancelled:
                await turns(1 + random.randrange(6))
                running[-1].cancel()
        await offering
        ends = await asyncio.gather(*running, return_exceptions=True)

    assert watched.wrong == []
    assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError}
    assert len(watched.ran) == len(set(watched.ran)) >= len(plan) - sum(cancelled for *_, cancelled in plan.values())
    assert (gate.running, gate.waiting) == (0, 0)


async def test_another_concurrency_holds_for_what_starts_next_and_none_starts_nothing():
    gate, share = Gate(4, lane_share()), 0.05
    deliveries = [a_delivery(number) for number in range(6)]
    await fill(gate, *deliveries)
    await started(gate, 2)

    await gate.limit(0, share)
    drained = asyncio.create_task(gate.next())
    assert await is_stuck(drained)
    await gate.limit(3, share)
    assert (await drained).task.id == 2
    fourth = asyncio.create_task(gate.next())
    assert await is_stuck(fourth)
    await gate.limit(5, share)

    assert (await fourth).task.id == 3
    assert (gate.concurrency, gate.running, gate.waiting) == (5, 4, 2)


async def test_what_waits_can_be_withdrawn_and_what_runs_goes_on():
    tasks = InProgress()
    gate = Gate(1, lane_share(), tasks)
    deliveries = [a_delivery(1), a_delivery(2), a_delivery(3, lane=Lane.BACKFILL)]
    await fill(gate, *deliveries)
    await started(gate, 1)

    withdrawn = await gate.withdraw()
    again = await gate.withdraw()

    assert [delivery.task.id for delivery in withdrawn] == [2, 3]
    assert (list(again), gate.waiting, gate.running, tasks.count) == ([], 0, 1, 1)


async def test_what_was_waiting_at_the_last_call_is_overdue_and_what_came_since_is_not():
    gate = Gate(1, lane_share())
    await fill(gate, *(a_delivery(number) for number in (1, 2, 3)))

    at_first = await gate.withdraw_overdue()
    await started(gate, 1)
    await fill(gate, a_delivery(4))
    then = await gate.withdraw_overdue()
    at_last = await gate.withdraw_overdue()

    assert [[delivery.task.id for delivery in each] for each in (at_first, then, at_last)] == [[], [2, 3], [4]]


async def test_live_deliveries_find_room_when_there_is_none_for_others():
    gate = Gate(1, lane_share())
    await fill(gate, *(a_delivery(number, lane=Lane.BACKFILL) for number in range(ROOM)))

    full = asyncio.create_task(gate.offer(a_delivery(98, lane=Lane.MANUAL)))
    assert await is_stuck(full)
    await fill(gate, a_delivery(99))

    assert [task.id for task in await started(gate, 1)] == [99]
    full.cancel()
    await asyncio.gather(full, return_exceptions=True)


async def test_another_share_of_backfill_holds_at_once():
    gate = Gate(100, LaneShare(0.0))
    await fill(gate, *(a_delivery(number) for number in range(8)))
    await fill(gate, *(a_delivery(number, lane=Lane.BACKFILL) for number in range(8, 16)))

    first = [task.lane for task in await started(gate, 4)]
    await gate.limit(100, 0.5)
    then = [task.lane for task in await started(gate, 4)]

    assert Counter(first) == {Lane.LIVE: 4}
    assert Counter(then) == {Lane.LIVE: 2, Lane.BACKFILL: 2}


async def test_a_delivery_whose_offer_is_cancelled_is_kept():
    gate = Gate(1, lane_share())
    await fill(gate, *(a_delivery(number) for number in range(ROOM)))
    offered = asyncio.create_task(gate.offer(a_delivery(99)))
    assert await is_stuck(offered)

    offered.cancel()
    await asyncio.gather(offered, return_exceptions=True)

    assert gate.waiting == ROOM + 1
