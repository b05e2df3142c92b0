"""The scheduler's end: tasks go out in one batch a partition, and always to the same partition for a model."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

import structlog
from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

from latigo.domain.errors import Unavailable
from latigo.domain.task import Task
from latigo.runtime.clock import Clock
from latigo.runtime.retry import backoff
from latigo.settings import EventHubQueue
from latigo.task_queue.envelope import LARGEST, encode
from latigo.task_queue.eventhub.background import Background
from latigo.task_queue.eventhub.connection import Hub, open_hub
from latigo.task_queue.eventhub.lag import Monitor
from latigo.task_queue.eventhub.limits import limited
from latigo.task_queue.eventhub.partitions import partition_of
from latigo.task_queue.eventhub.store import Pool, QueueTables

_log = structlog.get_logger()

#: Tasks that are put into batches, at about 0.1 ms each, before others get their turn.
_BREATH = 50


@dataclass(frozen=True, slots=True)
class SenderTiming:
    """How long the sender waits for what.

    Args:
        answer: for the hub to confirm a batch; the client library waits about twice as long before it gives up.
        call: for one call of the client library, whatever it does.
        first_pause: after a failed attempt; doubles with each that follows.
        longest_pause: no pause is longer.
        keep_alive: between two signs of life on an idle connection; closing one takes a second with them.
        look: between two readings of all partitions.
        look_call: for each of these.
    """

    answer: timedelta = timedelta(seconds=10)
    call: timedelta = timedelta(seconds=30)
    first_pause: timedelta = timedelta(milliseconds=500)
    longest_pause: timedelta = timedelta(seconds=15)
    keep_alive: timedelta = timedelta(seconds=30)
    look: timedelta = timedelta(seconds=30)
    look_call: timedelta = timedelta(seconds=20)


class _Letter(NamedTuple):
    """A task as it goes out."""

    task: Task
    data: bytes


class _Producer(NamedTuple):
    """A client, and what it has learned."""

    client: EventHubProducerClient
    partitions: Sequence[str]


class EventHubSender:
    """Opened by `open_sender`.

    ``publish`` tries once. After a failure it takes nothing until a pause is over, so that the scheduler, which comes
    back every second, does everything else in between.
    """

    def __init__(self, hub: Hub, tables: QueueTables, background: Background, timing: SenderTiming) -> None:
        self.channel = hub.channel
        self._hub = hub
        self._tables = tables
        self._background = background
        self._timing = timing
        self._producer: _Producer | None = None
        self._failures = 0  # since the last success
        self._again_at = -math.inf
        self._turn = asyncio.Lock()

    @property
    def trouble(self) -> str:
        """Why nothing can be sent, as far as is known without asking; empty when the hub answered last time."""
        return self._hub.trouble

    async def publish(self, tasks: Sequence[Task], version: int) -> Mapping[int, str]:
        self._background.raise_fault()
        async with self._turn:
            if not tasks or self._hub.clock.monotonic() < self._again_at:
                return {}
            sent: dict[int, str] = {}
            failure = await self._attempt([_Letter(task, encode(task, version)) for task in tasks], sent)
            if failure is None:
                self._failures = 0
                return sent
            self._put_off(failure, len(tasks) - len(sent))
            if sent:
                return sent
            raise failure

    async def close(self) -> None:
        """Let go of the connection."""
        self._give_up_client()

    async def _attempt(self, letters: Sequence[_Letter], sent: dict[int, str]) -> Unavailable | None:
        """Send all; adds to ``sent`` what went out, and tells what went wrong, before all what needs somebody."""
        try:
            producer = await self._open()
        except Unavailable as error:
            return error
        by_partition: dict[str, list[_Letter]] = {}
        for letter in letters:
            target = producer.partitions[partition_of(letter.task.ref, len(producer.partitions))]
            by_partition.setdefault(target, []).append(letter)
        failures = await asyncio.gather(
            *(self._send(producer.client, partition, each, sent) for partition, each in by_partition.items())
        )
        return max(filter(None, failures), key=lambda failure: failure.alarm, default=None)

    def _put_off(self, failure: Unavailable, tasks: int) -> None:
        """The next attempt is made after a pause, with a new client, which counts the partitions again."""
        timing = self._timing
        self._failures += 1
        pause = backoff(self._failures, timing.first_pause, timing.longest_pause, random.random)
        self._again_at = self._hub.clock.monotonic() + pause.total_seconds()
        told = _log.error if failure.alarm else _log.warning
        told("queue.send_failed", tasks=tasks, attempt=self._failures, because=str(failure))
        self._give_up_client()

    async def _open(self) -> _Producer:
        if self._producer is None:
            client = self._hub.producer(self._timing.keep_alive)
            try:
                self._producer = _Producer(client, await self._hub.partition_ids(client, self._timing.call))
            except BaseException:
                self._background.start(self._hub.close(client), "closing the producer", ends=True)
                raise
        return self._producer

    async def _send(
        self, client: EventHubProducerClient, partition: str, letters: Sequence[_Letter], sent: dict[int, str]
    ) -> Unavailable | None:
        place = f"{self.channel}#{partition}"
        try:
            batch, inside = await self._batch(client, partition), list[int]()
            for number, letter in enumerate(letters, 1):
                if number % _BREATH == 0:
                    await asyncio.sleep(0)
                fits = _fits(batch, letter)
                if inside and not fits:
                    await self._ship(client, batch, partition)
                    sent.update(dict.fromkeys(inside, place))
                    batch, inside = await self._batch(client, partition), []
                    fits = _fits(batch, letter)
                if fits:
                    inside.append(letter.task.id)
                else:
                    await self._refuse(letter, partition)
            if inside:
                await self._ship(client, batch, partition)
                sent.update(dict.fromkeys(inside, place))
        except Unavailable as error:
            return error
        return None

    async def _batch(self, client: EventHubProducerClient, partition: str) -> EventDataBatch:
        with self._hub.errors(f"opening partition {partition}"):
            return await limited(client.create_batch(partition_id=partition), self._timing.call)

    async def _ship(self, client: EventHubProducerClient, batch: EventDataBatch, partition: str) -> None:
        with self._hub.errors(f"sending to partition {partition}"):
            await limited(client.send_batch(batch, timeout=self._timing.answer.total_seconds()), self._timing.call)

    async def _refuse(self, letter: _Letter, partition: str) -> None:
        """A task that no hub and no reader takes, whatever is done: seen by people, and by the ledger."""
        size = len(letter.data)
        if await self._tables.refuse_unsent(partition, letter.task.id, f"{letter.task.ref}: {size} bytes"):
            _log.error("task.too_large", task=letter.task.id, model=str(letter.task.ref), bytes=size)

    def _give_up_client(self) -> None:
        if self._producer:
            self._background.start(self._hub.close(self._producer.client), "closing the producer", ends=True)
            self._producer = None


def _fits(batch: EventDataBatch, letter: _Letter) -> bool:
    """Put it into the batch if it has room."""
    if len(letter.data) > LARGEST:
        return False
    event = EventData(letter.data)
    event.message_id = str(letter.task.id)
    try:
        batch.add(event)
    except ValueError:
        return False
    return True


@asynccontextmanager
async def open_sender(
    eventhub: EventHubQueue, pool: Pool, *, clock: Clock, timing: SenderTiming | None = None
) -> AsyncIterator[EventHubSender]:
    """The scheduler's end of a hub, and the monitor that keeps its state in the database.

    Args:
        eventhub: settings of the queue. The hub may be unavailable: that shows when something is sent.
        pool: connections to the ledger's database.
        clock: the machine's.
        timing: shorter for tests.

    Raises:
        ConfigurationError: the settings cannot be used here.
    """
    timing = timing or SenderTiming()
    async with open_hub(eventhub, clock) as hub:
        tables = QueueTables(pool, hub.channel, eventhub.consumer_group)
        background = Background()
        sender = EventHubSender(hub, tables, background, timing)
        background.start(Monitor(hub, tables, every=timing.look, within=timing.look_call).run(), "queue monitor")
        try:
            yield sender
        finally:
            await sender.close()
            await background.stop()
