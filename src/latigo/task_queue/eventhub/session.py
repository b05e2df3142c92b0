"""The life of one client of the library: what it receives, its checkpoints, and when it has to be replaced."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import PartitionContext

from latigo.domain.errors import Unavailable
from latigo.runtime.log import get_logger
from latigo.task_queue.eventhub.checkpoints import PostgresCheckpointStore
from latigo.task_queue.eventhub.connection import Hub
from latigo.task_queue.eventhub.consumer import Assignment, Consumer
from latigo.task_queue.eventhub.offsets import Position
from latigo.task_queue.eventhub.store import QueueStore
from latigo.task_queue.eventhub.watchdog import Observation, Verdict, Watchdog
from latigo.task_queue.limits import cancel_all

_log = get_logger(__name__)

#: Rounds of balancing that may be missing before the client counts as stuck.
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class ReceiverTiming:
    """Intervals and time limits of the receiver.

    Args:
        flush_interval: between two checkpoints.
        close_timeout: for the client library to close.
        poll_interval: between two checks of the watchdog.
        poll_timeout: for each partition.
        unreachable_after: see `Watchdog`.
        stuck_after: see `Watchdog`.
        first_probe: until the first check of a hub that was unreachable; doubles each time.
        longest_probe: no pause is longer.
    """

    flush_interval: timedelta = timedelta(seconds=2)
    close_timeout: timedelta = timedelta(seconds=10)
    poll_interval: timedelta = timedelta(seconds=30)
    poll_timeout: timedelta = timedelta(seconds=20)
    unreachable_after: timedelta = timedelta(minutes=3)
    stuck_after: timedelta = timedelta(minutes=2)
    first_probe: timedelta = timedelta(seconds=5)
    longest_probe: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limit on what a client may receive.

    Args:
        prefetch: events of each partition that are fetched ahead.
        behind: events of a partition that may be started after its first unfinished one.
        events: events, of all partitions, after which the client is replaced.
    """

    prefetch: int
    behind: int
    events: int


