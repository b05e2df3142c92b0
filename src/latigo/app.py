"""The only place that opens systems and hands them to the roles."""

import getpass
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from importlib import import_module
from typing import Any, Protocol, assert_never
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry

from latigo import __version__
from latigo.domain.errors import ConfigurationError
from latigo.domain.model import ModelRef
from latigo.domain.share import LaneShare
from latigo.executor.budget import ByteBudget
from latigo.executor.circuits import CircuitBoard, CircuitRules
from latigo.executor.gate import Gate
from latigo.executor.limiter import AdaptiveLimit
from latigo.executor.loop import Executor, ExecutorRules
from latigo.executor.pipeline import Pipeline, Sink
from latigo.ledger.database import Database, open_database
from latigo.ledger.embedded import open_embedded
from latigo.ledger.models import PostgresModelLedger, PostgresRoster
from latigo.ledger.planning import PostgresSchedulerLedger
from latigo.ledger.protocol import ExecutorInfo
from latigo.ledger.reports import LedgerReports
from latigo.ledger.schema import bring_up_to_date
from latigo.ledger.settling import Rules
from latigo.ledger.working import PostgresExecutorLedger
from latigo.providers.files import open_files
from latigo.providers.gordo import GordoModels, Limits, open_gordo
from latigo.providers.postgres import PostgresPredictions
from latigo.providers.protocols import ModelRoster, SensorDataProvider, SensorInformationProvider
from latigo.runtime.clock import Clock, SystemClock
from latigo.scheduler.loop import Scheduler, SchedulerRules
from latigo.scheduler.models import ModelSync, Schedule
from latigo.settings import (
    EmbeddedLedger,
    FileSensors,
    PluginSensors,
    PluginSink,
    PostgresLedger,
    PostgresSink,
    Settings,
    SimulatedSensors,
    overrides_for,
)
from latigo.standins.plant import Plant, PlantSensors
from latigo.task_queue import envelope
from latigo.task_queue.internal import InternalQueue
from latigo.telemetry import Metrics

_log = structlog.get_logger()

#: Between two looks at the ledger while it is away at start.
PATIENCE = timedelta(seconds=2)
UPKEEP = timedelta(hours=1)
GAUGES = timedelta(seconds=30)
#: After the roles' own grace, for closing what they used.
CLOSING = timedelta(seconds=5)


class RoleName(StrEnum):
    """What a process does."""

    SCHEDULER = "scheduler"
    EXECUTOR = "executor"
    ALL = "all"


class SensorSource(SensorDataProvider, SensorInformationProvider, Protocol):
    """Readings, and which sensors there are: every source of ours is both."""


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
    """Open every system, from the sinks to the sources, so that intake closes before what it feeds.

    ``sensors`` stands in for what the settings name, for worlds that are made in this process.

    Raises:
        ConfigurationError: something cannot be used as it is configured.
        Unavailable: the ledger is away; nothing else is asked at this point.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as opened:
        database = await opened.enter_async_context(open_ledger(settings))
        roster = PostgresRoster(database, who())
        sinks = [await opened.enter_async_context(open_sink(each, database)) for each in settings.predictions]
        models = await opened.enter_async_context(open_models(settings, roster))
        source = sensors if sensors is not None else await opened.enter_async_context(open_sensors(settings, clock))
        yield World(settings, clock, metrics or Metrics(CollectorRegistry()), database, roster, models, source, sinks)


@asynccontextmanager
async def open_ledger(settings: Settings, *, up_to_date: bool = True) -> AsyncIterator[Database]:
    """Reach the ledger's database, starting it if it is our own, and bring its schema up to date."""
    async with ledger_url(settings) as url:
        if up_to_date:
            before, after = await bring_up_to_date(url)
            if before != after:
                _log.info("ledger.migrated", before=before, after=after)
        async with open_database(url, size=settings.ledger.pool_size) as database:
            yield database


@asynccontextmanager
async def ledger_url(settings: Settings) -> AsyncIterator[str]:
    """Where the ledger is; holds the embedded server while the context lasts."""
    match settings.ledger:
        case EmbeddedLedger(data_dir=data_dir):
            async with open_embedded(data_dir) as url:
                yield url
        case PostgresLedger(url=secret):
            yield secret.get_secret_value()
        case _:
            assert_never(settings.ledger)


@asynccontextmanager
async def open_models(settings: Settings, roster: ModelRoster) -> AsyncIterator[GordoModels]:
    """Reach the model server; nothing is asked yet."""
    models = settings.models
    limits = Limits(
        connect=models.connect_timeout,
        read=models.list_timeout,
        predict=models.predict_timeout,
    )
    async with open_gordo(
        url=models.url,
        projects=models.projects,
        roster=roster,
        include=models.include,
        exclude=models.exclude,
        headers={name: value.get_secret_value() for name, value in models.headers.items()},
        token=models.token.get_secret_value() if models.token else None,
        limits=limits,
    ) as opened:
        yield opened


@asynccontextmanager
async def open_sensors(settings: Settings, clock: Clock) -> AsyncIterator[SensorSource]:
    """Reach the source of readings."""
    match settings.sensors:
        case FileSensors() as files:
            async with open_files(
                path=files.path,
                layout=files.layout,
                format=files.format,
                separator=files.separator,
                decimal_point=files.decimal_point,
                time_column=files.time_column,
                timezone=files.timezone,
                tag_column=files.tag_column,
                value_column=files.value_column,
                time_limit=files.read_timeout,
            ) as source:
                yield source
        case SimulatedSensors() as simulated:
            yield PlantSensors(Plant(simulated.seed, period=simulated.step), clock.now, any_tag=True)
        case PluginSensors() as plugin:
            async with _plugin(plugin.kind, "sensors.kind", plugin.options, plugin.secrets) as source:
                yield source
        case _:
            assert_never(settings.sensors)


@asynccontextmanager
async def open_sink(settings: PostgresSink | PluginSink, database: Database) -> AsyncIterator[Sink]:
    """Reach a place for predictions."""
    match settings:
        case PostgresSink():
            yield Sink(PostgresPredictions(database.pool, time_limit=settings.write_timeout), settings.required)
        case PluginSink():
            async with _plugin(settings.kind, "predictions.kind", settings.options, settings.secrets) as store:
                yield Sink(store, settings.required)
        case _:
            assert_never(settings)


@asynccontextmanager
async def _plugin(kind: str, key: str, options: Mapping[str, Any], secrets: Mapping[str, Any]) -> AsyncIterator[Any]:
    """Open what ``python:package.module:factory`` names: a callable that returns an async context manager."""
    _, module, factory = kind.split(":", 2)
    try:
        make = getattr(import_module(module), factory)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f'{key} = "{kind}": {error}') from error
    plain = {name: value.get_secret_value() for name, value in secrets.items()}
    async with make(**options, **plain) as opened:
        yield opened


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


def make_executor(world: World, queue: InternalQueue) -> Executor:
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
        rules=ExecutorRules(executor.lease, executor.renew, executor.hard_limit, executor.grace),
        ledger=ledger,
        receiver=queue,
        pipeline=pipeline,
        describe=world.models.get_model_spec,
        gate=gate,
        clock=world.clock,
        metrics=world.metrics,
    )


def make_scheduler(world: World, queue: InternalQueue) -> Scheduler:
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
        sender=queue,
        downstreams=lambda project: [f"gordo/{project}", *required],
        projects=projects,
        clock=world.clock,
        metrics=world.metrics,
    )
