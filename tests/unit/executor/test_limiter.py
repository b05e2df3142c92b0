"""How many calls a model server gets at once."""

import asyncio
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latigo.domain.errors import CircuitOpen, Failed, TimedOut, Unavailable
from latigo.executor.limiter import FIRST_LIMIT, LOWEST_LIMIT, AdaptiveLimit, ProjectLimits
from tests.support.clock import ManualClock
from tests.support.examples import examples


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Server:
    """A server with so many workers: what comes beyond them waits."""

    def __init__(self, workers: int, clock: ManualClock, *, in_the_way: float = 0.0) -> None:
        self.workers = workers
        self.clock = clock
        self.seconds = 1.0
        self.in_the_way = in_the_way  # part by which each call beyond the workers slows down all

    async def load(self, limit: AdaptiveLimit, rounds: int) -> list[int]:
        """Keep it as busy as the limit allows; the limits on the way."""
        seen = []
        for _ in range(rounds):
            at_once = limit.limit
            # n calls on w workers take n/w times as long on average
            slowed = 1 + self.in_the_way * max(at_once - self.workers, 0)
            await answered(limit, self.clock, at_once, self.seconds * slowed * max(1.0, at_once / self.workers))
            seen.append(limit.limit)
        return seen

    async def settled(self, limit: AdaptiveLimit) -> int:
        """Keep it busy until the limit is where it stays, but for being lowered now and then: the limit there."""
        return max((await self.load(limit, 200))[100:])


async def answered(limit: AdaptiveLimit, clock: ManualClock, calls: int, seconds: float) -> None:
    """So many calls at once, each taking so long."""
    leave = asyncio.Event()

    async def call() -> None:
        async with limit.call():
            await leave.wait()

    tasks = [asyncio.create_task(call()) for _ in range(calls)]
    await turns()
    clock.jump(timedelta(seconds=seconds))
    leave.set()
    await asyncio.gather(*tasks)


async def failed(limit: AdaptiveLimit, error: Exception) -> None:
    with pytest.raises(type(error)):
        async with limit.call():
            raise error


