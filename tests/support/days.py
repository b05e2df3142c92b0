"""A plant on a virtual clock, in which days pass in seconds.

Scheduler, model sync, ledger, pipeline, circuits, sink and the client of the model server are the real ones. Simulated
are the time, the readings, which arrive when a test says, and the predictions, which follow `chaos.formulas`. Nothing
happens between two moments: at each, everything that can be done is done.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from benchmarks.simulation import CLOCK, VirtualClock
from chaos.days.gordo import REVISION, CountedPredictions
from chaos.days.judge import DELAY, MAX_WINDOW, SLOT, Found, read_found
from chaos.days.source import ArrivingSensors
from latigo.domain.errors import Unavailable
from latigo.domain.fence import Fence
from latigo.domain.outcome import Settlement
from latigo.domain.series import Predictions, Written
from latigo.domain.task import Task
from latigo.domain.windows import DAY
from latigo.executor.budget import ByteBudget
from latigo.executor.circuits import CircuitBoard
from latigo.executor.guard import WriteGuard
from latigo.executor.limiter import ProjectLimits
from latigo.executor.outcomes import settlement_of
from latigo.executor.pipeline import Pipeline, Sink
from latigo.executor.progress import Progress
from latigo.ledger.executor_store import PostgresExecutorLedger
from latigo.ledger.protocol import Claim, ExecutorInfo, Term
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.postgres.database import Database
from latigo.providers.protocols import PredictionStorageProvider
from latigo.sandbox.gordo import ModelDefinition, ProjectDefinition, SandboxGordo, open_sandbox_gordo
from latigo.scheduler.loop import Scheduler
from latigo.scheduler.model_sync import ModelSync
from latigo.settings import (
    BackfillSettings,
    GordoModels,
    HttpSettings,
    LateDataSettings,
    PostgresLedger,
    ScheduleSettings,
    Settings,
)
from latigo.task_queue import envelope
from latigo.task_queue.internal import InternalQueue
from latigo.wiring.resources import Resources, open_resources
from latigo.wiring.roles import circuit_rules, comparison, create_model_sync, create_scheduler, retry_rules

#: A slot falls due at this moment.
BEGIN = datetime(2025, 10, 20, 6, tzinfo=UTC) + DELAY

_LEASE = timedelta(days=1000)
_EXECUTOR = "executor"


class AbsentableSink:
    """A real sink that can be down."""

    def __init__(self, store: PredictionStorageProvider) -> None:
        self._store = store
        self.down = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def ping(self, projects: Sequence[str]) -> str:
        self._require_there()
        return await self._store.ping(projects)

    async def put_predictions(self, predictions: Predictions, fence: Fence) -> Written:
        self._require_there()
        return await self._store.put_predictions(predictions, fence)

    def _require_there(self) -> None:
        if self.down:
            raise Unavailable("nothing answers", downstream=self._store.downstream)


class AbsentableQueue(InternalQueue):
    """A real queue that can be down, for the scheduler."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    async def publish(self, tasks: Sequence[Task], version: int = envelope.HIGHEST) -> Mapping[int, str]:
        if self.down:
            raise Unavailable("nothing answers", downstream=self.channel)
        return await super().publish(tasks, version)

    def take(self) -> list[Task]:
        """Return what waits."""
        return list(iter(self._next, None))


