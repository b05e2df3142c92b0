"""One side of the Event Hubs benchmark in a process of its own: Latigo's queue, or the client library bare.

Started with a configuration as JSON: ``side`` (``latigo`` or ``bare``), ``connection_string`` of a hub of its own,
and ``ledger`` for Latigo's. Then it reads requests, line by line, ``{"publish": N}`` or ``{"consume": N}``. It
responds with wall and CPU seconds, and with the number of events that they are for: all that are sent, with the
clients open and the tasks (for the bare side their bytes) made; or those after the first that is received, since
opening the clients is another thing.
"""

import asyncio
import gc
import json
import sys
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext
from pydantic import SecretStr

from benchmarks.planning import SPEC
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window
from latigo.postgres.database import Pool
from latigo.runtime.clock import SystemClock
from latigo.runtime.event_loop import run_async
from latigo.runtime.log import configure_logging
from latigo.settings import EventHubQueue, Settings
from latigo.task_queue.envelope import HIGHEST, encode
from latigo.task_queue.eventhub.partitions import partition_of
from latigo.task_queue.eventhub.receiver import open_receiver
from latigo.task_queue.eventhub.sender import EventHubSender, open_sender
from latigo.wiring.ledger import connect_to

#: As many as may be out at once, which the scheduler publishes together.
AT_ONCE = 2000
CONCURRENCY = 32
PREFETCH = 300  #: of the bare client: its own default
_WINDOW = Window(datetime(2025, 10, 20, tzinfo=UTC), datetime(2025, 10, 20, 0, 30, tzinfo=UTC))


def some_tasks(first: int, count: int) -> list[Task]:
    """Return tasks of as many models."""
    return [
        Task(number, 1, _spec(number), _WINDOW, int(timedelta(minutes=30).total_seconds()), Lane.LIVE)
        for number in range(first, first + count)
    ]


def _spec(number: int) -> ModelSpec:
    return ModelSpec.from_json(ModelRef("plant-a", f"pump-{number:06d}"), "1764547200000", True, SPEC)


class Watch:
    """Wall and CPU time since its start."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def read(self, events: int) -> dict[str, float]:
        """Return the measurement for ``events``."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        return {"cpu": cpu, "wall": wall, "events": events}


class Side(ABC):
    """One side, which sends and receives."""

    @abstractmethod
    async def publish(self, tasks: Sequence[Task]) -> dict[str, float]:
        """Send events, as many at once as possible."""

    @abstractmethod
    async def consume(self, count: int) -> dict[str, float]:
        """Receive events and discard them."""


class LatigoSide(Side):
    """The queue of scheduler and executors."""

    def __init__(self, section: EventHubQueue, pool: Pool, sender: EventHubSender) -> None:
        self._section = section
        self._pool = pool
        self._sender = sender

    async def publish(self, tasks: Sequence[Task]) -> dict[str, float]:
        watch = Watch()
        for begin in range(0, len(tasks), AT_ONCE):
            some = tasks[begin : begin + AT_ONCE]
            if len(await self._sender.publish(some, HIGHEST)) < len(some):
                raise RuntimeError("not everything was sent")
        return watch.read(len(tasks))

    async def consume(self, count: int) -> dict[str, float]:
        watch, seen = Watch(), set[int]()
        async with (
            open_receiver(self._section, self._pool, clock=SystemClock(), concurrency=CONCURRENCY) as receiver,
            aclosing(receiver.receive()) as deliveries,
        ):
            async for delivery in deliveries:
                if not seen:
                    watch.start()
                seen.add(delivery.task.id)
                await delivery.done()
                if len(seen) == count:
                    return watch.read(count - 1)
        raise RuntimeError("receiving ended")


class BareSide(Side):
    """The client library, with nothing around it."""

    def __init__(self, connection_string: str, producer: EventHubProducerClient) -> None:
        self._connection_string = connection_string
        self._producer = producer
        self._seen: dict[str, int] = defaultdict(lambda: -1)

    async def publish(self, tasks: Sequence[Task]) -> dict[str, float]:
        partitions = sorted(await self._producer.get_partition_ids(), key=int)
        turns = [self._bodies(tasks[begin : begin + AT_ONCE], partitions) for begin in range(0, len(tasks), AT_ONCE)]
        watch = Watch()
        for turn in turns:
            await asyncio.gather(*(self._send(partition, bodies) for partition, bodies in turn.items()))
        return watch.read(len(tasks))

    async def consume(self, count: int) -> dict[str, float]:
        watch, received, all_here = Watch(), 0, asyncio.Event()

        async def on_event(context: PartitionContext, event: EventData | None) -> None:
            nonlocal received
            if event is None:
                return
            if not received:
                watch.start()
            received += 1
            assert event.sequence_number is not None
            self._seen[context.partition_id] = event.sequence_number
            if received == count:
                all_here.set()

        async with EventHubConsumerClient.from_connection_string(self._connection_string, "$Default") as consumer:
            # No event has a negative number; what was seen is not seen again.
            positions = {each: self._seen[each] for each in await consumer.get_partition_ids()}
            receiving = asyncio.create_task(consumer.receive(on_event, prefetch=PREFETCH, starting_position=positions))
            await all_here.wait()
            answer = watch.read(count - 1)
            receiving.cancel()
            await asyncio.wait([receiving])
            return answer

    @staticmethod
    def _bodies(tasks: Sequence[Task], partitions: Sequence[str]) -> dict[str, list[bytes]]:
        result: dict[str, list[bytes]] = defaultdict(list)
        for task in tasks:
            result[partitions[partition_of(task.ref, len(partitions))]].append(encode(task))
        return result

    async def _send(self, partition: str, bodies: Sequence[bytes]) -> None:
        batch: EventDataBatch = await self._producer.create_batch(partition_id=partition)
        for body in bodies:
            try:
                batch.add(EventData(body))
            except ValueError:  # it is full
                await self._producer.send_batch(batch)
                batch = await self._producer.create_batch(partition_id=partition)
                batch.add(EventData(body))
        await self._producer.send_batch(batch)


@asynccontextmanager
async def open_side(configuration: dict[str, Any]) -> AsyncIterator[Side]:
    """Open the requested side."""
    connection_string = configuration["connection_string"]
    if configuration["side"] == "bare":
        async with EventHubProducerClient.from_connection_string(connection_string) as producer:
            yield BareSide(connection_string, producer)
        return
    section = EventHubQueue(connection_string=SecretStr(connection_string))
    async with (
        connect_to(configuration["ledger"], Settings()) as database,
        open_sender(section, database.pool, clock=SystemClock()) as sender,
    ):
        yield LatigoSide(section, database.pool, sender)


async def work(configuration: dict[str, Any]) -> None:
    orders, made = asyncio.StreamReader(), 0
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with open_side(configuration) as side:
        gc.freeze()  # as `latigo serve` does
        while line := await orders.readline():
            match json.loads(line):
                case {"publish": int(count)}:
                    tasks = some_tasks(made + 1, count)
                    made += count
                    answer = await side.publish(tasks)
                case {"consume": int(count)}:
                    answer = await side.consume(count)
                case order:
                    raise ValueError(f"no such order: {order}")
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    configure_logging("json")
    run_async(lambda: work(json.loads(sys.argv[1])))
