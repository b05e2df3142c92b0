"""A plant in memory with a pipeline through it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from prometheus_client import CollectorRegistry

from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Predictions, Series, Written
from latigo.domain.task import Task
from latigo.domain.windows import from_ns, to_ns
from latigo.executor.budget import ByteBudget
from latigo.executor.circuits import CircuitBoard
from latigo.executor.guard import WriteGuard
from latigo.executor.limiter import ProjectLimits
from latigo.executor.pipeline import Pipeline, Sink
from latigo.executor.progress import Progress
from latigo.ledger.protocol import Claim
from latigo.providers.memory import MemoryPredictions, MemorySensors
from latigo.telemetry.metrics import Metrics
from tests.support.build import at, circuit_rules
from tests.support.clock import ManualClock
from tests.support.memory_ledgers import MemoryWork
from tests.support.models import Doubler


class Store(MemoryPredictions):
    """A sink with a name of its own that may refuse; counts what it is given, and keeps nothing before ``since``."""

    def __init__(self, name: str = "sink/memory") -> None:
        super().__init__()
        self.name = name
        self.errors: list[Exception] = []
        self.ping_error: Exception | None = None
        self.begun = 0
        self.writes: list[Predictions] = []
        self.since: datetime | None = None
        self.hold = asyncio.Event()  #: writes wait for this before they begin
        self.hold.set()

    @property
    def downstream(self) -> str:
        return self.name

    async def ping(self, projects: Sequence[str]) -> str:
        if self.ping_error is not None:
            raise self.ping_error
        return await super().ping(projects)

    async def put_predictions(self, predictions: Predictions, fence: Fence) -> Written:
        self.begun += 1
        await self.hold.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.writes.append(predictions)
        if self.since is not None:
            predictions = predictions.between(to_ns(self.since), int(predictions.times[-1]) + 1)
        return await super().put_predictions(predictions, fence)

    def times(self, model: ModelRef) -> list[datetime]:
        return sorted({from_ns(time) for time, _ in self.points.get(model, {})})


def every_minute(start: datetime, end: datetime, value: float = 1.0) -> Series:
    """Readings half a minute past every full one."""
    count = (end - start) // timedelta(minutes=1)
    times = to_ns(start + timedelta(seconds=30)) + np.arange(count, dtype=np.int64) * 60 * 10**9
    return Series(times, np.full(count, value))


class Plant:
    """Two tags with readings all day, a model server, sinks, a ledger, and the pipeline between them."""

    def __init__(
        self, *optional: str, budget: int = 2**27, hard_limit: timedelta = timedelta(minutes=15), calls: int = 32
    ) -> None:
        day = every_minute(at("00:00"), at("23:59"))
        self.clock = ManualClock(at("12:07"))
        self.ledger = MemoryWork(self.clock)
        self.sensors = MemorySensors({"a": day, "b": day})
        self.models = Doubler()
        self.stores = [Store("sink/first"), Store("sink/second")]
        self.board = CircuitBoard(self.ledger, circuit_rules())
        self.budget = ByteBudget(budget)
        self.limits = ProjectLimits(calls, self.clock)
        self.metrics = Metrics(CollectorRegistry(), self.clock)
        self.pipeline = Pipeline(
            sensors=self.sensors,
            models=self.models,
            sinks=[Sink(store, required=store.name not in optional) for store in self.stores],
            circuits=self.board,
            budget=self.budget,
            limits=self.limits,
            hard_limit=hard_limit,
            clock=self.clock,
            metrics=self.metrics,
        )

    def progress(self, task: Task, *stored_in: str) -> Progress:
        """A task that has been claimed in the ledger."""
        claim = Claim(task.id, 1, 0, 0, frozenset(stored_in), task.ref, task.window, task.epoch, incarnation=1)
        self.ledger.held[task.id] = claim
        lease = timedelta(seconds=30)
        guard = WriteGuard(self.ledger, lambda claim: self.ledger.begin_write(claim, lease), self.clock, claim, lease)
        return Progress(task, guard, stored_in=set(stored_in))
