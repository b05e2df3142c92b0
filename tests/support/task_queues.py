"""Every task queue, opened empty: the contract suite runs against all in ``TASK_QUEUES``."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from latigo.task_queue.internal import InternalQueue
from latigo.task_queue.protocol import TaskReceiver, TaskSender


@dataclass(frozen=True)
class Ends:
    """The two ends of one queue; ``receivers`` share what is sent."""

    sender: TaskSender
    receivers: tuple[TaskReceiver, TaskReceiver]


@asynccontextmanager
async def internal_queue(_: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    queue = InternalQueue()
    yield Ends(queue, (queue, queue))


TASK_QUEUES: Mapping[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Ends]]] = {
    "internal": internal_queue
}
