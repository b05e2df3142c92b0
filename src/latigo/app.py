"""Everything that the roles need, opened and handed to them; the only place that does."""

import getpass
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from prometheus_client import CollectorRegistry

from latigo import __version__
from latigo.domain.model import ModelRef
from latigo.domain.share import LaneShare
from latigo.executor.budget import ByteBudget
from latigo.executor.circuits import CircuitBoard, CircuitRules
from latigo.executor.gate import Gate
from latigo.executor.limiter import AdaptiveLimit
from latigo.executor.loop import Executor, ExecutorRules
from latigo.executor.pipeline import Pipeline, Sink
from latigo.ledger.database import Database
from latigo.ledger.models import PostgresModelLedger, PostgresRoster
from latigo.ledger.planning import PostgresSchedulerLedger
from latigo.ledger.protocol import ExecutorInfo
from latigo.ledger.reports import LedgerReports
from latigo.ledger.settling import Rules
from latigo.ledger.working import PostgresExecutorLedger
from latigo.providers.gordo import GordoModels
from latigo.runtime.clock import Clock, SystemClock
from latigo.scheduler.loop import Scheduler, SchedulerRules
from latigo.scheduler.models import ModelSync, Schedule
from latigo.settings import (
    Settings,
    overrides_for,
)
from latigo.systems import SensorSource, open_ledger, open_models, open_sensors, open_sink
from latigo.task_queue import envelope
from latigo.task_queue.protocol import TaskReceiver, TaskSender
from latigo.telemetry import Metrics


@dataclass(frozen=True)
class World:
    """Everything outside of this process, opened."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    roster: PostgresRoster
    models: GordoModels
    sensors: SensorSource
    sinks: Sequence[Sink]
    reports: LedgerReports = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reports", LedgerReports(self.database, __version__))


@asynccontextmanager
async def open_world(
    settings: Settings,
    *,
    sensors: SensorSource | None = None,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[World]:
    """Open the ledger as it is, and every other system.

    Raises:
        ConfigurationError: something cannot be used as it is configured.
        Unavailable: something is away that is needed already for opening it.
    """
    async with (
        open_ledger(settings) as database,
        open_around(database, settings, sensors=sensors, clock=clock, metrics=metrics) as world,
    ):
        yield world


@asynccontextmanager
async def open_around(
    database: Database,
    settings: Settings,
    *,
    sensors: SensorSource | None = None,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[World]:
    """Open every system but the ledger, from the sinks to the sources, so that intake closes before what it feeds.

    ``sensors`` stands in for what the settings name, for worlds that are made in this process.

    Raises:
        ConfigurationError: something cannot be used as it is configured.
        Unavailable: something is away that is needed already for opening it.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as opened:
        roster = PostgresRoster(database, who())
        sinks = [await opened.enter_async_context(open_sink(each, database)) for each in settings.predictions]
        models = await opened.enter_async_context(open_models(settings, roster))
        source = sensors if sensors is not None else await opened.enter_async_context(open_sensors(settings, clock))
        yield World(settings, clock, metrics or Metrics(CollectorRegistry()), database, roster, models, source, sinks)


def who() -> str:
    """Who asks, for the record."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


class WorkingLimits(dict[str, AdaptiveLimit]):
    """The working limit of every project, made when it is first asked for."""

    def __init__(self, ceiling: int, clock: Clock) -> None:
        super().__init__()
        self._ceiling = ceiling
        self._clock = clock

    def __missing__(self, project: str) -> AdaptiveLimit:
        self[project] = made = AdaptiveLimit(self._ceiling, self._clock)
        return made


def make_executor(world: World, receiver: TaskReceiver) -> Executor:
    """An executor on this world."""
    settings = world.settings
    executor, circuit = settings.executor, settings.circuit
    rules = Rules(executor.max_attempts, executor.backoff_first, executor.backoff_longest)
    ledger = PostgresExecutorLedger(world.database, rules, __version__)
    board = CircuitBoard(
        ledger,
        CircuitRules(circuit.failures, circuit.share, circuit.last, circuit.probe_first, circuit.probe_longest),
    )
    budget, limits = ByteBudget(settings.sensors.read_budget), WorkingLimits(executor.concurrency, world.clock)
    gate = Gate(executor.concurrency, LaneShare(settings.backfill.min_share))
    world.metrics.tasks_in_flight.set_function(lambda: gate.running)
    world.metrics.concurrency.set_function(lambda: sum(limit.limit for limit in limits.values()))
    world.metrics.buffered.set_function(lambda: budget.held)
    pipeline = Pipeline(
        sensors=world.sensors,
        models=world.models,
        sinks=world.sinks,
        circuits=board,
        budget=budget,
        limits=limits,
        hard_limit=executor.hard_limit,
        clock=world.clock,
        metrics=world.metrics,
    )
    return Executor(
        info=ExecutorInfo(
            id=f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}",
            version=__version__,
            envelope_low=envelope.LOWEST,
            envelope_high=envelope.HIGHEST,
            concurrency=executor.concurrency,
        ),
        rules=ExecutorRules(executor.lease, executor.renew, executor.grace),
        ledger=ledger,
        receiver=receiver,
        pipeline=pipeline,
        describe=world.models.get_model_spec,
        gate=gate,
        clock=world.clock,
        metrics=world.metrics,
    )


def make_scheduler(world: World, sender: TaskSender) -> Scheduler:
    """A scheduler on this world."""
    settings = world.settings
    ledger = PostgresModelLedger(world.database)
    required = [world.sensors.downstream, *(sink.store.downstream for sink in world.sinks if sink.required)]

    def schedule_of(ref: ModelRef) -> Schedule:
        return Schedule(*overrides_for(settings, ref))

    def sync(still_wanted: Callable[[], bool]) -> ModelSync:
        return ModelSync(
            provider=world.models,
            ledger=ledger,
            schedule_of=schedule_of,
            max_window=settings.schedule.max_window,
            clock=world.clock,
            version=__version__,
            still_wanted=still_wanted,
        )

    async def projects() -> Iterable[str]:
        return [project.name for project in await ledger.projects()]

    return Scheduler(
        rules=SchedulerRules(
            holder=f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}",
            version=__version__,
            lease=settings.planner.lease,
            renew=settings.planner.renew,
            max_clock_difference=settings.planner.max_clock_difference,
            refresh=settings.models.refresh,
            max_catch_up=settings.backfill.max_catch_up,
            max_outstanding=settings.task_queue.max_outstanding,
            min_share=settings.backfill.min_share,
            history=settings.ledger.history,
        ),
        ledger=PostgresSchedulerLedger(world.database),
        sync=sync,
        sender=sender,
        downstreams=lambda project: [f"gordo/{project}", *required],
        projects=projects,
        clock=world.clock,
        metrics=world.metrics,
    )
