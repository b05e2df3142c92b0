"""A bound on the memory that readings take."""

import asyncio
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latigo.executor.budget import INITIAL_DENSITY, SHARES, ByteBudget
from tests.support.examples import examples

HOUR = timedelta(hours=1)


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def holding(budget: ByteBudget, nbytes: int, log: list[str], name: str, leave: asyncio.Event) -> None:
    async with budget.reserve(nbytes):
        log.append(name)
        await leave.wait()


@settings(max_examples=examples(40))
@given(
    st.lists(st.tuples(st.integers(0, 25), st.floats(0, 1), st.integers(0, 4), st.booleans()), max_size=30),
    st.integers(0, 2**32).map(Random),
)
async def test_never_more_than_the_limit_is_reserved_and_all_of_it_comes_back(reads, random: Random):
    budget = ByteBudget(100)
    held, most = 0, 0

    async def read(nbytes: int, part: float, pauses: int) -> None:
        nonlocal held, most
        async with budget.reserve(nbytes) as reserved:
            mine = nbytes
            held += mine
            try:
                most = max(most, held)
                await turns(pauses)
                reserved.shrink(int(nbytes * part))
                held, mine = held - mine + int(nbytes * part), int(nbytes * part)
                await turns(pauses)
            finally:
                held -= mine

    tasks = [asyncio.create_task(read(nbytes, part, pauses)) for nbytes, part, pauses, _ in reads]
    for task, (*_, cancelled) in zip(tasks, reads, strict=True):
        await turns(random.randrange(4))
        if cancelled:
            task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)

    assert most <= 100
    assert (held, budget.held) == (0, 0)


async def test_waiting_is_first_come_first_served_also_where_a_later_one_would_fit():
    budget, log = ByteBudget(100), list[str]()
    leave = {name: asyncio.Event() for name in ("first", "large", "small")}
    tasks = [
        asyncio.create_task(holding(budget, nbytes, log, name, leave[name]))
        for name, nbytes in (("first", 60), ("large", 80), ("small", 10))
    ]

    await turns()
    before = list(log)
    leave["first"].set()
    await turns()

    assert (before, log) == (["first"], ["first", "large", "small"])
    for event in leave.values():
        event.set()
    await asyncio.gather(*tasks)


async def test_what_was_not_used_is_free_for_others_at_once():
    budget, log, leave = ByteBudget(100), list[str](), asyncio.Event()

    async with budget.reserve(90) as reserved:
        waiting = asyncio.create_task(holding(budget, 50, log, "other", leave))
        await turns()
        assert log == []
        reserved.shrink(40)
        await turns()
        assert log == ["other"]
        assert budget.held == 90

    leave.set()
    await waiting
    assert budget.held == 0


async def test_what_was_used_beyond_the_reservation_counts_until_it_is_given_back():
    budget, log, leave = ByteBudget(100), list[str](), asyncio.Event()
    leave.set()

    async with budget.reserve(10) as reserved:
        reserved.shrink(120)
        waiting = asyncio.create_task(holding(budget, 1, log, "other", leave))
        await turns()
        assert (log, budget.held) == ([], 120)

    await waiting
    assert (log, budget.held) == (["other"], 0)


async def test_a_cancelled_waiter_takes_nothing_and_lets_the_next_one_pass():
    budget, log, leave = ByteBudget(100), list[str](), asyncio.Event()
    leave.set()
    async with budget.reserve(95):
        large = asyncio.create_task(holding(budget, 90, log, "large", leave))
        small = asyncio.create_task(holding(budget, 5, log, "small", leave))
        await turns()
        large.cancel()
        await turns()
        assert log == ["small"]

    await asyncio.gather(large, small, return_exceptions=True)
    assert budget.held == 0


async def test_bytes_come_back_when_a_read_fails():
    budget = ByteBudget(100)

    with pytest.raises(KeyError):
        async with budget.reserve(50):
            raise KeyError

    assert budget.held == 0


@given(
    st.integers(0, 10**10), st.integers(0, 1000), st.integers(1, 10**6).map(lambda seconds: timedelta(seconds=seconds))
)
def test_no_estimate_is_more_than_a_share(limit, tags, length):
    budget = ByteBudget(limit)

    assert 0 <= budget.estimate(tags, length) <= budget.share == limit // SHARES


def test_before_anything_was_read_the_estimate_is_a_reading_every_second():
    assert ByteBudget(10**9).estimate(20, HOUR) == 20 * 3600 * INITIAL_DENSITY + 1


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=20))
def test_the_estimate_follows_denser_readings_at_once_and_sparser_ones_slowly(reads):
    budget = ByteBudget(10**12)

    for nbytes in reads:
        before = budget.estimate(1, HOUR)
        budget.learn(nbytes, 1, HOUR)
        after = budget.estimate(1, HOUR)
        assert after >= nbytes
        assert after >= before * 0.9 - 2
        assert after <= max(before, nbytes + 2)
