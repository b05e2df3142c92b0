"""From event to delivery."""

import asyncio
from typing import Any, cast

from azure.eventhub import EventData

from latigo.domain.task import Task
from latigo.runtime.clock import SystemClock
from latigo.task_queue.envelope import encode
from latigo.task_queue.eventhub.channel import Channel
from latigo.task_queue.eventhub.consumer import Assignment, Consumer, HubDelivery
from latigo.task_queue.eventhub.store import QueueStore
from tests.support.build import a_task


class Bench:
    """A consumer, and a channel to take from. Every message is a task, so that there is nothing to record."""

    def __init__(self) -> None:
        self.channel: Channel[HubDelivery] = Channel()
        self.consumer = Consumer(self.channel, cast("QueueStore", None), SystemClock())

    async def hands_out(self, assignment: Assignment, task: Task, sequence: int) -> HubDelivery:
        """The task comes as this event, and is taken."""
        coming = asyncio.create_task(self.consumer.on_event(assignment, an_event(task, sequence)))
        delivery = await self.channel.take()
        await coming
        return delivery

    async def joins(self, assignment: Assignment, task: Task, sequence: int) -> None:
        """Deliver the task as this event, without a taker."""
        async with asyncio.timeout(60):
            await self.consumer.on_event(assignment, an_event(task, sequence))


def an_assignment() -> Assignment:
    return Assignment("0", max_behind=100)


def an_event(task: Task, sequence: int) -> EventData:
    event = EventData(encode(task))
    place: dict[str | bytes, Any] = {b"x-opt-sequence-number": sequence, b"x-opt-offset": str(sequence).encode()}
    event.raw_amqp_message.annotations = place
    return event


async def test_what_is_worked_on_when_its_partition_comes_back_is_not_handed_out_again_and_done_once_for_all():
    bench, before, after = Bench(), an_assignment(), an_assignment()
    task = a_task(id=1)
    running = await bench.hands_out(before, task, 7)
    before.lose()

    await bench.joins(after, task, 7)
    await running.done()

    assert (before.unflushed, after.unflushed) == (None, (7, "7"))


async def test_a_task_done_late_does_not_affect_the_one_in_its_place_in_a_recreated_hub():
    bench, before, after, again = Bench(), an_assignment(), an_assignment(), an_assignment()
    old = await bench.hands_out(before, a_task(id=1), 0)
    before.lose()
    new = await bench.hands_out(after, a_task(id=2), 0)

    await old.done()
    await bench.joins(again, a_task(id=2), 0)
    await new.done()

    assert (after.unflushed, again.unflushed) == ((0, "0"), (0, "0"))


async def test_an_offer_is_withdrawn_when_the_partition_is_lost():
    bench, before, after = Bench(), an_assignment(), an_assignment()
    task = a_task(id=1)
    offering = asyncio.create_task(bench.consumer.on_event(before, an_event(task, 3)))
    await asyncio.sleep(0)

    before.lose()
    await offering

    assert (await bench.hands_out(after, task, 3)).task == task
