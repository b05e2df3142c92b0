"""The executors' end: partitions shared with all others, events handed out one by one, checkpoints behind them.

At any time at most one client of the library is alive. It is made when somebody begins to take tasks and closed when
nobody takes any more, when the watchdog says so, and at the end; its trackers never outlive it.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Literal

import structlog
from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from latigo.domain.errors import Unavailable
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.retry import backoff
from latigo.task_queue.eventhub.background import Background
from latigo.task_queue.eventhub.checkpoints import PostgresCheckpointStore
from latigo.task_queue.eventhub.connection import (
    GROUP,
    AnyClient,
    Balancing,
    Hub,
    HubAddress,
    open_hub,
    translated,
)
from latigo.task_queue.eventhub.hand_off import HandOff
from latigo.task_queue.eventhub.intake import Assignment, HubDelivery, Intake
from latigo.task_queue.eventhub.limits import put_down
from latigo.task_queue.eventhub.offsets import Position
from latigo.task_queue.eventhub.tables import Pool, QueueTables
from latigo.task_queue.eventhub.watchdog import Sighting, Verdict, Watchdog

_log = structlog.get_logger()

#: Events behind a watermark, for each partition: one task that takes its full quarter of an hour must not stop what is
#: behind it, and after a crash no more than these are repeated.
MOST_BEHIND = 4096

State = Literal["idle", "receiving", "away", "recreated"]


@dataclass(frozen=True, slots=True)
class ReceiverTiming:
    """How long the receiver waits for what.

    Args:
        balancing: how partitions are shared out.
        flush: between two checkpoints.
        linger: once nobody takes tasks any more, those in hand have so long to be done before the partitions go to
            others; what is done later is repeated there, for a moment.
        close: for the client library to close.
        look: between two looks of the watchdog.
        look_call: for each partition.
        away_after: see `Watchdog`.
        stuck_after: see `Watchdog`.
        first_probe: until the first look at a hub that was away; doubles each time.
        longest_probe: no pause is longer.
    """

    balancing: Balancing = field(default_factory=Balancing)
    flush: timedelta = timedelta(seconds=2)
    linger: timedelta = timedelta(seconds=5)
    close: timedelta = timedelta(seconds=10)
    look: timedelta = timedelta(seconds=30)
    look_call: timedelta = timedelta(seconds=20)
    away_after: timedelta = timedelta(minutes=3)
    stuck_after: timedelta = timedelta(minutes=2)
    first_probe: timedelta = timedelta(seconds=5)
    longest_probe: timedelta = timedelta(minutes=1)


class EventHubReceiver:
    """Opened by `open_receiver`.

    ``state`` tells what it is doing: ``idle`` (nobody takes), ``receiving``, ``away`` (the hub does not answer; it is
    looked at now and then), ``recreated`` (the hub is another one than its checkpoints; it waits for their reset).
    """

    def __init__(
        self, hub: Hub, tables: QueueTables, *, prefetch: int, most_behind: int, timing: ReceiverTiming
    ) -> None:
        self.channel = hub.channel
        self.state: State = "idle"
        self._hub = hub
        self._tables = tables
        self._clock = hub.clock
        self._prefetch = prefetch
        self._timing = timing
        self._takers = 0
        self._closing = asyncio.Event()
        self._news = asyncio.Event()
        self._hand_off: HandOff[HubDelivery] = HandOff()
        self._intake = Intake(self._hand_off, tables, hub.clock, most=most_behind, changed=self._news.set)

    @property
    def refused(self) -> int:
        """Messages that this process has recorded as unreadable."""
        return self._intake.refused

    @property
    def partitions(self) -> list[str]:
        """The partitions that are ours."""
        return sorted(each.partition for each in self._intake.assignments)

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
                verdict = await self._session()
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

    async def _session(self) -> Verdict:
        """The life of one client; why it ended. ``FINE``: nobody takes any more."""
        store = PostgresCheckpointStore(self._tables, self._clock)
        client = self._hub.consumer(self._tables.group, store, self._timing.balancing)
        receiving = asyncio.create_task(self._pump(client, store), name="receiving")
        others = [
            asyncio.create_task(work, name="receiver upkeep")
            for work in (self._flush_often(store), self._watch(client), self._until_unwanted())
        ]
        try:
            ended, _ = await asyncio.wait([receiving, *others], return_when=asyncio.FIRST_COMPLETED)
            return ended.pop().result()
        finally:
            await put_down(*others)
            await self._end(client, store, receiving)

    async def _end(
        self, client: EventHubConsumerClient, store: PostgresCheckpointStore, receiving: "asyncio.Task[Verdict]"
    ) -> None:
        """Flush, let go of all partitions, close; none of it may take long, whatever state the client is in."""
        await self._flush(store, *self._intake.assignments)
        receiving.cancel()
        await asyncio.wait([receiving], timeout=self._timing.close.total_seconds())
        receiving.cancel()  # a client that hangs in closing its partitions is left to itself
        self._intake.lose_all()
        await self._hub.close(client, self._timing.close)
        try:
            await store.release()
        except Unavailable as error:
            _log.warning("queue.not_released", because=str(error))

    async def _pump(self, client: EventHubConsumerClient, store: PostgresCheckpointStore) -> Verdict:
        async def on_event(context: PartitionContext, event: EventData | None) -> None:
            if event is not None:
                await self._intake.on_event(context.partition_id, event)

        async def on_error(context: PartitionContext | None, error: Exception) -> None:
            self._tell_error(context, error)

        async def on_partition_initialize(context: PartitionContext) -> None:
            self._intake.assign(context.partition_id)
            _log.info("queue.partition_taken", partition=context.partition_id)

        async def on_partition_close(context: PartitionContext, reason: CloseReason) -> None:
            partition = context.partition_id
            if reason is CloseReason.SHUTDOWN:  # still ours, for as long as this takes
                await self._flush(store, *(each for each in self._intake.assignments if each.partition == partition))
            self._intake.lose(partition)
            _log.info("queue.partition_left", partition=partition, reason=reason.name.lower())

        try:
            with self._hub.errors("receiving"):
                await client.receive(
                    on_event=on_event,
                    on_error=on_error,
                    on_partition_initialize=on_partition_initialize,
                    on_partition_close=on_partition_close,
                    prefetch=self._prefetch,
                    starting_position="-1",
                )
        except Unavailable as error:
            _log.error("queue.receiving_ended", because=str(error))
        return Verdict.AWAY

    def _tell_error(self, context: PartitionContext | None, error: Exception) -> None:
        away = error if isinstance(error, Unavailable) else translated(error, "receiving")
        told = _log.error if away.alarm else _log.warning
        if context is None:
            told("queue.balancing_failed", because=str(away))
        else:
            told("queue.partition_failed", partition=context.partition_id, because=str(away))

    async def _flush_often(self, store: PostgresCheckpointStore) -> Verdict:
        while True:
            await self._clock.sleep(self._timing.flush)
            await self._flush(store, *self._intake.assignments)

    async def _flush(self, store: PostgresCheckpointStore, *assignments: Assignment) -> None:
        moved = self._intake.moved(assignments)
        if not moved:
            return
        try:
            await store.advance(moved)
        except Unavailable as error:
            _log.warning("queue.checkpoint_delayed", partitions=sorted(moved), because=str(error))
            return
        for assignment in assignments:
            if assignment.partition in moved:
                assignment.flushed = moved[assignment.partition].sequence

    async def _until_unwanted(self) -> Verdict:
        """Until nobody takes any more, and what is in hand is done or has had its time."""
        until: float | None = None
        while not self._closing.is_set():
            now = self._clock.monotonic()
            if self._takers:
                until = None
            elif until is None:
                until = now + self._timing.linger.total_seconds()
            if until is not None and (not self._intake.in_hand or now >= until):
                break
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if until is None else until - now):
                    await self._news.wait()
        return Verdict.FINE

    async def _watch(self, client: EventHubConsumerClient) -> Verdict:
        timing = self._timing
        watchdog = Watchdog(away_after=timing.away_after, stuck_after=timing.stuck_after, now=self._clock.monotonic())
        while True:
            await self._clock.sleep(timing.look)
            try:
                checkpoints = await self._tables.checkpoints()
            except Unavailable as error:  # says nothing about the hub
                _log.warning("queue.not_watched", because=str(error))
                continue
            nothing = Position(-1, "")
            received = {
                each.partition: max(each.received, checkpoints.get(each.partition, nothing).sequence)
                for each in self._intake.assignments
            }
            try:
                sightings = await self._look(client, received)
            except Unavailable as error:
                told = _log.error if error.alarm else _log.warning
                told("queue.not_answering", because=str(error))
                verdict = watchdog.failed(self._clock.monotonic())
            else:
                verdict = watchdog.saw(sightings, self._clock.monotonic())
            if verdict is not Verdict.FINE:
                _log.error("queue.client_given_up", because=verdict.name.lower(), partitions=self.partitions)
                return verdict

    async def _look(self, client: AnyClient, received: dict[str, int]) -> list[Sighting]:
        """Ask the hub about our partitions; when we have none, about itself."""
        if not received:
            await self._hub.partition_ids(client, self._timing.look_call)
        found = []
        for name, newest in received.items():
            partition = await self._hub.partition(client, name, self._timing.look_call)
            is_held = any(each.is_held for each in self._intake.assignments if each.partition == name)
            found.append(Sighting(partition, newest, is_held))
        return found

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
    address: HubAddress,
    pool: Pool,
    *,
    clock: Clock,
    concurrency: int,
    group: str = GROUP,
    most_behind: int = MOST_BEHIND,
    timing: ReceiverTiming | None = None,
) -> AsyncIterator[EventHubReceiver]:
    """An executor's end of a hub. Leaving it checkpoints what is done and gives its partitions to others.

    Args:
        address: where the hub is. It may be away for as long as it likes: that is logged, and seen in ``state``.
        pool: connections to the ledger's database.
        clock: the machine's.
        concurrency: tasks that are worked on at once; so many events of each partition are fetched ahead.
        group: the consumer group.
        most_behind: events of a partition that may be begun after its first one that is not done.
        timing: shorter for tests.

    Raises:
        ConfigurationError: the address cannot be used here.
    """
    async with open_hub(address, clock) as hub:
        tables = QueueTables(pool, hub.channel, group)
        receiver = EventHubReceiver(
            hub, tables, prefetch=max(concurrency, 1), most_behind=most_behind, timing=timing or ReceiverTiming()
        )
        background = Background()
        background.start(receiver.run(), "queue receiver", ends=True)
        try:
            yield receiver
        finally:
            receiver.close()
            await background.stop()
