"""The life of one client of the library: what it brings in, its checkpoints, and when it has to be given up."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import PartitionContext

from latigo.domain.errors import Unavailable
from latigo.task_queue.eventhub.checkpoints import PostgresCheckpointStore
from latigo.task_queue.eventhub.connection import Hub
from latigo.task_queue.eventhub.consumer import Assignment, Intake
from latigo.task_queue.eventhub.limits import put_down
from latigo.task_queue.eventhub.offsets import Position
from latigo.task_queue.eventhub.store import QueueTables
from latigo.task_queue.eventhub.watchdog import Sighting, Verdict, Watchdog

_log = structlog.get_logger()

#: Rounds of balancing that may be missing before the client counts as stuck.
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class ReceiverTiming:
    """How long the receiver waits for what.

    Args:
        flush: between two checkpoints.
        close: for the client library to close.
        look: between two looks of the watchdog.
        look_call: for each partition.
        away_after: see `Watchdog`.
        stuck_after: see `Watchdog`.
        first_probe: until the first look at a hub that was away; doubles each time.
        longest_probe: no pause is longer.
    """

    flush: timedelta = timedelta(seconds=2)
    close: timedelta = timedelta(seconds=10)
    look: timedelta = timedelta(seconds=30)
    look_call: timedelta = timedelta(seconds=20)
    away_after: timedelta = timedelta(minutes=3)
    stuck_after: timedelta = timedelta(minutes=2)
    first_probe: timedelta = timedelta(seconds=5)
    longest_probe: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a client may bring in.

    Args:
        prefetch: events of each partition that are fetched ahead.
        behind: events of a partition that may be begun after its first one that is not done.
        events: after so many, of all partitions, the client is replaced by a new one.
    """

    prefetch: int
    behind: int
    events: int


