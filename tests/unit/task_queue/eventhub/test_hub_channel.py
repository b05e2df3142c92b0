"""The unbuffered channel."""

import asyncio

import pytest

from latigo.task_queue.eventhub.channel import Channel


def offer(channel: Channel[int], item: int) -> "tuple[asyncio.Task[bool], asyncio.Future[bool]]":
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    return asyncio.create_task(channel.give(item, answer)), answer


async def test_give_blocks_until_the_value_is_taken():
    channel: Channel[int] = Channel()
    giving, _ = offer(channel, 7)
    await asyncio.sleep(0)

    assert not giving.done()
    assert await channel.take() == 7
    assert await giving


async def test_take_blocks_until_a_value_is_given():
    channel: Channel[int] = Channel()
    taking = asyncio.create_task(channel.take())
    await asyncio.sleep(0)

    assert await offer(channel, 7)[0]
    assert await taking == 7


async def test_what_is_offered_is_taken_in_order_and_once():
    channel: Channel[int] = Channel()
    giving = [offer(channel, number)[0] for number in range(5)]

    takers = [asyncio.create_task(channel.take()) for _ in range(5)]

    assert [await taker for taker in takers] == [0, 1, 2, 3, 4]
    assert await asyncio.gather(*giving) == [True] * 5


async def test_an_offer_that_another_taker_answered_is_not_taken():
    channel: Channel[int] = Channel()
    withdrawn, answer = offer(channel, 1)
    kept, _ = offer(channel, 2)
    await asyncio.sleep(0)

    answer.set_result(False)

    assert await channel.take() == 2
    assert (await withdrawn, await kept) == (False, True)


async def test_an_offer_whose_giver_was_cancelled_is_not_taken():
    channel: Channel[int] = Channel()
    cancelled, _ = offer(channel, 1)
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)

    kept, _ = offer(channel, 2)

    assert await channel.take() == 2
    assert await kept


async def test_a_taker_that_is_cancelled_takes_nothing_with_it():
    channel: Channel[int] = Channel()
    taker = asyncio.create_task(channel.take())
    await asyncio.sleep(0)

    giving, _ = offer(channel, 7)
    await asyncio.sleep(0)
    taker.cancel()
    (result,) = await asyncio.gather(taker, return_exceptions=True)

    assert result == 7 or await channel.take() == 7
    assert await giving


async def test_takers_learn_of_a_fault_whether_they_wait_already_or_come_later():
    channel: Channel[int] = Channel()
    waiting = asyncio.create_task(channel.take())
    await asyncio.sleep(0)

    channel.fail(RuntimeError("broken"))

    for each in (waiting, channel.take()):
        with pytest.raises(RuntimeError, match="broken"):
            await each
