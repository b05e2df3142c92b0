"""Many claims, one transaction, and an answer for each."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from latigo.domain.errors import Unavailable
from latigo.domain.task import Task
from latigo.executor.batches import LARGEST_BATCH
from latigo.executor.claimer import Claimer
from latigo.ledger.protocol import Claim
from tests.support.build import a_task
from tests.support.clock import ManualClock
from tests.support.memory_ledgers import MemoryWork
from tests.support.waiting import eventually

LEASE = timedelta(seconds=30)


class Work(MemoryWork):
    """A ledger whose single claims and batches can be held up, or fail."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.asks = 0
        self.slow: set[int] = set()
        self.broken: set[int] = set()
        self.released: list[int] = []

    async def claim(self, task: Task, executor_id: str, lease: timedelta) -> Claim | None:
        self.asks += 1
        if task.id in self.slow:
            await self.goes_on.wait()
        if task.id in self.broken:
            raise ValueError(f"task {task.id}")
        return await super().claim(task, executor_id, lease)

    async def claim_many(self, tasks: Sequence[Task], executor_id: str, lease: timedelta) -> Mapping[int, Claim]:
        if self.broken & {task.id for task in tasks}:
            raise ValueError("a batch")
        return await super().claim_many(tasks, executor_id, lease)

    async def release(self, claims: Sequence[Claim]) -> frozenset[int]:
        self.released += [claim.task_id for claim in claims]
        return await super().release(claims)


class Harness:
    def __init__(self, tasks: int) -> None:
        self.ledger = Work()
        self.ledger.add(*range(tasks))
        self.claimer = Claimer(self.ledger, "executor-1", LEASE)

    def claim(self, *task_ids: int) -> "list[asyncio.Task[Claim | None]]":
        return [asyncio.create_task(self.claimer.claim(a_task(id=task_id))) for task_id in task_ids]


@asynccontextmanager
async def running(harness: Harness) -> AsyncIterator[None]:
    """Run the claimer; its failure fails the caller."""
    claimer = asyncio.create_task(harness.claimer.run())
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        claimer.cancel()
        await asyncio.gather(claimer, return_exceptions=True)


def ids(claims: Sequence[Claim | None]) -> list[int | None]:
    return [claim.task_id if claim else None for claim in claims]


async def test_claims_that_come_together_are_one_transaction():
    harness = Harness(50)
    claims = harness.claim(*range(50))

    async with running(harness):
        assert ids(await asyncio.gather(*claims)) == list(range(50))

    assert harness.ledger.claim_batches == [50]


async def test_a_transaction_is_bounded():
    harness = Harness(LARGEST_BATCH + 2)
    claims = harness.claim(*range(LARGEST_BATCH + 2))

    async with running(harness):
        await asyncio.gather(*claims)

    assert harness.ledger.claim_batches == [LARGEST_BATCH, 2]


async def test_every_task_has_its_own_answer():
    harness = Harness(4)
    harness.ledger.refused.add(1)

    async with running(harness):
        assert ids(await asyncio.gather(*harness.claim(0, 1, 2))) == [0, None, 2]
        assert ids(await asyncio.gather(*harness.claim(3))) == [3]


async def test_a_task_that_is_locked_delays_no_other():
    harness = Harness(4)
    harness.ledger.locked.add(1)
    harness.ledger.slow.add(1)
    harness.ledger.goes_on.clear()

    async with running(harness):
        first, locked, last = harness.claim(0, 1, 2)
        assert ids(await asyncio.gather(first, last)) == [0, 2]
        assert ids(await asyncio.gather(*harness.claim(3))) == [3]
        assert not locked.done()
        harness.ledger.goes_on.set()
        assert ids([await locked]) == [1]


async def test_while_the_ledger_is_unavailable_every_caller_learns_so():
    harness = Harness(3)
    harness.ledger.unavailable = True

    async with running(harness):
        answers = await asyncio.gather(*harness.claim(0, 1, 2), return_exceptions=True)
        harness.ledger.unavailable = False
        again = await asyncio.gather(*harness.claim(0, 1, 2))

    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert ids(again) == [0, 1, 2]


async def test_a_task_that_breaks_its_batch_fails_by_itself():
    harness = Harness(3)
    harness.ledger.broken.add(1)

    async with running(harness):
        first, broken, last = harness.claim(0, 1, 2)
        assert ids(await asyncio.gather(first, last)) == [0, 2]
        with pytest.raises(ValueError, match="task 1"):
            await broken


async def test_what_was_claimed_in_vain_is_released():
    harness = Harness(2)
    harness.ledger.slow |= {0, 1}
    harness.ledger.goes_on.clear()

    async with running(harness):
        gone, stays = harness.claim(0, 1)
        await eventually(lambda: harness.ledger.asks, what="a claim under way")
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        harness.ledger.goes_on.set()
        assert ids([await stays]) == [1]
        await eventually(lambda: harness.ledger.released, what="a release")

    assert harness.ledger.released == [0]


async def test_what_was_cancelled_before_its_batch_is_not_claimed():
    harness = Harness(2)
    gone, stays = harness.claim(0, 1)
    await asyncio.sleep(0)
    gone.cancel()

    async with running(harness):
        assert ids([await stays]) == [1]

    assert list(harness.ledger.held) == [1]
