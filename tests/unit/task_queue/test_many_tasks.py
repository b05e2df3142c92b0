"""Many tasks are read and written in a thread, with the same result as few."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from azure.eventhub import EventData

from latigo.domain.task import MANY_TASKS, Lane, Task
from latigo.ledger import scheduler_store
from latigo.ledger.protocol import Term
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.task_queue.background import Background
from latigo.task_queue.envelope import HIGHEST, decode
from latigo.task_queue.eventhub import sender as eventhub_sender
from latigo.task_queue.eventhub.sender import EventHubSender, SenderTiming
from latigo.task_queue.postgres import PostgresSender
from latigo.task_queue.postgres import sender as postgres_sender
from latigo.task_queue.postgres.sender import SQL as QUEUE
from tests.support.build import a_spec, a_task
from tests.support.clock import ManualClock

COUNTS = pytest.mark.parametrize(
    ("count", "in_thread"), [(1, False), (MANY_TASKS - 1, False), (MANY_TASKS, True), (MANY_TASKS + 1, True)]
)


class Database:
    """A database of one connection, which returns rows and keeps what is executed."""

    def __init__(self, *rows: Any) -> None:
        self.rows = rows
        self.executed: list[tuple[Any, ...]] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        yield self

    async def fetchrow(self, *_: Any) -> Any:
        return ()

    async def fetch(self, *_: Any) -> Sequence[Any]:
        return self.rows

    async def execute(self, *statement: Any) -> None:
        self.executed.append(statement)


class Hub:
    """An event hub of three partitions, whose batches take any number of events."""

    channel = "hub"
    trouble = ""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.sent: list[tuple[str, Sequence[EventData]]] = []

    def producer(self, _: timedelta) -> "Hub":
        return self

    async def partition_ids(self, *_: Any) -> Sequence[str]:
        return ["0", "1", "2"]

    @contextmanager
    def errors(self, _: str) -> Iterator[None]:
        yield

    async def create_batch(self, partition_id: str) -> Any:
        events: list[EventData] = []
        return SimpleNamespace(partition=partition_id, events=events, add=events.append)

    async def send_batch(self, batch: Any, **_: Any) -> None:
        self.sent.append((batch.partition, batch.events))


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], list[bool]]:
    """Return a function that makes a list of whether each call of a module's function is in another thread."""

    def watched(module: Any, name: str) -> list[bool]:
        work, calls = getattr(module, name), list[bool]()

        def recorded(*arguments: Any) -> Any:
            calls.append(threading.current_thread() is not threading.main_thread())
            return work(*arguments)

        monkeypatch.setattr(module, name, recorded)
        return calls

    return watched


def some_tasks(count: int) -> list[Task]:
    return [a_task(a_spec(f"pump-{number % 40}"), id=number) for number in range(count, 0, -1)]


def a_row(task: Task) -> Any:
    return {
        "id": task.id,
        "epoch": task.epoch,
        "project": task.ref.project,
        "name": task.ref.name,
        "revision": task.model.revision,
        "anomaly": task.model.anomaly,
        "spec": task.model.to_json(),
        "span": SimpleNamespace(lower=task.window.start, upper=task.window.end),
        "slot": timedelta(seconds=task.slot_seconds),
        "lane": Lane.LIVE.value,
        "trace": task.trace,
        "probe": task.probe,
        "ledger": task.ledger and task.ledger.id,
        "incarnation": task.ledger and task.ledger.incarnation,
        "copy_to": None,
    }


@COUNTS
async def test_unpublished_tasks_are_those_of_the_ledger_in_its_order(threads, count: int, in_thread: bool):
    calls = threads(scheduler_store, "_task")
    tasks = some_tasks(count)
    database: Any = Database(*map(a_row, tasks))

    read = await PostgresSchedulerLedger(database).unpublished(Term("one", 1), count)

    assert [(task.id, task.model, task.window) for task in read] == [
        (task.id, task.model, task.window) for task in tasks
    ]
    assert calls == [in_thread] * count


@COUNTS
async def test_the_queue_in_the_ledger_has_each_task_once_and_in_order(threads, count: int, in_thread: bool):
    calls = threads(postgres_sender, "encode")
    tasks, database = some_tasks(count), Database()
    connected: Any = database

    places = await PostgresSender(connected).publish(tasks, HIGHEST)

    (_, ids, bodies, _, projects, lanes), _ = database.executed
    assert database.executed[0][0] == QUEUE["send"]
    assert ids == [task.id for task in tasks]
    assert [decode(body) for body in bodies] == tasks
    assert (set(projects), set(lanes)) == ({"plant"}, {"live"})
    assert list(places) == ids
    assert calls == [in_thread] * count


@COUNTS
async def test_a_hub_has_each_task_once_and_a_models_in_order_in_one_partition(threads, count: int, in_thread: bool):
    calls = threads(eventhub_sender, "encode")
    tasks, hub = some_tasks(count), Hub()
    connected: Any = hub

    places = await EventHubSender(connected, connected, Background(), SenderTiming()).publish(tasks, HIGHEST)

    received = [(decode(event.body_as_str().encode()), partition) for partition, events in hub.sent for event in events]
    assert {task.id: f"hub#{partition}" for task, partition in received} == places
    assert len(received) == count
    for ref in {task.ref for task in tasks}:
        own = [(task, partition) for task, partition in received if task.ref == ref]
        assert [task for task, _ in own] == [task for task in tasks if task.ref == ref]
        assert len({partition for _, partition in own}) == 1
    assert calls == [in_thread] * count
