"""Time limits that hold against code which swallows a cancellation."""

import asyncio
import time
from datetime import timedelta

import pytest

from latigo.task_queue.limits import cancel_all, limited

SHORT = timedelta(seconds=0.05)
LONG = timedelta(minutes=1)


async def stubborn(cancelled: list[float], times: int = 2) -> str:
    """Goes on when it is cancelled, so many times."""
    while len(cancelled) < times:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(time.monotonic())
    return "ended"


async def test_work_that_ends_in_time_answers():
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await limited(work(), LONG) == 7


async def test_work_that_fails_in_time_raises_what_it_did():
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await limited(work(), LONG)


async def test_work_that_swallows_its_cancellation_is_not_waited_for_and_cancelled_again():
    cancelled: list[float] = []
    work = asyncio.create_task(stubborn(cancelled))

    async def waiting() -> str:
        return await work

    with pytest.raises(TimeoutError):
        await limited(waiting(), SHORT)

    assert not work.done()
    await asyncio.wait([work], timeout=30)
    assert len(cancelled) == 2 or work.cancelled()


async def test_a_cancelled_waiter_is_cancelled_even_if_the_work_is_not():
    cancelled: list[float] = []
    waiting = asyncio.create_task(limited(stubborn(cancelled), LONG))
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.wait([waiting], timeout=30)

    assert waiting.cancelled()


async def test_tasks_are_put_down_however_often_it_takes():
    cancelled: list[float] = []
    tasks = [asyncio.create_task(stubborn(cancelled)), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)

    await cancel_all(*tasks)

    assert all(task.done() for task in tasks)
    assert len(cancelled) == 2
