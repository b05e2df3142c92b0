"""Every task queue, opened empty: the contract suite runs against all in ``TASK_QUEUES``."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from latigo.task_queue.internal import InternalQueue
from latigo.task_queue.protocol import TaskReceiver, TaskSender
from tests.support.event_hub_queue import open_hub_queue
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
        fresh_database(server, template=template) as url,
        open_hub_queue(url) as queue,
        queue.sender() as sender,
        queue.receiver(prefetch=300) as one,
        queue.receiver(prefetch=300) as other,
    ):
        yield Ends(sender, (one, other))


TASK_QUEUES``."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from latigo.task_queue.internal import InternalQueue
from latigo.task_queue.protocol import TaskReceiver, TaskSender
from tests.support.event_hub_queue import open_hub_queue
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
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(fresh_database(server, template=template))
        pool = await opened.enter_async_context(asyncpg.create_pool(url, min_size=1, max_size=4))
        emulator = await opened.enter_async_context(open_event_hubs({"tasks": 2}))
        address = HubAddress(connection_string=emulator.connection_string("tasks"))
        sender = open_sender(address, pool, clock=SystemClock(), timing=QUICK_SENDER)
        receivers = [
            open_receiver(address, pool, clock=SystemClock(), concurrency=300, most_behind=20_000, timing=QUICK)
            for _ in range(2)
        ]
        yield Ends(
            await opened.enter_async_context(sender),
            (await opened.enter_async_context(receivers[0]), await opened.enter_async_context(receivers[1])),
        )


TASK_QUEUES: Mapping[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Ends]]] = {
    "internal": internal_queue,
    "event hub": event_hub_queue,
}
