"""The executors' end: partitions shared with all others, events handed out one by one, checkpoints behind them.

At any time at most one client of the library is alive, in a `Session`. It is made when somebody begins to take tasks,
and closed when nobody takes any more, when the watchdog says so, when it has brought in enough, and at the end; what is
known of its partitions never outlives it.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Literal

import structlog

from latigo.domain.errors import Unavailable
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.retry import backoff
from latigo.settings import EventHubQueue
from latigo.task_queue.eventhub.background import Background
from latigo.task_queue.eventhub.channel import HandOff
from latigo.task_queue.eventhub.connection import Hub, open_hub
from latigo.task_queue.eventhub.consumer import HubDelivery, Intake
from latigo.task_queue.eventhub.session import Bounds, ReceiverTiming, Session
from latigo.task_queue.eventhub.store import Pool, QueueTables
from latigo.task_queue.eventhub.watchdog import Verdict

_log = structlog.get_logger()

#: Events behind a watermark, for each partition: one task that takes its full quarter of an hour must not stop what is
#: behind it, and after a crash no more than these are repeated.
MOST_BEHIND = 4096
#: Events that one client brings in. The library keeps 70 bytes of each until its link is opened anew, which otherwise
#: happens only when something goes wrong: these are 20 MB, and with 9000 models two days of work for four executors.
MOST_EVENTS = 250_000

State = Literal["idle", "receiving", "away", "recreated"]


class EventHubReceiver:
    """Opened by `open_receiver`.

    ``state`` tells what it is doing: ``idle`` (nobody takes), ``receiving``, ``away`` (the hub does not answer; it is
    looked at now and then), ``recreated`` (the hub is another one than its checkpoints; it waits for their reset).
    """

    def __init__(self, hub: Hub, tables: QueueTables, bounds: Bounds, timing: ReceiverTiming) -> None:
        self.channel = hub.channel
        self.state: State = "idle"
        self._hub = hub
        self._tables = tables
        self._clock = hub.clock
        self._bounds = bounds
        self._timing = timing
        self._takers = 0
        self._closing = asyncio.Event()
        self._news = asyncio.Event()
        self._hand_off: HandOff[HubDelivery] = HandOff()
        self._intake = Intake(self._hand_off, tables, hub.clock)
        self._session: Session | None = None

    @property
    def trouble(self) -> str:
        """Why no task can come, as far as is known without asking; empty when the hub answered last time."""
        if self.state == "recreated":
            return "event hub: is another one than its checkpoints are from; see latigo queue reset"
        return self._hub.trouble

    @property
    def refused(self) -> int:
        """Messages that this process has recorded as unreadable."""
        return self._intake.refused

    @property
    def partitions(self) -> list[str]:
        """The partitions that are ours."""
        return self._session.partitions if self._session else []

    async def receive(self) -> AsyncGenerator[HubDelivery, None]:
        self._takers += 1
        self._news.set()
        try:
            while True:
                yield await self._hand_off.take()
        finally:
            self._takers -= 1
            self._news.set()

    async def run(self) -> None:
        """Keep a client alive while somebody takes, until `close` is called."""
        try:
            while await self._is_wanted():
                self.state = "receiving"
                self._session = Session(self._hub, self._tables, self._intake, self._bounds, self._timing)
                verdict = await self._session.run(self._until_unwanted())
                self.state = "idle"
                if verdict in {Verdict.AWAY, Verdict.RECREATED}:
                    await self._wait_out(verdict)
        except Exception as error:
            self._hand_off.fail(error)
            raise

    def close(self) -> None:
        """Take no more, let go of all partitions, and end `run`."""
        self._closing.set()
        self._news.set()

    async def _is_wanted(self) -> bool:
        while not (self._takers or self._closing.is_set()):
            self._news.clear()
            await self._news.wait()
        return not self._closing.is_set()

    async def _until_unwanted(self) -> None:
        while self._takers and not self._closing.is_set():
            self._news.clear()
            await self._news.wait()

    async def _wait_out(self, verdict: Verdict) -> None:
        """Look at the hub now and then until it answers and is the one that its checkpoints are from."""
        self.state = "recreated" if verdict is Verdict.RECREATED else "away"
        _log.error("queue.hub_recreated" if verdict is Verdict.RECREATED else "queue.away", channel=self.channel)
        for attempt in count(1):
            duration = backoff(attempt, self._timing.first_probe, self._timing.longest_probe, random.random)
            if await pause(self._clock, duration, self._closing):
                break
            try:
                recreated = await self._is_recreated()
            except Unavailable as error:
                _log.warning("queue.not_answering", because=str(error))
                continue
            if not recreated:
                _log.info("queue.answers", channel=self.channel)
                break
            self.state = "recreated"
        self.state = "idle"

    async def _is_recreated(self) -> bool:
        checkpoints = await self._tables.checkpoints()
        client = self._hub.producer()
        try:
            names = await self._hub.partition_ids(client, self._timing.look_call)
            for name in names:
                partition = await self._hub.partition(client, name, self._timing.look_call)
                if name in checkpoints and partition.is_behind(checkpoints[name].sequence):
                    return True
            return False
        finally:
            await self._hub.close(client, self._timing.close)


@asynccontextmanager
async def open_receiver(
    eventhub: EventHubQueue,
    pool: Pool,
    *,
    clock: Clock,
    concurrency: int,
    most_behind: int = MOST_BEHIND,
    most_events: int = MOST_EVENTS,
    timing: ReceiverTiming | None = None,
) -> AsyncIterator[EventHubReceiver]:
    """An executor's end of a hub. Leaving it checkpoints what is done and gives its partitions to others.

    Args:
        eventhub: settings of the queue. The hub may be unavailable for any time: that is logged, and seen in ``state``.
        pool: connections to the ledger's database.
        clock: the machine's.
        concurrency: tasks that are worked on at once; so many events of each partition are fetched ahead.
        most_behind: events of a partition that may be begun after its first one that is not done.
        most_events: events after which the client of the library is replaced by a new one.
        timing: shorter for tests.

    Raises:
        ConfigurationError: the settings cannot be used here.
    """
    async with open_hub(eventhub, clock) as hub:
        tables = QueueTables(pool, hub.channel, eventhub.consumer_group)
        bounds = Bounds(prefetch=max(concurrency, 1), behind=most_behind, events=most_events)
        receiver = EventHubReceiver(hub, tables, bounds, timing or ReceiverTiming())
        background = Background()
        background.start(receiver.run(), "queue receiver", ends=True)
        try:
            yield receiver
        finally:
            receiver.close()
            await background.stop()
