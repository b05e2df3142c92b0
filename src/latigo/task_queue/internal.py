"""A task queue within one process. The ledger recovers tasks that were in it when the process ended."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from latigo.domain.task import Task
from latigo.task_queue.envelope import HIGHEST

#: More than the scheduler ever publishes at once.
CAPACITY = 4096


@dataclass(frozen=True, slots=True)
class InternalDelivery:
    """A task that has left the queue: nothing is left to acknowledge."""

    task: Task

    async def done(self) -> None:
        """Do nothing."""


class InternalQueue:
    """`TaskSender` and `TaskReceiver` in one; first in, first out."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.channel = f"internal/{uuid4()}"
        self._tasks: asyncio.Queue[Task] = asyncio.Queue(capacity)

    async def publish(self, tasks: Sequence[Task], version: int = HIGHEST) -> Mapping[int, str]:  # noqa: ARG002 - nothing is written down
        accepted: dict[int, str] = {}
        for task in tasks:
            try:
                self._tasks.put_nowait(task)
            except asyncio.QueueFull:
                break
            accepted[task.id] = self.channel
        return accepted

    def limit(self, concurrency: int) -> None:
        """Do nothing: tasks wait in the process anyway."""

    async def receive(self) -> AsyncGenerator[InternalDelivery]:
        while True:
            yield InternalDelivery(await self._tasks.get())
