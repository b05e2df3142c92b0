"""The executor's end: partitions shared with other executors, events delivered one by one, checkpoints after them.

At any time at most one client of the library is alive, in a `Session`. It is created when tasks are first taken, and
closed when no task is taken any more, when the watchdog orders it, when it has received enough, and at the end; the
state of its partitions never outlives it.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Literal

from latigo.domain.errors import Unavailable
from latigo.postgres.database import Pool
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.log import get_logger
from latigo.runtime.retry import backoff
from latigo.settings import EventHubQueue
from latigo.task_queue.background import Background
from latigo.task_queue.eventhub.channel import Channel
from latigo.task_queue.eventhub.connection import Hub, open_hub
from latigo.task_queue.eventhub.consumer import Consumer, HubDelivery
from latigo.task_queue.eventhub.session import Bounds, ReceiverTiming, Session
from latigo.task_queue.eventhub.store import QueueStore
from latigo.task_queue.eventhub.watchdog import Verdict
from latigo.task_queue.protocol import Delivery

_log = get_logger(__name__)

#: Events behind a watermark, for each partition: a task that takes its full quarter of an hour must not hold up the
#: events behind it, and after a crash no more than these are repeated.
MAX_BEHIND = 4096
#: Events that one client receives. The library keeps 70 bytes of each until its link is opened anew, which otherwise
#: happens only when something goes wrong: these are 20 MB, and with 9000 models two days of work for four executors.
MAX_EVENTS = 250_000

State = Literal["idle", "receiving", "unreachable", "recreated"]


class EventHubReceiver:
    """`TaskReceiver` on an event hub. Opened by `open_receiver`.

    ``state`` is ``idle`` (no task is taken), ``receiving``, ``unreachable`` (the hub does not answer and is
    probed with growing pauses) or ``recreated`` (the hub is not the one that the checkpoints are from; it waits for
    their reset).
    """

    def __init__(self, hub: Hub, store: QueueStore, bounds: Bounds, timing: ReceiverTiming) -> None:
        self.channel = hub.channel
        self.state: State = "idle"
        self._hub = hub
        self._store = store
        self._clock = hub.clock
        self._bounds = bounds
        self._timing = timing
        self._takers = 0
        self._is_paused = False
        self._closing = asyncio.Event()
        self._changed = asyncio.Event()
        self._deliveries: Channel[HubDelivery] = Channel()
        self._consumer = Consumer(self._deliveries, store, hub.clock)
        self._session: Session | None = None

    @property
    def trouble(self) -> str:
        """Why no task can be received, as of the last call; empty when the hub answered it."""
        if self.state == "recreated":
            return "event hub: is not the one that its checkpoints are from; run latigo queue reset to forget them"
        return self._hub.trouble

    @property
    def outage(self) -> str:
        """Why the hub did not answer the last call; empty when it did, also if it is another hub now."""
        return self._hub.trouble

    @property
    def refused(self) -> int:
        """Messages that this process has recorded as unreadable."""
        return self._consumer.refused

    @property
    def partitions(self) -> list[str]:
        """The partitions that are ours."""
        return self._session.partitions if self._session else []

    async def receive(self) -> AsyncGenerator[HubDelivery, None]:
        self._takers += 1
        self._changed.set()
        try:
            while True:
                yield await self._deliveries.take()
        finally:
            self._takers -= 1
            self._changed.set()

    takes_back = False  # a partition is one executor's, with all that is in it

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Refuse, as `takes_back` says."""
        raise NotImplementedError

    def limit(self, concurrency: int) -> None:
        """Release all partitions while no task will begin: others receive what is not done; claims refuse what runs.

        Any other limit changes nothing: what a client fetches ahead is fixed when it is created.
        """
        self._is_paused = concurrency == 0
        self._changed.set()

    async def run(self) -> None:
        """Keep a client alive while tasks are taken, until `close` is called."""
        try:
            while await self._is_needed():
                self.state = "receiving"
                self._session = Session(self._hub, self._store, self._consumer, self._bounds, self._timing)
                verdict = await self._session.run(self._until_idle())
                self.state = "idle"
                if verdict in {Verdict.UNREACHABLE, Verdict.RECREATED}:
                    await self._await_recovery(verdict)
        except Exception as error:
            self._deliveries.fail(error)
            raise

    def close(self) -> None:
        """Stop receiving, release all partitions, and end `run`."""
        self._closing.set()
        self._changed.set()

    @property
    def _is_taken(self) -> bool:
        return self._takers > 0 and not self._is_paused

    async def _is_needed(self) -> bool:
        while not (self._is_taken or self._closing.is_set()):
            self._changed.clear()
            await self._changed.wait()
        return not self._closing.is_set()

    async def _until_idle(self) -> None:
        while self._is_taken and not self._closing.is_set():
            self._changed.clear()
            await self._changed.wait()

    async def _await_recovery(self, verdict: Verdict) -> None:
        """Probe the hub until it answers and is the one that its checkpoints are from."""
        self.state = "recreated" if verdict is Verdict.RECREATED else "unreachable"
        _log.error("queue.hub_recreated" if verdict is Verdict.RECREATED else "queue.unreachable", channel=self.channel)
        for attempt in count(1):
            duration = backoff(attempt, self._timing.first_probe, self._timing.longest_probe, random.random)
            if await pause(self._clock, duration, self._closing):
                break
            try:
                recreated = await self._is_recreated()
            except Unavailable as error:
                _log.warning("queue.probe_failed", error=str(error))
                continue
            if not recreated:
                _log.info("queue.recovered", channel=self.channel)
                break
            self.state = "recreated"
        self.state = "idle"

    async def _is_recreated(self) -> bool:
        checkpoints = await self._store.checkpoints()
        client = self._hub.producer()
        try:
            names = await self._hub.partition_ids(client, self._timing.poll_timeout)
            for name in names:
                partition = await self._hub.partition(client, name, self._timing.poll_timeout)
                if name in checkpoints and partition.is_behind(checkpoints[name].sequence):
                    return True
            return False
        finally:
            await self._hub.close(client, self._timing.close_timeout)


@asynccontextmanager
async def open_receiver(
    eventhub: EventHubQueue,
    pool: Pool,
    *,
    clock: Clock,
    concurrency: int,
    max_behind: int = MAX_BEHIND,
    max_events: int = MAX_EVENTS,
    timing: ReceiverTiming | None = None,
) -> AsyncIterator[EventHubReceiver]:
    """Open an executor's end of a hub; on leaving, finished events are checkpointed and partitions released.

    Args:
        eventhub: settings of the queue. The hub need not be reachable: that is logged, and seen in ``state``.
        pool: connections to the ledger's database.
        clock: the clock of this machine.
        concurrency: number of tasks in progress; as many events of each partition are fetched ahead.
        max_behind: events of a partition that may be started after its first unfinished one.
        max_events: events after which the client of the library is replaced by a new one.
        timing: shorter for tests.

    Raises:
        ConfigurationError: the settings cannot be used here.
    """
    async with open_hub(eventhub, clock) as hub:
        store = QueueStore(pool, hub.channel, eventhub.consumer_group)
        bounds = Bounds(prefetch=max(concurrency, 1), behind=max_behind, events=max_events)
        receiver = EventHubReceiver(hub, store, bounds, timing or ReceiverTiming())
        background = Background()
        background.start(receiver.run(), "queue receiver", ends=True)
        try:
            yield receiver
        finally:
            receiver.close()
            await background.stop()
