"""From event to delivery: the way from the callbacks of the client library to the executor that takes tasks."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta

from azure.eventhub import EventData

from latigo.domain.errors import Unavailable
from latigo.domain.task import Task
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.runtime.retry import backoff
from latigo.task_queue.envelope import TooNew, Unreadable, decode
from latigo.task_queue.eventhub.channel import Channel
from latigo.task_queue.eventhub.offsets import Offsets, Position
from latigo.task_queue.eventhub.store import QueueStore, Refusal

_log = get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=200), timedelta(seconds=5)


class Assignment:
    """A partition for as long as it is ours."""

    def __init__(self, partition: str, max_behind: int) -> None:
        self.partition = partition
        self.offsets = Offsets(max_behind)
        self.flushed = -1  #: the newest event that was checkpointed
        self.received = -1  #: the newest event that was received, taken or not
        self.is_blocked = False  #: the handler still holds an event, so that the client cannot receive another
        self._changed = asyncio.Event()
        self._answer: asyncio.Future[bool] | None = None

    @property
    def unflushed(self) -> Position | None:
        """The position that may be checkpointed and is not yet."""
        watermark = self.offsets.watermark
        return watermark if watermark and watermark.sequence > self.flushed else None

    def finish(self, sequence: int) -> None:
        """Mark an event as finished."""
        self.offsets.finish(sequence)
        self._changed.set()

    def lose(self) -> None:
        """Give the partition up: withdraw the pending offer, begin no further event."""
        self.offsets.lost = True
        self._changed.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(False)

    async def room(self) -> bool:
        """Wait until another event may be begun; return False if the partition was lost instead."""
        while self.offsets.is_full and not self.offsets.lost:
            self._changed.clear()
            await self._changed.wait()
        return not self.offsets.lost

    async def offer(self, delivery: "HubDelivery", deliveries: "Channel[HubDelivery]") -> bool:
        """Wait until the delivery is taken; return False if the partition was lost instead."""
        self._answer = asyncio.get_running_loop().create_future()
        return await deliveries.give(delivery, self._answer)


class HubDelivery:
    """A task of a partition, and all assignments of that partition that wait until it is done."""

    def __init__(
        self, task: Task, sequence: int, assignment: Assignment, forget: "Callable[[HubDelivery], None]"
    ) -> None:
        self.key = (assignment.partition, sequence)
        self._task = task
        self._sequence = sequence
        self._assignments = [assignment]
        self._forget = forget

    @property
    def task(self) -> Task:
        return self._task

    async def done(self) -> None:
        for assignment in self._assignments:
            assignment.finish(self._sequence)
        self._forget(self)

    def join(self, assignment: Assignment) -> None:
        """Finish the event for this assignment too: it was received again, since the partition is ours again."""
        self._assignments.append(assignment)


class Consumer:
    """Events in progress, of all partitions and across replaced clients.

    Args:
        deliveries: to the executor that takes tasks.
        store: where messages that cannot be read are recorded before they are skipped.
        clock: the machine's.
    """

    def __init__(self, deliveries: "Channel[HubDelivery]", store: QueueStore, clock: Clock) -> None:
        self.refused = 0  #: messages that this process has recorded as unreadable
        self._deliveries = deliveries
        self._store = store
        self._clock = clock
        self._running: dict[tuple[str, int], HubDelivery] = {}

    async def on_event(self, assignment: Assignment, event: EventData) -> None:
        """Process an event until its delivery is taken, not until it is done."""
        sequence, offset = event.sequence_number, event.offset
        if sequence is None or offset is None:
            return
        assignment.received = max(assignment.received, sequence)
        assignment.is_blocked = True
        try:
            if not assignment.offsets.is_repeat(sequence) and await assignment.room():
                await self._begin(assignment, Position(sequence, offset), event)
        finally:
            assignment.is_blocked = False

    async def _begin(self, assignment: Assignment, position: Position, event: EventData) -> None:
        try:
            task = decode(_body(event))
        except Unreadable as error:
            if await self._refuse(assignment, position.sequence, error):
                assignment.offsets.begin(position)
                assignment.finish(position.sequence)
            return
        assignment.offsets.begin(position)
        delivery = HubDelivery(task, position.sequence, assignment, self._forget)
        running = self._running.get(delivery.key)
        if running is not None and running.task == task:  # in a hub created anew, another task may have this key
            running.join(assignment)
            return
        self._running[delivery.key] = delivery
        taken = False
        try:
            taken = await assignment.offer(delivery, self._deliveries)
        finally:
            if not taken:
                self._forget(delivery)

    async def _refuse(self, assignment: Assignment, sequence: int, error: Unreadable) -> bool:
        """Record an unreadable message, however long that takes; return False if the partition was lost meanwhile."""
        reason = Refusal.TOO_NEW if isinstance(error, TooNew) else Refusal.UNREADABLE
        attempt = 0
        while not assignment.offsets.lost:
            try:
                is_new = await self._store.refuse_received(
                    assignment.partition, sequence, reason, str(error), error.task_id
                )
            except Unavailable as failure:
                attempt += 1
                _log.warning("message.recording_delayed", partition=assignment.partition, error=str(failure))
                await self._clock.sleep(backoff(attempt, _FIRST_PAUSE, _LONGEST_PAUSE, random.random))
                continue
            if is_new:
                self.refused += 1
                _log.warning(
                    "message.refused",
                    partition=assignment.partition,
                    sequence=sequence,
                    reason=reason.value,
                    task=error.task_id,
                    error=str(error)[:200],
                )
            return True
        return False

    def _forget(self, delivery: HubDelivery) -> None:
        if self._running.get(delivery.key) is delivery:
            del self._running[delivery.key]


def _body(event: EventData) -> bytes:
    """Return the bytes of an event.

    Raises:
        Unreadable: the body is not bytes.
    """
    try:
        return b"".join(event.body)  # type: ignore[arg-type]  # of whatever kind: what is no bytes raises
    except (TypeError, ValueError) as error:
        raise Unreadable(f"the body is not bytes: {error}") from error
