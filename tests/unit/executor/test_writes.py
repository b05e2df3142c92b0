"""Many writes begin in one statement, and each task has an answer of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from latigo.domain.errors import Unavailable
from latigo.executor.batches import LARGEST_BATCH
from latigo.executor.claimer import latest_claims
from latigo.executor.writes import Writes
from latigo.ledger.protocol import Claim
from tests.support.build import a_task
from tests.support.clock import ManualClock
from tests.support.memory_ledgers import MemoryWork

LEASE = timedelta(seconds=30)


class Harness:
    def __init__(self) -> None:
        self.ledger = MemoryWork(ManualClock())
        self.writes = Writes(self.ledger, LEASE)

    async def claims(self, *task_ids: int) -> list[Claim]:
        self.ledger.add(*task_ids)
        claims = [await self.ledger.claim(a_task(id=task_id), "executor-1", LEASE) for task_id in task_ids]
        return [claim for claim in claims if claim is not None]

    async def begin(self, claims: Sequence[Claim]) -> "list[asyncio.Task[bool]]":
        """Let all begin before the first statement."""
        begun = [asyncio.create_task(self.writes.begin(claim)) for claim in claims]
        await asyncio.sleep(0)
        return begun


@asynccontextmanager
async def running(harness: Harness) -> AsyncIterator[None]:
    """Run what begins writes; its failure fails the caller."""
    writes = asyncio.create_task(harness.writes.run())
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        writes.cancel()
        await asyncio.gather(writes, return_exceptions=True)


async def test_writes_that_begin_together_are_one_statement_of_bounded_size():
    harness = Harness()
    begun = await harness.begin(await harness.claims(*range(LARGEST_BATCH + 2)))

    async with running(harness):
        assert await asyncio.gather(*begun) == [True] * (LARGEST_BATCH + 2)

    assert harness.ledger.write_batches == [LARGEST_BATCH, 2]


async def test_a_lost_claim_may_not_write_and_the_others_may():
    harness = Harness()
    begun = await harness.begin(await harness.claims(0, 1, 2))
    harness.ledger.lost.add(1)

    async with running(harness):
        assert await asyncio.gather(*begun) == [True, False, True]


async def test_a_task_that_is_locked_is_asked_for_alone():
    harness = Harness()
    begun = await harness.begin(await harness.claims(0, 1))
    harness.ledger.locked.add(1)

    async with running(harness):
        assert await asyncio.gather(*begun) == [True, True]

    assert harness.ledger.write_batches == [2]


async def test_of_two_claims_on_a_task_the_earlier_one_may_not_write():
    harness = Harness()
    (overtaken,) = await harness.claims(7)
    latest = replace(overtaken, number=overtaken.number + 1)
    harness.ledger.held[7] = latest
    begun = await harness.begin([overtaken, latest, overtaken])

    async with running(harness):
        assert await asyncio.gather(*begun) == [False, True, False]


async def test_while_the_ledger_is_unavailable_every_task_learns_so():
    harness = Harness()
    begun = await harness.begin(await harness.claims(0, 1))
    harness.ledger.unavailable = True

    async with running(harness):
        answers = await asyncio.gather(*begun, return_exceptions=True)

    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]


async def test_a_task_that_is_cancelled_before_its_write_begins_records_none():
    harness = Harness()
    gone, stays, also = await harness.begin(await harness.claims(0, 1, 2))
    gone.cancel()

    async with running(harness):
        assert [await stays, await also] == [True, True]

    assert harness.ledger.write_batches == [2]


def test_the_latest_claim_on_a_task_is_that_of_the_greatest_fence():
    first = Claim(7, 5, 0, 0, frozenset(), a_task().ref, a_task().window, epoch=1, incarnation=1)
    restored = replace(first, number=2, incarnation=2)
    other = replace(first, task_id=8)

    assert latest_claims([first, restored, other, replace(first, number=6)]) == {7: restored, 8: other}
