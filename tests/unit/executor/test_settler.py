"""Many settlements, one transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from latigo.domain.outcome import Crashed, Outcome, Settlement, Stored
from latigo.executor.settler import LARGEST_BATCH, Settler
from latigo.ledger.protocol import Claim
from tests.support.build import window
from tests.support.clock import ManualClock
from tests.support.memory_ledgers import MemoryWork

STORED = Stored.in_full(window("10:00", "10:30"))
LEASE = timedelta(seconds=30)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryWork(self.clock)
        self.settler = Settler(self.ledger, self.clock)

    async def claims(self, *task_ids: int) -> list[Claim]:
        claims = [await self.ledger.claim(task_id, 1, "executor-1", LEASE) for task_id in task_ids]
        return [claim for claim in claims if claim is not None]

    def settle(self, *claims: Claim, settlement: Settlement = STORED) -> "list[asyncio.Task[bool]]":
        return [asyncio.create_task(self.settler.settle(claim, settlement)) for claim in claims]


@asynccontextmanager
async def running(world: World) -> AsyncIterator[None]:
    """The writer at work; its failure is the failure of whoever waits."""
    writer = asyncio.create_task(world.settler.run())
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)


async def test_many_settlements_are_one_transaction():
    world = World()
    settled = world.settle(*await world.claims(*range(50)))
    await asyncio.sleep(0)

    async with running(world):
        assert await asyncio.gather(*settled) == [True] * 50

    assert world.ledger.batches == [50]
    assert set(world.ledger.ended) == set(range(50))


async def test_a_transaction_is_bounded():
    world = World()
    settled = world.settle(*await world.claims(*range(LARGEST_BATCH + 1)))
    await asyncio.sleep(0)

    async with running(world):
        await asyncio.gather(*settled)

    assert world.ledger.batches == [LARGEST_BATCH, 1]


async def test_what_does_not_count_is_told_so():
    world = World()
    ours, lost = await world.claims(1, 2)
    world.ledger.lost.add(2)

    async with running(world):
        assert await asyncio.gather(*world.settle(ours, lost)) == [True, False]


async def test_while_the_ledger_is_away_settlements_wait_until_it_is_back():
    world = World()
    settled = world.settle(*await world.claims(1, 2))
    world.ledger.away = True

    async with running(world):
        await world.clock.advance(timedelta(minutes=10))
        waited = not any(task.done() for task in settled)
        world.ledger.away = False
        await world.clock.advance(timedelta(seconds=1))
        assert await asyncio.gather(*settled) == [True, True]

    assert waited


async def test_one_poisonous_settlement_does_not_stop_the_others_and_ends_as_crashed():
    world = World()
    world.ledger.poisonous.add(2)
    settled = world.settle(*await world.claims(1, 2, 3))
    await asyncio.sleep(0)

    async with running(world):
        assert await asyncio.gather(*settled) == [True, True, True]
        assert await asyncio.gather(*world.settle(*await world.claims(4))) == [True]

    assert {id_: settlement.outcome for id_, settlement in world.ledger.ended.items()} == {
        1: Outcome.STORED,
        2: Outcome.CRASHED,
        3: Outcome.STORED,
        4: Outcome.STORED,
    }
    crash = world.ledger.ended[2]
    assert isinstance(crash, Crashed)
    assert "cannot be written down" in crash.detail


async def test_a_poisonous_settlement_waits_for_the_ledger_like_any_other():
    world = World()
    world.ledger.poisonous.add(1)
    settled = world.settle(*await world.claims(1))
    world.ledger.away = True

    async with running(world):
        await world.clock.advance(timedelta(seconds=5))
        world.ledger.away = False
        await world.clock.advance(timedelta(seconds=1))
        await asyncio.gather(*settled)

    assert world.ledger.ended[1].outcome is Outcome.CRASHED


async def test_a_ledger_that_cannot_even_record_a_crash_ends_the_writer():
    world = World()
    (claim,) = await world.claims(1)

    async def broken(_: object) -> frozenset[int]:
        raise ValueError("bug")

    world.ledger.settle = broken  # type: ignore[assignment,method-assign]  # a bug
    waiting = world.settle(claim)

    with pytest.raises(ValueError, match="bug"):
        async with asyncio.timeout(10):
            await world.settler.run()
    waiting[0].cancel()


async def test_whoever_stops_waiting_does_not_stop_its_settlement():
    world = World()
    (settled,) = world.settle(*await world.claims(1))
    await asyncio.sleep(0)
    settled.cancel()
    await asyncio.gather(settled, return_exceptions=True)

    async with running(world):
        await asyncio.gather(*world.settle(*await world.claims(2)))

    assert set(world.ledger.ended) == {1, 2}
