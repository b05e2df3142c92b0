"""Whether the loop turns."""

import asyncio
from datetime import timedelta

from latigo.runtime.heartbeat import Heartbeat
from tests.support.clock import ManualClock

SECOND = timedelta(seconds=1)


async def test_a_loop_that_turns_is_not_stuck() -> None:
    clock, stop = ManualClock(), asyncio.Event()
    heartbeat = Heartbeat(clock, stuck_after=3 * SECOND)

    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat.run(stop))
        await clock.advance(10.5 * SECOND)

        assert heartbeat.age == 0.5 * SECOND
        assert not heartbeat.stuck
        stop.set()


async def test_a_loop_without_a_heartbeat_for_too_long_is_stuck() -> None:
    clock = ManualClock()
    heartbeat = Heartbeat(clock, stuck_after=3 * SECOND)

    await clock.advance(3 * SECOND)
    assert not heartbeat.stuck
    await clock.advance(SECOND)
    assert heartbeat.stuck


async def test_lag_is_how_late_a_heartbeat_was() -> None:
    clock, stop = ManualClock(), asyncio.Event()
    lags: list[float] = []
    heartbeat = Heartbeat(clock, on_lag=lags.append)

    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat.run(stop))
        await clock.advance(SECOND)
        clock.jump(4 * SECOND)
        await clock.advance(timedelta(0))
        stop.set()

    assert lags == [0.0, 3.0]