@pytest.mark.parametrize("workers", [2, 4, 8, 16, 32])
async def test_the_limit_grows_until_the_server_is_full_and_stays_there_however_long_it_is(workers: int):
    clock = ManualClock()
    limit = AdaptiveLimit(256, clock)

    seen = sorted((await Server(workers, clock).load(limit, 500))[100:])

    assert workers < seen[len(seen) // 2] <= workers * 1.5 + 6
    assert seen[-1] <= workers * 1.5 + 6


async def test_now_and_then_the_limit_is_halved_to_see_how_fast_the_server_can_be():
    clock = ManualClock()
    limit, server = AdaptiveLimit(256, clock), Server(16, clock)
    settled = (await server.load(limit, 200))[-60:]

    halved = [seen for seen in settled if seen < max(settled) * 0.6]

    assert 2 <= len(halved) <= 3  # once in 21
    assert min(halved) >= LOWEST_LIMIT


async def test_the_limit_stays_below_its_ceiling():
    clock = ManualClock()
    limit = AdaptiveLimit(10, clock)

    assert max(await Server(100, clock).load(limit, 60)) == 10


async def test_another_ceiling_holds_for_the_limits_that_there_are_and_for_new_ones():
    clock = ManualClock()
    limits, server = ProjectLimits(4, clock), Server(100, clock)
    at_first = await server.settled(limits["plant"])
    limits.set_ceiling(9)
    raised = await server.settled(limits["plant"])
    limits.set_ceiling(1)

    assert (at_first, raised) == (4, 9)
    assert (limits["plant"].limit, limits["new"].limit) == (1, 1)


@pytest.mark.parametrize(
    ("concurrency", "workers", "executors", "most"),
    [(8, 0, 1, 8), (8, 1, 1, 2), (8, 2, 1, 4), (3, 2, 1, 3), (8, 2, 2, 2), (8, 1, 5, 1)],
)
async def test_a_server_whose_workers_are_known_is_called_for_no_more_models_than_they_keep(
    concurrency: int, workers: int, executors: int, most: int
):
    clock = ManualClock()
    limits, server = ProjectLimits(concurrency, clock, 2, workers), Server(100, clock)
    limits.set_ceiling(concurrency, executors)

    assert await server.settled(limits["plant"]) == most


async def test_executors_that_join_and_leave_change_what_each_may_call():
    clock = ManualClock()
    limits, server = ProjectLimits(8, clock, 2, 2), Server(100, clock)
    seen = []
    for executors in (1, 4, 2):
        limits.set_ceiling(8, executors)
        seen.append(await server.settled(limits["plant"]))

    assert seen == [4, 1, 2]


async def test_a_higher_ceiling_lets_no_more_wait_than_the_limit_has_room_for():
    limit = AdaptiveLimit(1, ManualClock())
    leave, began = asyncio.Event(), 0

    async def call() -> None:
        nonlocal began
        async with limit.call():
            began += 1
            await leave.wait()

    calls = [asyncio.create_task(call()) for _ in range(3)]
    await turns()
    limit.set_ceiling(8)
    await turns()
    at_once = began
    leave.set()
    await asyncio.gather(*calls)

    assert (at_once, began, limit.in_flight) == (1, 3, 0)


async def test_the_limit_shrinks_when_the_server_does():
    clock = ManualClock()
    limit, server = AdaptiveLimit(256, clock), Server(32, clock)
    await server.load(limit, 120)
    before = limit.limit

    server.workers = 8
    after = await server.load(limit, 60)

    assert after[-1] < before - 8
    assert min(after) >= LOWEST_LIMIT


async def test_a_server_that_is_not_kept_busy_teaches_nothing():
    clock = ManualClock()
    limit = AdaptiveLimit(64, clock)

    for _ in range(50):
        await answered(limit, clock, 1, 1.0)

    assert limit.limit == FIRST_LIMIT


async def test_a_server_whose_calls_are_in_each_others_way_gets_one_at_a_time_and_is_tried_with_two_now_and_then():
    clock = ManualClock()
    limit = AdaptiveLimit(64, clock)
    server = Server(1, clock, in_the_way=0.1)

    settled = (await server.load(limit, 1500))[200:]
    server.in_the_way, server.workers = 0.0, 8
    grown = await server.load(limit, 1500)

    assert settled.count(1) > 0.9 * len(settled)
    assert set(settled) == {1, 2}
    assert max(grown) > 8


@pytest.mark.parametrize("error", [Unavailable("503", downstream="gordo/a"), TimedOut("300 s", downstream="gordo/a")])
async def test_a_refusal_or_a_time_out_backs_off_but_not_below_one(error: Exception):
    clock = ManualClock()
    limit = AdaptiveLimit(64, clock)
    await Server(32, clock).load(limit, 120)
    before = limit.limit

    await failed(limit, error)
    once = limit.limit
    for _ in range(30):
        await failed(limit, error)

    assert before * 0.6 < once < before
    assert limit.limit == LOWEST_LIMIT


@pytest.mark.parametrize("error", [CircuitOpen("open", downstream="gordo/a"), Failed("500"), KeyError("bug")])
async def test_what_says_nothing_about_the_servers_size_changes_nothing(error: Exception):
    limit = AdaptiveLimit(64, ManualClock())

    for _ in range(20):
        await failed(limit, error)

    assert limit.limit == FIRST_LIMIT
    assert limit.in_flight == 0


@pytest.mark.parametrize("ceiling", [1, 2, 3])
async def test_a_small_ceiling_is_kept_whatever_happens(ceiling: int):
    clock = ManualClock()
    limit = AdaptiveLimit(ceiling, clock)

    await Server(50, clock).load(limit, 60)
    grown = limit.limit
    for _ in range(10):
        await failed(limit, Unavailable("503", downstream="gordo/a"))

    assert grown == ceiling
    assert limit.limit == min(ceiling, LOWEST_LIMIT)


async def test_calls_beyond_the_limit_wait_for_their_turn_in_order():
    limit = AdaptiveLimit(2, ManualClock())
    leave = [asyncio.Event() for _ in range(5)]
    began: list[int] = []

    async def call(number: int) -> None:
        async with limit.call():
            began.append(number)
            await leave[number].wait()

    tasks = [asyncio.create_task(call(number)) for number in range(5)]
    await turns()
    first = list(began)
    leave[1].set()
    await turns()

    assert (first, began, limit.in_flight) == ([0, 1], [0, 1, 2], 2)
    for event in leave:
        event.set()
    await asyncio.gather(*tasks)


@settings(max_examples=examples(60))
@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["well", "unavailable", "bug"]), st.booleans()), max_size=40),
    st.integers(0, 2**32).map(Random),
)
async def test_however_calls_are_cancelled_no_place_is_lost_or_given_twice(ceiling, calls, random: Random):
    limit = AdaptiveLimit(ceiling, ManualClock())
    under_way = 0

    async def call(pauses: int, ending: str) -> None:
        nonlocal under_way
        async with limit.call():
            under_way += 1
            try:
                assert under_way <= ceiling
                await turns(pauses)
                if ending == "unavailable":
                    raise Unavailable("503", downstream="gordo/a")
                if ending == "bug":
                    raise KeyError
            finally:
                under_way -= 1

    tasks = []
    for pauses, ending, _ in calls:
        tasks.append(asyncio.create_task(call(pauses, ending)))
        await turns(random.randrange(2))
    for task, (*_, cancelled) in zip(tasks, calls, strict=True):
        if cancelled:
            task.cancel()
            await turns(random.randrange(2))
    ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)

    assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError, Unavailable, KeyError}
    assert (limit.in_flight, under_way) == (0, 0)
    async with asyncio.timeout(60), limit.call():
        assert limit.in_flight == 1
