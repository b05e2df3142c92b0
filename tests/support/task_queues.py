"""Every task queue, opened empty: the contract suite runs against all in ``TASK_QUEUES``."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from latigo.runtime.clock import SystemClock
from latigo.task_queue.internal import CAPACITY, InternalQueue
from latigo.task_queue.postgres import PostgresSender, open_receiver
from latigo.task_queue.protocol import TaskReceiver, TaskSender
from latigo.wiring.ledger import connect_to
from tests.support.build import DEFAULTS
from tests.support.event_hub_queue import nothing_left, open_hub_queue
from tests.support.postgres import fresh_database


@dataclass(frozen=True)
class Ends:
    """The two ends of one queue; ``receivers`` share what is sent.

    ``plenty`` is more than it takes at once; where it takes any number, it is many.
    """

    sender: TaskSender
    receivers: tuple[TaskReceiver, TaskReceiver]
    plenty: int


@asynccontextmanager
async def internal_queue(_: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    queue = InternalQueue()
    yield Ends(queue, (queue, queue), plenty=CAPACITY + 100)


@asynccontextmanager
async def postgres_queue(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    server, template = request.getfixturevalue("postgres_server"), request.getfixturevalue("ledger_template")
    async with (
        fresh_database(server, template=template) as url,
        connect_to(url, DEFAULTS) as database,
        open_receiver(database, SystemClock(), "one", concurrency=150) as one,
        open_receiver(database, SystemClock(), "other", concurrency=150) as other,
    ):
        yield Ends(PostgresSender(database), (one, other), plenty=300)


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
        yield Ends(sender, (one, other), plenty=300)


TASK_QUEUES: Mapping[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Ends]]] = {
    "internal": internal_queue,
    "postgres": postgres_queue,
    "event hub": event_hub_queue,
}
