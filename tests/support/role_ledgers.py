"""The ledger as each role sees it, real and in memory: the contract suites of the roles run against both."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import pytest

from latigo.domain.coverage import Coverage
from latigo.domain.model import ModelRef
from latigo.domain.outcome import Retry
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window
from latigo.ledger.model_protocol import ModelLedger
from latigo.ledger.protocol import ExecutorLedger, Planned, SchedulerLedger
from tests.support.build import NOW, a_need, a_spec, a_task, an_entry, window
from tests.support.clock import ManualClock
from tests.support.ledgers import Ledgers, open_ledgers
from tests.support.memory_ledgers import MemoryModels, MemoryPlanning, MemoryWork, a_circuit
from tests.support.postgres import fresh_database

LEASE = timedelta(seconds=30)
LIVE = window("11:00", "12:00")


class RoleLedgers(Protocol):
    """One ledger per role; ``set_clock`` turns the clock of all of them. They share nothing else in memory."""

    executor: ExecutorLedger
    scheduler: SchedulerLedger
    models: ModelLedger

    async def set_clock(self, time: datetime) -> None:
        """Let it be this time from now on."""

    async def add_task(self, name: str) -> int:
        """Plan a task of a new model; its id, for ``executor``."""

    async def message(self, task_id: int, epoch: int = 1) -> Task:
        """The task of ``executor`` as its message has it; of any model and window where none has this number."""

    async def add_need(self, name: str, project: str = "plant") -> None:
        """Let a model need the live window 11:00 to 12:00 and the backfill window 10:00 to 11:00, for ``scheduler``."""

    async def supersede(self, name: str) -> None:
        """Let the epoch of a model rise."""

    async def cover(self, name: str, window: Window) -> None:
        """Let a window of a model be covered, for ``scheduler``."""

    async def make_wait(self, task_id: int, pause: timedelta) -> None:
        """Let a task of ``scheduler`` fail once; it is tried again after ``pause``."""

    async def open_circuit(self, downstream: str, pause: timedelta) -> None:
        """Let a downstream be unavailable for ``scheduler``."""


@dataclass
class RealLedgers:
    """`RoleLedgers` on PostgreSQL."""

    ledgers: Ledgers

    def __post_init__(self) -> None:
        self.executor: ExecutorLedger = self.ledgers.executor
        self.scheduler: SchedulerLedger = self.ledgers.scheduler
        self.models: ModelLedger = self.ledgers.models

    async def set_clock(self, time: datetime) -> None:
        await self.ledgers.set_clock(time)

    async def add_task(self, name: str) -> int:
        await self.add_need(name)
        (need,) = [need for need in await self.scheduler.needs(timedelta(days=30)) if need.ref.name == name]
        term = await self.scheduler.acquire_lease("scheduler-1", LEASE)
        assert term is not None
        await self.scheduler.plan(term, [Planned(need.model_id, need.epoch, need.windows[Lane.LIVE], Lane.LIVE)])
        (task_id,) = [task.id for task in await self.scheduler.unpublished(term, 100) if task.ref.name == name]
        return task_id

    async def message(self, task_id: int, epoch: int = 1) -> Task:
        return await self.ledgers.message(task_id, epoch)

    async def add_need(self, name: str, project: str = "plant") -> None:
        await self.models.put_models([an_entry(name, project=project, fold=timedelta(hours=1))])

    async def supersede(self, name: str) -> None:
        await self.models.put_models([an_entry(name, fold=timedelta(hours=1), revision="2000")])

    async def cover(self, name: str, window: Window) -> None:
        await self.ledgers.fetch(
            "UPDATE coverage SET covered = covered + tstzmultirange(tstzrange($2, $3))"
            " WHERE model_id = (SELECT id FROM model WHERE name = $1)",
            name,
            window.start,
            window.end,
        )

    async def make_wait(self, task_id: int, pause: timedelta) -> None:
        claim = await self.ledgers.claim(task_id, 1, "executor-1", LEASE)
        assert claim is not None
        await self.executor.settle([(claim, Retry("500", retry_after=pause))])

    async def open_circuit(self, downstream: str, pause: timedelta) -> None:
        await self.executor.open_circuit(downstream, "503", alarm=False, pause=pause)


class LedgersInMemory:
    """`RoleLedgers` of the unit tests."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.work = MemoryWork(self.clock)
        self.executor: ExecutorLedger = self.work
        self.planning = MemoryPlanning(self.clock)
        self.scheduler: SchedulerLedger = self.planning
        self.models: ModelLedger = MemoryModels(self.clock)
        self._tasks: dict[str, int] = {}  #: by the name of their model

    async def set_clock(self, time: datetime) -> None:
        self.clock.jump(time - self.clock.now())

    async def add_task(self, name: str) -> int:
        self._tasks[name] = task_id = len(self._tasks) + 1
        self.work.add(task_id)
        self.work.planned[task_id] = a_task(a_spec(name), LIVE, id=task_id)
        return task_id

    async def message(self, task_id: int, epoch: int = 1) -> Task:
        return replace(self.work.planned.get(task_id) or a_task(id=task_id), epoch=epoch)

    async def add_need(self, name: str, project: str = "plant") -> None:
        desired = self.planning.desired
        windows = {Lane.LIVE: LIVE, Lane.BACKFILL: window("10:00", "11:00")}
        desired.append(a_need(len(desired) + 1, ModelRef(project, name), windows))

    async def supersede(self, name: str) -> None:
        self.planning.raise_epoch(name)
        self.work.superseded |= {task_id for model, task_id in self._tasks.items() if model == name}

    async def cover(self, name: str, window: Window) -> None:
        (need,) = [need for need in self.planning.desired if need.ref.name == name]
        self.planning.covered[need.model_id] = Coverage((window,))

    async def make_wait(self, task_id: int, pause: timedelta) -> None:
        self.planning.make_wait(task_id, pause)

    async def open_circuit(self, downstream: str, pause: timedelta) -> None:
        self.planning.board.set(a_circuit(downstream, pause))


@asynccontextmanager
async def in_memory(_: pytest.FixtureRequest) -> AsyncIterator[RoleLedgers]:
    yield LedgersInMemory()


@asynccontextmanager
async def on_postgres(request: pytest.FixtureRequest) -> AsyncIterator[RoleLedgers]:
    server, template = request.getfixturevalue("postgres_server"), request.getfixturevalue("ledger_template")
    async with fresh_database(server, template=template) as url, open_ledgers(url) as ledgers:
        await ledgers.set_clock(NOW)
        yield RealLedgers(ledgers)


ROLE_LEDGERS: Mapping[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[RoleLedgers]]] = {
    "memory": in_memory,
    "postgres": on_postgres,
}


@pytest.fixture(params=ROLE_LEDGERS)
async def role_ledgers(request: pytest.FixtureRequest, ledger_template: str) -> AsyncIterator[RoleLedgers]:  # noqa: ARG001 - it cannot be made once a loop runs
    """An empty ledger at `NOW`, of each kind."""
    async with ROLE_LEDGERS[request.param](request) as ledgers:
        yield ledgers