@dataclass
class Plant:
    """A plant, and a Latigo that predicts its models."""

    clock: VirtualClock
    resources: Resources
    gordo: SandboxGordo
    predictions: CountedPredictions
    sensors: ArrivingSensors
    sink: AbsentableSink
    queue: AbsentableQueue
    scheduler: Scheduler
    sync: ModelSync
    pipeline: Pipeline
    executors: PostgresExecutorLedger
    term: Term
    has_scheduler: bool = True
    has_executors: bool = True
    known: dict[str, datetime] = field(default_factory=dict)  #: when each model was first listed, by its name

    @property
    def database(self) -> Database:
        return self.resources.database

    async def at(self, time: datetime, *, sync: bool = True) -> None:
        """Turn the clock, and let everything be done that can be done at this moment."""
        await self._turn(time)
        if self.has_scheduler and sync:
            await self._sync()
        while True:
            published = await self._plan() if self.has_scheduler else 0
            worked = await self._work() if self.has_executors else 0
            if not published and not worked:
                return

    async def _turn(self, time: datetime) -> None:
        new_day = time.date() != self.clock.time.date()
        self.clock.time = time
        async with self.database.connection() as connection:
            await connection.execute("UPDATE virtual_clock SET at = $1", time)
        if new_day:
            await PostgresSchedulerLedger(self.database).maintain(history=timedelta(days=30))
        await self.executors.heartbeat(_EXECUTOR, in_flight=0, limit=8, concurrency=8)

    async def _sync(self) -> None:
        await self.sync.run_once()
        for project in self.gordo.projects.values():
            for name in project.revisions[project.latest]:
                self.known.setdefault(name, self.clock.time)

    async def _plan(self) -> int:
        ledger = PostgresSchedulerLedger(self.database)
        await ledger.recover(self.term, self.queue.channel, isolated_starts=3, version="day")
        await ledger.tend_requests(self.term)
        if ages := self.resources.settings.late_data.ages:
            await ledger.begin_sweep(self.term, ages)
        try:
            return await self.scheduler.plan_once(self.term)
        except Unavailable:  # the queue: the loop tries again later
            return 0

    async def _work(self) -> int:
        tasks = self.queue.take()
        await self.pipeline.circuits.refresh()
        for task in tasks:
            await self._run(task)
        return len(tasks)

    async def _begin_write(self, claim: Claim) -> bool:
        return await self.executors.begin_write(claim, _LEASE)

    async def _run(self, task: Task) -> None:
        claim = await self.executors.claim(task, _EXECUTOR, _LEASE)
        if claim is None:
            return
        progress = Progress(
            task,
            WriteGuard(self.executors, self._begin_write, self.clock, claim, _LEASE),
            stored_in=set(claim.stored_in),
            recorded=claim.recorded,
        )
        try:
            settlement: Settlement = await self.pipeline.run(progress)
        except Exception as error:  # noqa: BLE001 - as the executor does
            settlement = settlement_of(error, progress)
        await self.executors.settle([(claim, settlement)])

    async def found(self) -> Found:
        """Return what the ledger and the sink hold."""
        async with self.database.connection() as connection:
            return await read_found(connection)


@asynccontextmanager
async def open_plant(
    ledger_url: str, projects: Mapping[str, Sequence[ModelDefinition]], *, sweep: bool = False
) -> AsyncIterator[Plant]:
    """Open a plant on an empty ledger, at `BEGIN`; models have one slot of history."""
    clock, predictions = VirtualClock(BEGIN - DAY), CountedPredictions()
    served = [ProjectDefinition(name, tuple(models), REVISION) for name, models in projects.items()]
    async with open_sandbox_gordo(served, canned=predictions) as gordo:
        settings = Settings(
            ledger=PostgresLedger(url=SecretStr(ledger_url)),
            models=GordoModels(url=gordo.url, projects=tuple(projects)),
            schedule=ScheduleSettings(interval=SLOT, delay=DELAY, max_window=MAX_WINDOW),
            backfill=BackfillSettings(horizon=SLOT),
            late_data=LateDataSettings(sweep=sweep),
            http=HttpSettings(enabled=False),
        )
        sensors = ArrivingSensors(clock)
        async with open_resources(settings, sensors=sensors, clock=clock) as resources:
            database = resources.database
            async with database.connection() as connection:
                await connection.execute(CLOCK)
            ledger = PostgresSchedulerLedger(database)
            executors = PostgresExecutorLedger(database, retry_rules(settings.executor), "day")
            info = ExecutorInfo(_EXECUTOR, "day", envelope.LOWEST, envelope.HIGHEST, concurrency=8)
            term = await ledger.acquire_lease("day", _LEASE)
            assert term is not None
            sinks = [Sink(AbsentableSink(sink.store), sink.required, sink.on_stored) for sink in resources.sinks]
            queue = AbsentableQueue()
            sink = sinks[0].store
            assert isinstance(sink, AbsentableSink)
            plant = Plant(
                clock=clock,
                resources=resources,
                gordo=gordo,
                predictions=predictions,
                sensors=sensors,
                sink=sink,
                queue=queue,
                scheduler=create_scheduler(resources, queue),
                sync=create_model_sync(resources),
                pipeline=Pipeline(
                    sensors=sensors,
                    models=resources.models,
                    sinks=sinks,
                    circuits=CircuitBoard(executors, circuit_rules(settings.circuit)),
                    budget=ByteBudget(settings.read_budget),
                    limits=ProjectLimits(settings.executor.concurrency, clock),
                    hard_limit=settings.executor.hard_limit,
                    clock=clock,
                    metrics=resources.metrics,
                    comparison=comparison(settings.late_data),
                ),
                executors=executors,
                term=term,
            )
            await executors.register(info)
            yield plant
