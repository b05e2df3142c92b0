"""What every task queue promises; the docstrings of its protocol, able to run. No order, and repeats are allowed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from latigo.domain.task import Task
from latigo.task_queue.envelope import HIGHEST
from latigo.task_queue.protocol import Delivery, TaskReceiver
from tests.support.build import a_spec, a_task, window
from tests.support.task_queues import TASK_QUEUES, Ends

WITHIN = 60.0  # for tests that hang

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the hub's client, when it is cut short


@pytest.fixture(params=TASK_QUEUES)
async def queue(request: pytest.FixtureRequest, ledger_template: str) -> AsyncIterator[Ends]:  # noqa: ARG001 - it cannot be made once a loop runs
    async with TASK_QUEUES[request.param](request) as ends:
        yield ends


def some_tasks(count: int, first: int = 1) -> list[Task]:
    return [a_task(a_spec(f"pump-{number}"), id=number) for number in range(first, first + count)]


async def received(receiver: TaskReceiver, wanted: Sequence[Task]) -> list[Delivery]:
    """Deliveries up to the moment at which all that is wanted has come."""
    missing = {task.id for task in wanted}
    result: list[Delivery] = []
    async with asyncio.timeout(WITHIN), aclosing(receiver.receive()) as deliveries:
        async for delivery in deliveries:
            result.append(delivery)
            missing.discard(delivery.task.id)
            if not missing:
                break
    return result


async def test_a_task_arrives_as_it_was_sent(queue: Ends):
    task = a_task(
        a_spec("Trykk Ø/1 °C", tags=("a|b", "温度"), model_offset=3, anomaly=False, assets={"a|b": "1218"}),
        window("10:00", "12:00"),
        id=2**40,
        epoch=7,
        trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        probe=True,
    )

    assert list(await queue.sender.publish([task], HIGHEST)) == [task.id]

    assert all(delivery.task == task for delivery in await received(queue.receivers[0], [task]))


async def test_every_task_that_was_taken_arrives_and_nothing_else(queue: Ends):
    tasks = some_tasks(300)

    taken = await queue.sender.publish(tasks, HIGHEST)
    wanted = [task for task in tasks if task.id in set(taken)]

    assert set(taken) <= {task.id for task in tasks}
    arrived = await received(queue.receivers[0], wanted)
    assert {delivery.task.id for delivery in arrived} == set(taken)


async def test_publishing_nothing_takes_nothing(queue: Ends):
    assert list(await queue.sender.publish([], HIGHEST)) == []


async def test_what_was_not_taken_may_be_sent_again_until_it_is(queue: Ends):
    waiting = {task.id: task for task in some_tasks(queue.plenty)}
    everything = set(waiting)
    seen: set[int] = set()

    while waiting:
        taken = await queue.sender.publish(list(waiting.values()), HIGHEST)
        assert taken, "an empty queue took nothing"
        wanted = [waiting.pop(task_id) for task_id in taken]
        seen |= {delivery.task.id for delivery in await received(queue.receivers[0], wanted)}

    assert seen == everything


async def test_receivers_wait_for_what_is_sent_later(queue: Ends):
    (task,) = some_tasks(1)
    waiting = asyncio.create_task(received(queue.receivers[0], [task]))
    await asyncio.sleep(0)

    await queue.sender.publish([task], HIGHEST)

    assert all(delivery.task == task for delivery in await waiting)


async def test_receivers_share_the_work_and_none_of_it_is_lost(queue: Ends):
    tasks = some_tasks(200)
    missing = {task.id for task in tasks}
    complete = asyncio.Event()

    async def work(receiver: TaskReceiver) -> None:
        async for delivery in receiver.receive():
            missing.discard(delivery.task.id)
            await delivery.done()
            if not missing:
                complete.set()

    workers = [asyncio.create_task(work(receiver)) for receiver in queue.receivers]
    for start in range(0, 200, 20):
        await queue.sender.publish(tasks[start : start + 20], HIGHEST)
    async with asyncio.timeout(WITHIN):
        await complete.wait()
    for worker in workers:
        worker.cancel()

    assert not missing
    assert [type(ended) for ended in await asyncio.gather(*workers, return_exceptions=True)] == [
        asyncio.CancelledError
    ] * 2


async def test_a_receiver_that_stops_leaves_the_rest_to_others(queue: Ends):
    tasks = some_tasks(5)
    await queue.sender.publish(tasks, HIGHEST)

    async with aclosing(queue.receivers[0].receive()) as deliveries:
        first = await anext(deliveries)
    rest = [task for task in tasks if task.id != first.task.id]

    assert {each.task.id for each in await received(queue.receivers[1], rest)} >= {task.id for task in rest}


async def test_being_done_twice_changes_nothing(queue: Ends):
    tasks = some_tasks(3)
    await queue.sender.publish(tasks, HIGHEST)
    one, *_ = await received(queue.receivers[0], tasks)

    await one.done()
    await one.done()

    more = some_tasks(2, first=50)
    await queue.sender.publish(more, HIGHEST)
    assert {each.task.id for each in await received(queue.receivers[0], more)} >= {task.id for task in more}


async def test_later_tasks_may_be_done_before_earlier_ones(queue: Ends):
    tasks = some_tasks(10)
    await queue.sender.publish(tasks, HIGHEST)

    for delivery in reversed(await received(queue.receivers[0], tasks)):
        await delivery.done()

    more = some_tasks(1, first=50)
    await queue.sender.publish(more, HIGHEST)
    assert 50 in {each.task.id for each in await received(queue.receivers[0], more)}


async def test_a_queue_keeps_its_name(queue: Ends):
    name = queue.sender.channel

    await queue.sender.publish(some_tasks(1), HIGHEST)

    assert name
    assert queue.sender.channel == name
