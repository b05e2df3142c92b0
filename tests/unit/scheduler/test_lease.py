"""The planner's lease, as the process that holds it sees it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from latigo.ledger.protocol import LeaseLost, Term
from latigo.scheduler.lease import Lease
from tests.support.clock import ManualClock

SECOND = timedelta(seconds=1)
FIRST, SECOND_TERM = Term("scheduler-1", 1), Term("scheduler-1", 2)


class Work:
    """Goes on until it is let go; knows how it ended."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.ended = ""

    async def run(self) -> str:
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "done"
        return "result"


@asynccontextmanager
async def guarded(lease: Lease, clock: ManualClock) -> AsyncIterator[tuple[Work, "asyncio.Task[str]"]]:
    work = Work()
    async with asyncio.timeout(60):
        task = asyncio.create_task(lease.guard(work.run()))
        await clock.advance(timedelta(0))
        yield work, task
        await asyncio.gather(task, return_exceptions=True)
    await clock.advance(timedelta(0))
    assert clock.sleepers == 0


async def test_what_is_done_in_time_is_done():
    clock = ManualClock()
    lease = Lease(clock)
    lease.hold(FIRST, 15.0)

    async with guarded(lease, clock) as (work, task):
        await clock.advance(14 * SECOND)
        work.go.set()

    assert task.result() == "result"


async def test_what_fails_fails_as_it_does():
    lease = Lease(ManualClock())
    lease.hold(FIRST, 15.0)

    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await lease.guard(broken())


@pytest.mark.parametrize("renewed", [0, 3])
async def test_work_is_stopped_when_the_lease_runs_out_and_not_before(renewed: int):
    clock = ManualClock()
    lease = Lease(clock)
    lease.hold(FIRST, 15.0)

    async with guarded(lease, clock) as (work, task):
        for _ in range(renewed):
            await clock.advance(5 * SECOND)
            lease.hold(FIRST, clock.monotonic() + 15.0)
        await clock.advance(15 * SECOND - timedelta(milliseconds=1))
        assert work.ended == ""
        await clock.advance(timedelta(milliseconds=1))
        assert work.ended == "cancelled"

    assert isinstance(task.exception(), LeaseLost)


@pytest.mark.parametrize("again", [False, True])
async def test_work_is_stopped_as_soon_as_the_lease_is_lost_even_if_it_comes_back_at_once(again: bool):
    clock = ManualClock()
    lease = Lease(clock)
    lease.hold(FIRST, 15.0)

    async with guarded(lease, clock) as (work, task):
        lease.lose()
        if again:
            lease.hold(SECOND_TERM, 30.0)
        await clock.advance(timedelta(0))
        assert work.ended == "cancelled"

    assert isinstance(task.exception(), LeaseLost)


async def test_nothing_begins_once_the_lease_is_lost():
    clock = ManualClock()
    lease = Lease(clock)
    lease.hold(FIRST, 15.0)
    lease.lose()

    async with guarded(lease, clock) as (_, task):
        pass

    assert isinstance(task.exception(), LeaseLost)


async def test_cancelling_the_caller_cancels_the_work():
    clock = ManualClock()
    lease = Lease(clock)
    lease.hold(FIRST, 15.0)

    async with guarded(lease, clock) as (work, task):
        task.cancel()

    assert (task.cancelled(), work.ended) == (True, "cancelled")


async def test_a_process_that_never_held_the_lease_is_not_stopped():
    clock = ManualClock()

    async with guarded(Lease(clock), clock) as (work, task):
        await clock.advance(timedelta(days=1))
        work.go.set()

    assert task.result() == "result"


async def test_nothing_else_runs_between_the_end_of_the_work_and_what_follows_it():
    """Or those who take published tasks would have the connections of the ledger before they are marked."""
    lease, order = Lease(ManualClock()), list[str]()
    lease.hold(FIRST, 15.0)

    async def publish() -> None:
        asyncio.get_running_loop().call_soon(order.append, "taken")

    await lease.guard(publish())
    order.append("marked")
    await asyncio.sleep(0)

    assert order == ["marked", "taken"]


async def test_a_time_out_of_the_work_itself_is_none_of_the_lease():
    lease = Lease(ManualClock())
    lease.hold(FIRST, 15.0)

    async def slow() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await lease.guard(slow())
