"""The queue inside one process."""

import asyncio

from latigo.task_queue.internal import InternalQueue
from tests.support.build import a_task


async def test_it_takes_what_fits_in_order_and_the_rest_once_there_is_room():
    queue = InternalQueue(capacity=2)
    tasks = [a_task(id=number) for number in (1, 2, 3)]

    first = await queue.publish(tasks)
    received = [(await anext(queue.receive())).task.id for _ in range(2)]
    second = await queue.publish(tasks[2:])

    assert (list(first), received, list(second)) == ([1, 2], [1, 2], [3])


async def test_no_two_queues_have_the_same_name_so_that_what_one_lost_is_found():
    assert InternalQueue().channel != InternalQueue().channel


async def test_a_receiver_that_is_cancelled_while_it_waits_takes_nothing_with_it():
    queue = InternalQueue()

    async def one() -> int:
        return (await anext(queue.receive())).task.id

    waiting = [asyncio.create_task(one()) for _ in range(3)]
    await asyncio.sleep(0)

    await queue.publish([a_task(id=1), a_task(id=2)])
    waiting[0].cancel()

    assert sorted(await asyncio.gather(*waiting[1:])) == [1, 2]
