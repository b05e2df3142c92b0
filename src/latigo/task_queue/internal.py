"""A task queue inside one process. What was in it when the process ended is found by the ledger and sent again."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from latigo.domain.task import Task
from latigo.task_queue.envelope import HIGHEST

#: More than the scheduler ever lets out at once.
CAPACITY = 4096


@dataclass(frozen=True, slots=True)
class InternalDelivery:
    """A task taken out of the queue; nothing is left to acknowledge."""

    task: Task

    async def done(self) -> None:
        """Nothing to do: the task has left the queue."""


class InternalQueue:
    """Sender and receiver at once; first in, first out."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.channel = f"internal/{uuid4()}"
        self._tasks: asyncio.Queue[Task] = asyncio.Queue(capacity)

    async def publish(self, tasks: Sequence[Task], version: int = HIGHEST) -> Mapping[int, str]:  # noqa: ARG002 - nothing is written down
        taken: dict[int, str] = {}
        for task in tasks:
            try:
                self._tasks.put_nowait(task)
            except asyncio.QueueFull:
                break
            taken[task.id] = self.channel
        return taken

    async def receive(self) -> AsyncGenerator[InternalDelivery]:
        while True:
            yield InternalDelivery(await self._tasks.get())
