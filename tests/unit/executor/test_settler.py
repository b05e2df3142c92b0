"""Many settlements, one transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from latigo.domain.outcome import Crashed, Outcome, Settlement, Stored
from latigo.domain.receipt import Receipt
from latigo.executor.batches import LARGEST_BATCH
from latigo.executor.settler import Settler
from latigo.ledger.protocol import Claim
from tests.support.build import a_task, window
from tests.support.clock import ManualClock
from tests.support.memory_ledgers import MemoryWork

RECEIPT = Receipt(elapsed=7)
STORED = Stored.in_full(window("10:00", "10:30"))
LEASE = timedelta(seconds=30)


class Harness:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryWork(self.clock)
        self.settler = Settler(self.ledger, self.clock)

    async def claims(self, *task_ids: int) -> list[Claim]:
        self.ledger.add(*task_ids)
        claims = [await self.ledger.claim(a_task(id=task_id), "executor-1", LEASE) for task_id in task_ids]
        return [claim for claim in claims if claim is not None]

    def settle(self, *claims: Claim, settlement: Settlement = STORED) -> "list[asyncio.Task[bool]]":
        return [asyncio.create_task(self.settler.settle(claim, settlement, RECEIPT)) for claim in claims]


@asynccontextmanager
async def running(harness: Harness) -> AsyncIterator[None]:
    """Run the writer; its failure fails the caller."""
    writer = asyncio.create_task(harness.settler.run())
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)


async def test_many_settlements_are_one_transaction():
    harness = Harness()
    settled = harness.settle(*await harness.claims(*range(50)))
    await asyncio.sleep(0)

    async with running(harness):
        assert await asyncio.gather(*settled) == [True] * 50

    assert harness.ledger.batches == [50]
    assert set(harness.ledger.ended) == set(range(50))
    assert harness.ledger.receipts == dict.fromkeys(range(50), RECEIPT)


async def test_a_transaction_is_bounded():
    harness = Harness()
    settled = harness.settle(*await harness.claims(*range(LARGEST_BATCH + 1)))
    await asyncio.sleep(0)

    async with running(harness):
        await asyncio.gather(*settled)

    assert harness.ledger.batches == [LARGEST_BATCH, 1]


async def test_a_settlement_that_does_not_count_is_reported_as_such():
    harness = Harness()
    ours, lost = await harness.claims(1, 2)
    harness.ledger.lost.add(2)

    async with running(harness):
        assert await asyncio.gather(*harness.settle(ours, lost)) == [True, False]


async def test_while_the_ledger_is_unavailable_settlements_wait_until_it_is_back():
    harness = Harness()
    settled = harness.settle(*await harness.claims(1, 2))
    harness.ledger.unavailable = True

    async with running(harness):
        await harness.clock.advance(timedelta(minutes=10))
        waited = not any(task.done() for task in settled)
        harness.ledger.unavailable = False
        await harness.clock.advance(timedelta(seconds=1))
        assert await asyncio.gather(*settled) == [True, True]

    assert waited


async def test_one_poisonous_settlement_does_not_stop_the_others_and_ends_as_crashed():
    harness = Harness()
    harness.ledger.poisonous.add(2)
    settled = harness.settle(*await harness.claims(1, 2, 3))
    await asyncio.sleep(0)

    async with running(harness):
        assert await asyncio.gather(*settled) == [True, True, True]
        assert await asyncio.gather(*harness.settle(*await harness.claims(4))) == [True]

    assert {id_: settlement.outcome for id_, settlement in harness.ledger.ended.items()} == {
        1: Outcome.STORED,
        2: Outcome.CRASHED,
        3: Outcome.STORED,
        4: Outcome.STORED,
    }
    crash = harness.ledger.ended[2]
    assert isinstance(crash, Crashed)
    assert "cannot be written down" in crash.detail


async def test_a_poisonous_settlement_waits_for_the_ledger_like_any_other():
    harness = Harness()
    harness.ledger.poisonous.add(1)
    settled = harness.settle(*await harness.claims(1))
    harness.ledger.unavailable = True

    async with running(harness):
        await harness.clock.advance(timedelta(seconds=5))
        harness.ledger.unavailable = False
        await harness.clock.advance(timedelta(seconds=1))
        await asyncio.gather(*settled)

    assert harness.ledger.ended[1].outcome is Outcome.CRASHED


async def test_a_ledger_that_cannot_even_record_a_crash_ends_the_writer():
    harness = Harness()
    (claim,) = await harness.claims(1)

    async def broken(*_: object) -> frozenset[int]:
        raise ValueError("bug")

    harness.ledger.settle = broken  # type: ignore[assignment,method-assign]  # a bug
    waiting = harness.settle(claim)

    with pytest.raises(ValueError, match="bug"):
        async with asyncio.timeout(60):
            await harness.settler.run()
    waiting[0].cancel()


async def test_a_caller_that_stops_waiting_does_not_stop_its_settlement():
    harness = Harness()
    (settled,) = harness.settle(*await harness.claims(1))
    await asyncio.sleep(0)
    settled.cancel()
    await asyncio.gather(settled, return_exceptions=True)

    async with running(harness):
        await asyncio.gather(*harness.settle(*await harness.claims(2)))

    assert set(harness.ledger.ended) == {1, 2}


async def test_of_two_claims_on_a_task_only_the_later_one_counts():
    harness = Harness()
    (overtaken,) = await harness.claims(7)
    latest = replace(overtaken, number=overtaken.number + 1)
    harness.ledger.held[7] = latest
    settled = harness.settle(overtaken, latest)
    await asyncio.sleep(0)

    async with running(harness):
        assert await asyncio.gather(*settled) == [False, True]
