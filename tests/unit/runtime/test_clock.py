"""The clock of the machine, and the one that tests turn."""

import asyncio
from datetime import UTC, datetime, timedelta

from latigo.runtime.clock import Clock, SystemClock
from tests.support.clock import ManualClock

SECOND = timedelta(seconds=1)


async def test_the_system_clock_is_in_utc() -> None:
    clock: Clock = SystemClock()

    before = datetime.now(UTC)
    now = clock.now()

    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


async def test_sleeping_until_a_time_ends_when_that_time_has_come() -> None:
    clock = SystemClock()
    until = clock.now() + timedelta(milliseconds=30)

    await clock.sleep_until(until)

    assert clock.now() >= until


async def test_sleeping_until_a_time_that_has_passed_lets_others_run_once() -> None:
    clock = SystemClock()
    turns: list[str] = []
    loop = asyncio.get_running_loop()

    loop.call_soon(turns.append, "first")
    await clock.sleep_until(clock.now() - SECOND)
    loop.call_soon(turns.append, "second")
    await clock.sleep(-SECOND)

    assert turns == ["first", "second"]


async def test_a_manual_clock_wakes_sleepers_at_their_times_in_their_order() -> None:
    clock: Clock = (manual := ManualClock())
    start, woken = manual.now(), []

    async def sleeper(name: str, seconds: int) -> None:
        await clock.sleep(seconds * SECOND)
        woken.append((name, (clock.now() - start) / SECOND, clock.monotonic()))
        await clock.sleep_until(start + 2 * seconds * SECOND)
        woken.append((f"{name} again", (clock.now() - start) / SECOND, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("late", 3))
        group.create_task(sleeper("early", 2))
        await manual.advance(5 * SECOND)
        assert manual.sleepers == 1
        await manual.advance(SECOND)

    assert woken == [("early", 2, 2), ("late", 3, 3), ("early again", 4, 4), ("late again", 6, 6)]


async def test_a_manual_clock_forgets_sleepers_that_were_cancelled() -> None:
    clock = ManualClock()
    sleeper = asyncio.ensure_future(clock.sleep(SECOND))
    await clock.advance(timedelta(0))

    sleeper.cancel()
    await clock.advance(2 * SECOND)

    assert sleeper.cancelled()
    assert clock.sleepers == 0