class Session:
    """One client and the partitions that are assigned to it.

    They are this client's own: one that could not be closed in time, and releases its partitions late, takes nothing
    from the next one.
    """

    def __init__(self, hub: Hub, store: QueueStore, consumer: Consumer, bounds: Bounds, timing: ReceiverTiming) -> None:
        self._hub = hub
        self._store = store
        self._consumer = consumer
        self._bounds = bounds
        self._timing = timing
        self._clock = hub.clock
        self._checkpoints = PostgresCheckpointStore(store, hub.clock)
        self._client = hub.consumer(self._checkpoints)
        self._assignments: dict[str, Assignment] = {}
        self._events = 0
        self._is_worn = asyncio.Event()

    @property
    def partitions(self) -> list[str]:
        """The partitions that are ours."""
        return sorted(self._assignments)

    async def run(self, until_idle: Coroutine[Any, Any, None]) -> Verdict:
        """Receive until the client has to be replaced; return why.

        ``FINE``: ``until_idle`` has ended, since no task is taken any more, or the client has received enough.
        """
        receiving = asyncio.create_task(self._receive(), name="receiving")
        upkeep = [
            asyncio.create_task(work, name="receiver upkeep")
            for work in (self._keep_flushing(), self._watch(), _fine(until_idle), _fine(self._until_worn()))
        ]
        try:
            ended, _ = await asyncio.wait([receiving, *upkeep], return_when=asyncio.FIRST_COMPLETED)
            return ended.pop().result()
        finally:
            await cancel_all(*upkeep)
            await self._end(receiving)

    async def _end(self, receiving: "asyncio.Task[Verdict]") -> None:
        """Flush, release all partitions, close; within the time limit, whatever state the client is in."""
        await self._flush(*self._assignments.values())
        receiving.cancel()
        await asyncio.wait([receiving], timeout=self._timing.close_timeout.total_seconds())
        receiving.cancel()  # a client that hangs in closing its partitions is abandoned
        for assignment in self._assignments.values():
            assignment.lose()
        self._assignments.clear()
        await self._hub.close(self._client, self._timing.close_timeout)
        try:
            await self._checkpoints.release()
        except Unavailable as error:
            _log.warning("queue.release_failed", error=str(error))

    # --- callbacks of the client --------------------------------------------------------------------------------------

    async def _receive(self) -> Verdict:
        try:
            with self._hub.errors("receiving"):
                await self._client.receive(
                    on_event=self._on_event,
                    on_error=self._on_error,
                    on_partition_initialize=self._on_partition_acquired,
                    on_partition_close=self._on_partition_closed,
                    prefetch=self._bounds.prefetch,
                    starting_position="-1",
                )
        except Unavailable as error:
            _log.error("queue.receiver_stopped", error=str(error))
        return Verdict.UNREACHABLE

    async def _on_partition_acquired(self, context: PartitionContext) -> None:
        partition = context.partition_id
        if before := self._assignments.get(partition):
            before.lose()
        self._assignments[partition] = Assignment(partition, self._bounds.behind)
        _log.info("queue.partition_acquired", partition=partition)

    async def _on_partition_closed(self, context: PartitionContext, reason: CloseReason) -> None:
        partition = context.partition_id
        assignment = self._assignments.get(partition)
        if assignment is not None:
            if reason is CloseReason.SHUTDOWN:  # still ours, for as long as this takes
                await self._flush(assignment)
            assignment.lose()
            self._assignments.pop(partition, None)
        _log.info("queue.partition_closed", partition=partition, reason=reason.name.lower())

    async def _on_event(self, context: PartitionContext, event: EventData | None) -> None:
        if event is None:
            return
        self._events += 1
        if self._events >= self._bounds.events:
            self._is_worn.set()
        if assignment := self._assignments.get(context.partition_id):
            await self._consumer.on_event(assignment, event)
        else:
            _log.warning("queue.event_ignored", partition=context.partition_id, sequence=event.sequence_number)

    async def _on_error(self, context: PartitionContext | None, error: Exception) -> None:
        failure = self._hub.translated(error, "receiving")
        log = _log.error if failure.alarm else _log.warning
        if context is None:
            log("queue.balancing_failed", error=str(failure))
        else:
            log("queue.partition_failed", partition=context.partition_id, error=str(failure))

    # --- upkeep -------------------------------------------------------------------------------------------------------

    async def _keep_flushing(self) -> Verdict:
        while True:
            await self._clock.sleep(self._timing.flush_interval)
            await self._flush(*self._assignments.values())

    async def _flush(self, *assignments: Assignment) -> None:
        moved = {assignment: watermark for assignment in assignments if (watermark := assignment.unflushed)}
        if not moved:
            return
        positions = {assignment.partition: watermark for assignment, watermark in moved.items()}
        try:
            await self._checkpoints.advance(positions)
        except Unavailable as error:
            _log.warning("queue.checkpoint_delayed", partitions=sorted(positions), error=str(error))
            return
        for assignment, watermark in moved.items():
            assignment.flushed = watermark.sequence

    async def _until_worn(self) -> None:
        await self._is_worn.wait()
        _log.info("queue.client_renewed", count=self._events)

    async def _watch(self) -> Verdict:
        """Check on the hub now and after each interval, until the client has to be replaced."""
        timing = self._timing
        watchdog = Watchdog(
            unreachable_after=timing.unreachable_after,
            stuck_after=timing.stuck_after,
            unbalanced_after=max(timing.stuck_after, _ROUNDS * self._hub.balance),
            now=self._clock.monotonic(),
        )
        while (verdict := await self._judge(watchdog)) is Verdict.FINE:
            await self._clock.sleep(timing.poll_interval)
        _log.error("queue.client_replaced", reason=verdict.name.lower(), partitions=self.partitions)
        return verdict

    async def _judge(self, watchdog: Watchdog) -> Verdict:
        try:
            checkpoints = await self._store.checkpoints()
        except Unavailable as error:  # not a failure of the hub
            _log.warning("queue.watch_failed", error=str(error))
            return Verdict.FINE
        nothing = Position(-1, "")
        received = {
            assignment: max(assignment.received, checkpoints.get(assignment.partition, nothing).sequence)
            for assignment in self._assignments.values()
        }
        try:
            observations = await self._observe(received)
        except Unavailable as error:
            log = _log.error if error.alarm else _log.warning
            log("queue.probe_failed", error=str(error))
            return watchdog.unanswered(self._clock.monotonic())
        return watchdog.answered(observations, self._checkpoints.listed_at, self._clock.monotonic())

    async def _observe(self, received: dict[Assignment, int]) -> list[Observation]:
        """Ask the hub about our partitions; about itself, when we have none."""
        if not received:
            await self._hub.partition_ids(self._client, self._timing.poll_timeout)
        observations = []
        for assignment, newest in received.items():
            partition = await self._hub.partition(self._client, assignment.partition, self._timing.poll_timeout)
            observations.append(Observation(partition, newest, assignment.is_blocked))
        return observations


async def _fine(ended: Coroutine[Any, Any, None]) -> Verdict:
    await ended
    return Verdict.FINE
