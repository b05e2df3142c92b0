"""Every task queue, opened empty: the contract suite runs against all in ``TASK_QUEUES``."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from latigo.task_queue.internal import InternalQueue
from latigo.task_queue.protocol import TaskReceiver, TaskSender
from tests.support.event_hub_queue import nothing_left, open_hub_queue
from tests.support.postgres import fresh_database


@dataclass(frozen=True)
class Ends:
    """The two ends of one queue; ``receivers`` share what is sent."""

    sender: TaskSender
    receivers: tuple[TaskReceiver, TaskReceiver]


@asynccontextmanager
async def internal_queue(_: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    queue = InternalQueue()
    yield Ends(queue, (queue, queue))


@asynccontextmanager
async def event_hub_queue(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    """Against the emulator, with the official client; what a service takes minutes for takes a second here."""
    server, template = request.getfixturevalue("postgres_server"), request.getfixturevalue("ledger_template")
    async with (
        nothing_left(),
        fresh_database(server, template=template) as url,
        open_hub_queue(url) as queue,
        queue.sender() as sender,
        queue.receiver(concurrency=300) as one,
        queue.receiver(concurrency=300) as other,
    ):
        yield Ends(sender, (one, other))


TASK_QUEUES: Mapping[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Ends]]] = {
    "internal": internal_queue,
    "event hub": event_hub_queue,
}
