"""A task queue within one process. The ledger recovers tasks that were in it when the process ended."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from latigo.domain.task import Task
from latigo.task_queue.ahead import Ahead
from latigo.task_queue.envelope import HIGHEST
from latigo.task_queue.protocol import Delivery

#: More than the scheduler ever publishes at once.
CAPACITY = 4096


@dataclass(frozen=True, slots=True, eq=False)
class InternalDelivery:
    """A task that has left the queue."""

    task: Task
    ended: "Callable[[InternalDelivery], None]"

    async def done(self) -> None:
        self.ended(self)


class InternalQueue:
    """`TaskSender` and `TaskReceiver` in one: live tasks first, projects and lanes in turn.

    Args:
        capacity: tasks that may wait.
        concurrency: tasks that run at once; by default, any number is taken.
    """

    takes_back = False  # there is no other executor

    def __init__(self, capacity: int = CAPACITY, concurrency: int = CAPACITY) -> None:
        self.channel = f"internal/{uuid4()}"
        self._capacity = capacity
        self._live, self._others = _Line(), _Line()
        self._ahead: Ahead[InternalDelivery] = Ahead(concurrency)
        self._changed = asyncio.Event()

    @property
    def held(self) -> Collection[int]:
        return {*self._live.ids(), *self._others.ids(), *(delivery.task.id for delivery in self._ahead)}

    async def publish(self, tasks: Sequence[Task], version: int = HIGHEST) -> Mapping[int, str]:  # noqa: ARG002 - nothing is written down
        accepted = tasks[: max(self._capacity - len(self._live) - len(self._others), 0)]
        for task in accepted:
            (self._live if task.lane.is_live else self._others).add(task)
        self._changed.set()
        return {task.id: self.channel for task in accepted}

    def limit(self, concurrency: int) -> None:
        self._ahead.limit(concurrency)
        self._changed.set()

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Refuse, as `takes_back` says."""
        raise NotImplementedError

    async def receive(self) -> AsyncGenerator[InternalDelivery]:
        while True:
            if task := self._next():
                delivery = InternalDelivery(task, self._ended)
                self._ahead.take(delivery, live=task.lane.is_live)
                yield delivery
            else:
                self._changed.clear()
                await self._changed.wait()

    def _next(self) -> Task | None:
        if self._live and self._ahead.room_for_live:
            return self._live.take()
        if self._others and self._ahead.room_for_others:
            return self._others.take()
        return None

    def _ended(self, delivery: InternalDelivery) -> None:
        self._ahead.end(delivery)
        self._changed.set()


class _Line:
    """Tasks that wait: first in, first out of each project and lane, which take turns."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], deque[Task]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def ids(self) -> Iterator[int]:
        return (task.id for turn in self._turns.values() for task in turn)

    def add(self, task: Task) -> None:
        self._turns.setdefault((task.ref.project, task.lane), deque()).append(task)
        self._count += 1

    def take(self) -> Task:
        key = next(iter(self._turns))
        waiting = self._turns.pop(key)
        task = waiting.popleft()
        if waiting:
            self._turns[key] = waiting  # behind the others
        self._count -= 1
        return task
