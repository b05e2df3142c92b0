"""From event to delivery: what happens between the client library's callbacks and whoever takes tasks."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta

import structlog
from azure.eventhub import EventData

from latigo.domain.errors import Unavailable
from latigo.domain.task import Task
from latigo.runtime.clock import Clock
from latigo.runtime.retry import backoff
from latigo.task_queue.envelope import TooNew, Unreadable, decode
from latigo.task_queue.eventhub.channel import HandOff
from latigo.task_queue.eventhub.offsets import Offsets, Position
from latigo.task_queue.eventhub.store import QueueTables, Refusal

_log = structlog.get_logger()

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=200), timedelta(seconds=5)


class Assignment:
    """One partition, from the moment it is ours to the moment it is lost."""

    def __init__(self, partition: str, most: int) -> None:
        self.partition = partition
        self.offsets = Offsets(most)
        self.flushed = -1  #: the newest event that was checkpointed
        self.received = -1  #: the newest event that came, whatever became of it
        self.is_held = False  #: the handler has an event in hand, so that the client library cannot bring another
        self._changed = asyncio.Event()
        self._answer: asyncio.Future[bool] | None = None

    @property
    def unflushed(self) -> Position | None:
        """What may be checkpointed and is not."""
        watermark = self.offsets.watermark
        return watermark if watermark and watermark.sequence > self.flushed else None

    def finish(self, sequence: int) -> None:
        """An event is done with."""
        self.offsets.finish(sequence)
        self._changed.set()

    def lose(self) -> None:
        """Somebody else has the partition, or will: what is offered is withdrawn, nothing more is begun."""
        self.offsets.lost = True
        self._changed.set()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(False)

    async def room(self) -> bool:
        """Wait until another event may be begun; False when the partition was lost instead."""
        while self.offsets.is_full and not self.offsets.lost:
            self._changed.clear()
            await self._changed.wait()
        return not self.offsets.lost

    async def offer(self, delivery: "HubDelivery", hand_off: "HandOff[HubDelivery]") -> bool:
        """Wait until it is taken; False when the partition was lost instead."""
        self._answer = asyncio.get_running_loop().create_future()
        return await hand_off.give(delivery, self._answer)


class HubDelivery:
    """A task out of a partition, and all assignments of that partition that wait for it to be done."""

    def __init__(
        self, task: Task, sequence: int, assignment: Assignment, forget: "Callable[[HubDelivery], None]"
    ) -> None:
        self.place = (assignment.partition, sequence)
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
        """The same event has come once more, since the partition is ours again: it is done when this one is."""
        self._assignments.append(assignment)


class Intake:
    """Everything that is in hand, of all partitions and through all rebuilds of the client.

    Args:
        hand_off: to whoever takes tasks.
        tables: where messages that cannot be read are recorded before they are passed over.
        clock: the machine's.
    """

    def __init__(self, hand_off: "HandOff[HubDelivery]", tables: QueueTables, clock: Clock) -> None:
        self.refused = 0  #: messages that this process has recorded as unreadable
        self._hand_off = hand_off
        self._tables = tables
        self._clock = clock
        self._running: dict[tuple[str, int], HubDelivery] = {}

    async def on_event(self, assignment: Assignment, event: EventData) -> None:
        """One event, from its arrival to the moment at which somebody has taken it, but not until it is done."""
        sequence, offset = event.sequence_number, event.offset
        if sequence is None or offset is None:
            return
        assignment.received = max(assignment.received, sequence)
        assignment.is_held = True
        try:
            if not assignment.offsets.is_repeat(sequence) and await assignment.room():
                await self._begin(assignment, Position(sequence, offset), event)
        finally:
            assignment.is_held = False

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
        running = self._running.get(delivery.place)
        if running is not None and running.task == task:  # of a hub made anew, another task may have this place
            running.join(assignment)
            return
        self._running[delivery.place] = delivery
        taken = False
        try:
            taken = await assignment.offer(delivery, self._hand_off)
        finally:
            if not taken:
                self._forget(delivery)

    async def _refuse(self, assignment: Assignment, sequence: int, error: Unreadable) -> bool:
        """Record it, however long that takes: what is passed over unrecorded is lost. False: the partition was lost."""
        reason = Refusal.TOO_NEW if isinstance(error, TooNew) else Refusal.UNREADABLE
        attempt = 0
        while not assignment.offsets.lost:
            try:
                is_new = await self._tables.refuse_received(
                    assignment.partition, sequence, reason, str(error), error.task_id
                )
            except Unavailable as away:
                attempt += 1
                _log.warning("message.not_recorded", partition=assignment.partition, because=str(away))
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
                    because=str(error)[:200],
                )
            return True
        return False

    def _forget(self, delivery: HubDelivery) -> None:
        if self._running.get(delivery.place) is delivery:
            del self._running[delivery.place]


def _body(event: EventData) -> bytes:
    """The bytes of an event.

    Raises:
        Unreadable: it holds something else.
    """
    try:
        return b"".join(event.body)  # type: ignore[arg-type]  # of whatever kind: what is no bytes raises
    except (TypeError, ValueError) as error:
        raise Unreadable(f"its body is not bytes: {error}") from error
