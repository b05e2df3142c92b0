"""The queue inside one process."""

import asyncio

from latigo.domain.task import Lane, Task
from latigo.task_queue.ahead import OTHERS_AHEAD
from latigo.task_queue.internal import InternalQueue
from tests.support.build import a_spec, a_task


async def test_it_takes_what_fits_in_order_and_the_rest_once_there_is_room():
    queue = InternalQueue(capacity=2)
    tasks = [a_task(id=number) for number in (1, 2, 3)]

    first = await queue.publish(tasks)
    received = [(await anext(queue.receive())).task.id for _ in range(2)]
    second = await queue.publish(tasks[2:])

    assert (list(first), received, list(second)) == ([1, 2], [1, 2], [3])


async def test_live_tasks_overtake_others_and_projects_take_turns():
    queue = InternalQueue(concurrency=1)
    back = [(number, "a", Lane.BACKFILL) for number in range(1, 11)] + [(20, "b", Lane.BACKFILL)]
    await queue.publish([task_of(*each) for each in back])
    receiving = queue.receive()
    taken = [await anext(receiving) for _ in range(OTHERS_AHEAD)]
    await queue.publish([task_of(30, "a", Lane.LIVE)])
    live = await anext(receiving)
    waiting = asyncio.create_task(anext(receiving))
    await asyncio.sleep(0)
    is_full = not waiting.done()
    await taken[0].done()

    assert [delivery.task.id for delivery in taken] == [1, 20, 2, 3]
    assert (live.task.id, is_full, (await waiting).task.id) == (30, True, 4)


def task_of(number: int, project: str, lane: Lane) -> Task:
    return a_task(a_spec(f"model-{number}", project=project), id=number, lane=lane)


async def test_a_limit_of_nothing_delivers_nothing_until_it_is_raised():
    queue = InternalQueue(concurrency=1)
    queue.limit(0)
    await queue.publish([a_task(id=1)])
    waiting = asyncio.create_task(anext(queue.receive()))
    await asyncio.sleep(0)
    none = not waiting.done()
    queue.limit(1)

    assert (none, (await waiting).task.id) == (True, 1)


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


async def test_it_holds_what_waits_and_what_was_delivered_until_that_is_done():
    queue = InternalQueue(concurrency=1)
    await queue.publish([a_task(id=1), a_task(id=2, lane=Lane.BACKFILL)])
    receiving = queue.receive()
    waiting = set(queue.held)
    deliveries = [await anext(receiving), await anext(receiving)]
    delivered = set(queue.held)
    await deliveries[0].done()

    assert (waiting, delivered, set(queue.held)) == ({1, 2}, {1, 2}, {2})