class Session:
    """One client and the partitions that it has got.

    They are this client's own: one that could not be closed in time, and lets go of its partitions late, takes nothing
    from the next one.
    """

    def __init__(self, hub: Hub, tables: QueueTables, intake: Intake, bounds: Bounds, timing: ReceiverTiming) -> None:
        self._hub = hub
        self._tables = tables
        self._intake = intake
        self._bounds = bounds
        self._timing = timing
        self._clock = hub.clock
        self._store = PostgresCheckpointStore(tables, hub.clock)
        self._client = hub.consumer(self._store)
        self._assignments: dict[str, Assignment] = {}
        self._events = 0
        self._worn = asyncio.Event()

    @property
    def partitions(self) -> list[str]:
        """The partitions that are ours."""
        return sorted(self._assignments)

    async def run(self, until_unwanted: Coroutine[Any, Any, None]) -> Verdict:
        """Receive until the client has to be given up; why. ``FINE``: it is unwanted, or has brought in enough."""
        receiving = asyncio.create_task(self._receive(), name="receiving")
        upkeep = [
            asyncio.create_task(work, name="receiver upkeep")
            for work in (self._flush_often(), self._watch(), _fine(until_unwanted), _fine(self._until_worn()))
        ]
        try:
            ended, _ = await asyncio.wait([receiving, *upkeep], return_when=asyncio.FIRST_COMPLETED)
            return ended.pop().result()
        finally:
            await put_down(*upkeep)
            await self._end(receiving)

    async def _end(self, receiving: "asyncio.Task[Verdict]") -> None:
        """Flush, let go of all partitions, close; none of it may take long, whatever state the client is in."""
        await self._flush(*self._assignments.values())
        receiving.cancel()
        await asyncio.wait([receiving], timeout=self._timing.close.total_seconds())
        receiving.cancel()  # a client that hangs in closing its partitions is left to itself
        for assignment in self._assignments.values():
            assignment.lose()
        self._assignments.clear()
        await self._hub.close(self._client, self._timing.close)
        try:
            await self._store.release()
        except Unavailable as error:
            _log.warning("queue.not_released", because=str(error))

    # --- what the client calls ----------------------------------------------------------------------------------------

    async def _receive(self) -> Verdict:
        try:
            with self._hub.errors("receiving"):
                await self._client.receive(
                    on_event=self._on_event,
                    on_error=self._on_error,
                    on_partition_initialize=self._on_partition_taken,
                    on_partition_close=self._on_partition_left,
                    prefetch=self._bounds.prefetch,
                    starting_position="-1",
                )
        except Unavailable as error:
            _log.error("queue.receiving_ended", because=str(error))
        return Verdict.AWAY

    async def _on_partition_taken(self, context: PartitionContext) -> None:
        partition = context.partition_id
        if before := self._assignments.get(partition):
            before.lose()
        self._assignments[partition] = Assignment(partition, self._bounds.behind)
        _log.info("queue.partition_taken", partition=partition)

    async def _on_partition_left(self, context: PartitionContext, reason: CloseReason) -> None:
        partition = context.partition_id
        assignment = self._assignments.get(partition)
        if assignment is not None:
            if reason is CloseReason.SHUTDOWN:  # still ours, for as long as this takes
                await self._flush(assignment)
            assignment.lose()
            self._assignments.pop(partition, None)
        _log.info("queue.partition_left", partition=partition, reason=reason.name.lower())

    async def _on_event(self, context: PartitionContext, event: EventData | None) -> None:
        if event is None:
            return
        self._events += 1
        if self._events >= self._bounds.events:
            self._worn.set()
        if assignment := self._assignments.get(context.partition_id):
            await self._intake.on_event(assignment, event)
        else:
            _log.warning("queue.event_ignored", partition=context.partition_id, sequence=event.sequence_number)

    async def _on_error(self, context: PartitionContext | None, error: Exception) -> None:
        away = self._hub.translated(error, "receiving")
        told = _log.error if away.alarm else _log.warning
        if context is None:
            told("queue.balancing_failed", because=str(away))
        else:
            told("queue.partition_failed", partition=context.partition_id, because=str(away))

    # --- beside it ----------------------------------------------------------------------------------------------------

    async def _flush_often(self) -> Verdict:
        while True:
            await self._clock.sleep(self._timing.flush)
            await self._flush(*self._assignments.values())

    async def _flush(self, *assignments: Assignment) -> None:
        moved = {each: watermark for each in assignments if (watermark := each.unflushed)}
        if not moved:
            return
        positions = {each.partition: watermark for each, watermark in moved.items()}
        try:
            await self._store.advance(positions)
        except Unavailable as error:
            _log.warning("queue.checkpoint_delayed", partitions=sorted(positions), because=str(error))
            return
        for assignment, watermark in moved.items():
            assignment.flushed = watermark.sequence

    async def _until_worn(self) -> None:
        await self._worn.wait()
        _log.info("queue.client_renewed", events=self._events)

    async def _watch(self) -> Verdict:
        """Look at the hub from time to time, at once for the first time, until the client has to be given up."""
        timing = self._timing
        watchdog = Watchdog(
            away_after=timing.away_after,
            stuck_after=timing.stuck_after,
            unbalanced_after=max(timing.stuck_after, _ROUNDS * self._hub.balance),
            now=self._clock.monotonic(),
        )
        while (verdict := await self._judge(watchdog)) is Verdict.FINE:
            await self._clock.sleep(timing.look)
        _log.error("queue.client_given_up", because=verdict.name.lower(), partitions=self.partitions)
        return verdict

    async def _judge(self, watchdog: Watchdog) -> Verdict:
        try:
            checkpoints = await self._tables.checkpoints()
        except Unavailable as error:  # says nothing about the hub
            _log.warning("queue.not_watched", because=str(error))
            return Verdict.FINE
        nothing = Position(-1, "")
        received = {
            each: max(each.received, checkpoints.get(each.partition, nothing).sequence)
            for each in self._assignments.values()
        }
        try:
            sightings = await self._look(received)
        except Unavailable as error:
            told = _log.error if error.alarm else _log.warning
            told("queue.not_answering", because=str(error))
            return watchdog.failed(self._clock.monotonic())
        return watchdog.saw(sightings, self._store.listed_at, self._clock.monotonic())

    async def _look(self, received: dict[Assignment, int]) -> list[Sighting]:
        """Ask the hub about our partitions; when we have none, about itself."""
        if not received:
            await self._hub.partition_ids(self._client, self._timing.look_call)
        found = []
        for assignment, newest in received.items():
            partition = await self._hub.partition(self._client, assignment.partition, self._timing.look_call)
            found.append(Sighting(partition, newest, assignment.is_held))
        return found


async def _fine(ended: Coroutine[Any, Any, None]) -> Verdict:
    await ended
    return Verdict.FINE
