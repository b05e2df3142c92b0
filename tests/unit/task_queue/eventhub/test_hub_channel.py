"""From hand to hand."""

import asyncio

import pytest

from latigo.task_queue.eventhub.channel import HandOff


def offer(hand_off: HandOff[int], item: int) -> "tuple[asyncio.Task[bool], asyncio.Future[bool]]":
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    return asyncio.create_task(hand_off.give(item, answer)), answer


async def test_whoever_gives_waits_until_somebody_takes():
    hand_off: HandOff[int] = HandOff()
    giving, _ = offer(hand_off, 7)
    await asyncio.sleep(0)

    assert not giving.done()
    assert await hand_off.take() == 7
    assert await giving


async def test_whoever_takes_waits_until_somebody_gives():
    hand_off: HandOff[int] = HandOff()
    taking = asyncio.create_task(hand_off.take())
    await asyncio.sleep(0)

    assert await offer(hand_off, 7)[0]
    assert await taking == 7


async def test_what_is_offered_is_taken_in_order_and_once():
    hand_off: HandOff[int] = HandOff()
    giving = [offer(hand_off, number)[0] for number in range(5)]

    takers = [asyncio.create_task(hand_off.take()) for _ in range(5)]

    assert [await taker for taker in takers] == [0, 1, 2, 3, 4]
    assert await asyncio.gather(*giving) == [True] * 5


async def test_an_offer_that_was_answered_by_someone_else_is_not_taken():
    hand_off: HandOff[int] = HandOff()
    withdrawn, answer = offer(hand_off, 1)
    kept, _ = offer(hand_off, 2)
    await asyncio.sleep(0)

    answer.set_result(False)

    assert await hand_off.take() == 2
    assert (await withdrawn, await kept) == (False, True)


async def test_an_offer_whose_giver_was_cancelled_is_not_taken():
    hand_off: HandOff[int] = HandOff()
    cancelled, _ = offer(hand_off, 1)
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)

    kept, _ = offer(hand_off, 2)

    assert await hand_off.take() == 2
    assert await kept


async def test_a_taker_that_is_cancelled_takes_nothing_with_it():
    hand_off: HandOff[int] = HandOff()
    taker = asyncio.create_task(hand_off.take())
    await asyncio.sleep(0)

    giving, _ = offer(hand_off, 7)
    await asyncio.sleep(0)
    taker.cancel()
    (found,) = await asyncio.gather(taker, return_exceptions=True)

    assert found == 7 or await hand_off.take() == 7
    assert await giving


async def test_takers_learn_of_a_fault_whether_they_wait_already_or_come_later():
    hand_off: HandOff[int] = HandOff()
    waiting = asyncio.create_task(hand_off.take())
    await asyncio.sleep(0)

    hand_off.fail(RuntimeError("broken"))

    for each in (waiting, hand_off.take()):
        with pytest.raises(RuntimeError, match="broken"):
            await each
