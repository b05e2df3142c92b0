"""The scheduler's end: tasks are sent in a batch for each partition; all tasks of a model go to the same partition."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.aio import EventHubProducerClient

from latigo.domain.errors import Unavailable
from latigo.domain.task import MANY_TASKS, Task
from latigo.postgres.database import Pool
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import off_loop
from latigo.runtime.retry import backoff
from latigo.settings import EventHubQueue
from latigo.task_queue.background import Background
from latigo.task_queue.envelope import LARGEST, encode
from latigo.task_queue.eventhub.connection import Hub, open_hub
from latigo.task_queue.eventhub.lag import Monitor
from latigo.task_queue.eventhub.partitions import partition_of
from latigo.task_queue.eventhub.store import QueueStore
from latigo.task_queue.limits import limited

_log = get_logger(__name__)

#: Tasks that are added to batches, at about 0.1 ms each, before the event loop gets a turn.
_TASKS_A_TURN = 50


@dataclass(frozen=True, slots=True)
class SenderTiming:
    """Intervals and time limits of the sender.

    Args:
        confirm_timeout: for the hub to confirm a batch; the client library waits about twice as long.
        call_timeout: for one call of the client library, whatever it does.
        first_pause: after a failed attempt; doubles with each that follows.
        longest_pause: no pause is longer.
        keep_alive: between two keep-alives on an idle connection; closing one takes a second with them.
        poll_interval: between two readings of all partitions.
        poll_timeout: for each partition.
    """

    confirm_timeout: timedelta = timedelta(seconds=10)
    call_timeout: timedelta = timedelta(seconds=30)
    first_pause: timedelta = timedelta(milliseconds=500)
    longest_pause: timedelta = timedelta(seconds=15)
    keep_alive: timedelta = timedelta(seconds=30)
    poll_interval: timedelta = timedelta(seconds=30)
    poll_timeout: timedelta = timedelta(seconds=20)


class _Message(NamedTuple):
    """A task and its envelope."""

    task: Task
    data: bytes


class _Producer(NamedTuple):
    """A client, and the partitions of its hub."""

    client: EventHubProducerClient
    partitions: Sequence[str]


class EventHubSender:
    """`TaskSender` on an event hub. Opened by `open_sender`.

    ``publish`` makes one attempt. After a failure it takes no task until a pause is over, so that the scheduler, which
    calls it every second, continues with everything else.
    """

    held = None

    def __init__(self, hub: Hub, store: QueueStore, background: Background, timing: SenderTiming) -> None:
        self.channel = hub.channel
        self._hub = hub
        self._store = store
        self._background = background
        self._timing = timing
        self._producer: _Producer | None = None
        self._failures = 0  # since the last success
        self._next_attempt_at = -math.inf
        self._turn = asyncio.Lock()

    @property
    def trouble(self) -> str:
        """Why no task can be sent, as of the last call; empty when the hub answered it."""
        return self._hub.trouble

    @property
    def outage(self) -> str:
        """Why the hub did not answer the last call; empty when it did."""
        return self._hub.trouble

    async def publish(self, tasks: Sequence[Task], version: int) -> Mapping[int, str]:
        self._background.raise_error()
        async with self._turn:
            if not tasks or self._hub.clock.monotonic() < self._next_attempt_at:
                return {}
            sent: dict[int, str] = {}
            messages = await off_loop(len(tasks), MANY_TASKS, lambda: messages_of(tasks, version))
            failure = await self._attempt(messages, sent)
            if failure is None:
                self._failures = 0
                return sent
            self._postpone(failure, len(tasks) - len(sent))
            if sent:
                return sent
            raise failure

    async def close(self) -> None:
        """Close the connection."""
        self._discard_client()

    async def _attempt(self, messages: Sequence[_Message], sent: dict[int, str]) -> Unavailable | None:
        """Send all messages; add what was sent to ``sent``, and return a failure, one that needs an operator first."""
        try:
            producer = await self._open()
        except Unavailable as error:
            return error
        by_partition = await off_loop(len(messages), MANY_TASKS, lambda: _by_partition(messages, producer.partitions))
        failures = await asyncio.gather(
            *(self._send(producer.client, partition, tasks, sent) for partition, tasks in by_partition.items())
        )
        return max(filter(None, failures), key=lambda failure: failure.alarm, default=None)

    def _postpone(self, failure: Unavailable, tasks: int) -> None:
        """Make the next attempt after a pause, with a new client, which reads the partitions again."""
        timing = self._timing
        self._failures += 1
        pause = backoff(self._failures, timing.first_pause, timing.longest_pause, random.random)
        self._next_attempt_at = self._hub.clock.monotonic() + pause.total_seconds()
        log = _log.error if failure.alarm else _log.warning
        log("queue.send_failed", count=tasks, attempt=self._failures, error=str(failure))
        self._discard_client()

    async def _open(self) -> _Producer:
        if self._producer is None:
            client = self._hub.producer(self._timing.keep_alive)
            try:
                self._producer = _Producer(client, await self._hub.partition_ids(client, self._timing.call_timeout))
            except BaseException:
                self._background.start(self._hub.close(client), "closing the producer", ends=True)
                raise
        return self._producer

    async def _send(
        self, client: EventHubProducerClient, partition: str, messages: Sequence[_Message], sent: dict[int, str]
    ) -> Unavailable | None:
        place = f"{self.channel}#{partition}"
        try:
            batch, inside = await self._open_batch(client, partition), list[int]()
            for number, message in enumerate(messages, 1):
                if number % _TASKS_A_TURN == 0:
                    await asyncio.sleep(0)
                added = _added(batch, message)
                if inside and not added:
                    await self._send_batch(client, batch, partition)
                    sent.update(dict.fromkeys(inside, place))
                    batch, inside = await self._open_batch(client, partition), []
                    added = _added(batch, message)
                if added:
                    inside.append(message.task.id)
                else:
                    await self._refuse(message, partition)
            if inside:
                await self._send_batch(client, batch, partition)
                sent.update(dict.fromkeys(inside, place))
        except Unavailable as error:
            return error
        return None

    async def _open_batch(self, client: EventHubProducerClient, partition: str) -> EventDataBatch:
        with self._hub.errors(f"opening partition {partition}"):
            return await limited(client.create_batch(partition_id=partition), self._timing.call_timeout)

    async def _send_batch(self, client: EventHubProducerClient, batch: EventDataBatch, partition: str) -> None:
        with self._hub.errors(f"sending to partition {partition}"):
            await limited(
                client.send_batch(batch, timeout=self._timing.confirm_timeout.total_seconds()),
                self._timing.call_timeout,
            )

    async def _refuse(self, message: _Message, partition: str) -> None:
        """Record a task that no message can hold: the scheduler parks it."""
        size = len(message.data)
        if await self._store.refuse_unsent(partition, message.task.id, f"{message.task.ref}: {size} bytes"):
            _log.error("task.too_large", task=message.task.id, model=str(message.task.ref), bytes=size)

    def _discard_client(self) -> None:
        if self._producer:
            self._background.start(self._hub.close(self._producer.client), "closing the producer", ends=True)
            self._producer = None


def messages_of(tasks: Sequence[Task], version: int) -> list[_Message]:
    """Return tasks with their envelopes, in their order."""
    return [_Message(task, encode(task, version)) for task in tasks]


def _by_partition(messages: Sequence[_Message], partitions: Sequence[str]) -> Mapping[str, Sequence[_Message]]:
    by_partition: dict[str, list[_Message]] = {}
    for message in messages:
        target = partitions[partition_of(message.task.ref, len(partitions))]
        by_partition.setdefault(target, []).append(message)
    return by_partition


def _added(batch: EventDataBatch, message: _Message) -> bool:
    """Add a message to the batch; return False if there is no room for it."""
    if len(message.data) > LARGEST:
        return False
    event = EventData(message.data)
    event.message_id = str(message.task.id)
    try:
        batch.add(event)
    except ValueError:
        return False
    return True


@asynccontextmanager
async def open_sender(
    eventhub: EventHubQueue, pool: Pool, *, clock: Clock, timing: SenderTiming | None = None
) -> AsyncIterator[EventHubSender]:
    """Open the scheduler's end of a hub, and the monitor that records its state in the database.

    Args:
        eventhub: settings of the queue. The hub need not be reachable before something is sent.
        pool: connections to the ledger's database.
        clock: the clock of this machine.
        timing: shorter for tests.

    Raises:
        ConfigurationError: the settings cannot be used here.
    """
    timing = timing or SenderTiming()
    async with open_hub(eventhub, clock) as hub:
        store = QueueStore(pool, hub.channel, eventhub.consumer_group)
        background = Background()
        sender = EventHubSender(hub, store, background, timing)
        background.start(
            Monitor(hub, store, interval=timing.poll_interval, timeout=timing.poll_timeout).run(), "queue monitor"
        )
        try:
            yield sender
        finally:
            await sender.close()
            await background.stop()
