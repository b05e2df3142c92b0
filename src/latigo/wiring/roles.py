"""Creates the roles from open resources."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from latigo import __version__
from latigo.domain.circuits import System, circuit_name
from latigo.domain.lane_share import LaneShare
from latigo.domain.sinks import RequiredSink
from latigo.executor.budget import ByteBudget
from latigo.executor.circuits import CircuitBoard, CircuitRules
from latigo.executor.comparing import Comparison
from latigo.executor.gate import Gate
from latigo.executor.limiter import ProjectLimits
from latigo.executor.loop import Executor, ExecutorRules
from latigo.executor.pipeline import Pipeline
from latigo.ledger.discovery_store import PostgresDiscoveryLedger
from latigo.ledger.executor_store import PostgresExecutorLedger
from latigo.ledger.freshness_store import PostgresFreshnessLedger
from latigo.ledger.model_protocol import ModelLedger
from latigo.ledger.model_store import PostgresModelLedger
from latigo.ledger.prediction_metadata import PostgresMetadataLedger
from latigo.ledger.protocol import ExecutorInfo
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
from latigo.ledger.settling import RetryRules
from latigo.providers.metadata_api import open_metadata_api
from latigo.providers.parts import parts_of, sources_of
from latigo.providers.protocols import ModelDiscovery, NamingSink
from latigo.providers.timeseries import TimeseriesPredictions
from latigo.runtime.lifecycle import Role
from latigo.scheduler.discovery import Discovery
from latigo.scheduler.freshness import FreshnessCounter
from latigo.scheduler.groups import Sources
from latigo.scheduler.loop import Scheduler, SchedulerRules
from latigo.scheduler.model_sync import ModelSync
from latigo.scheduler.prediction_metadata import MetadataPosts
from latigo.scheduler.selection import Selection
from latigo.settings import (
    CircuitSettings,
    ExecutorSettings,
    LateDataSettings,
    PostgresSink,
    TimeseriesSink,
    overrides_for,
)
from latigo.task_queue import envelope
from latigo.task_queue.protocol import TaskReceiver, TaskSender
from latigo.wiring.discovery import open_discovery, source_of
from latigo.wiring.resources import Resources, process_id


def retry_rules(executor: ExecutorSettings) -> RetryRules:
    """Return how failed tasks are retried."""
    return RetryRules(
        max_attempts=executor.max_attempts,
        backoff_first=executor.backoff_first,
        backoff_longest=executor.backoff_longest,
    )


def circuit_rules(circuit: CircuitSettings) -> CircuitRules:
    """Return when circuits open and are probed."""
    return CircuitRules(
        failures=circuit.failures,
        share=circuit.share,
        last=circuit.last,
        first_pause=circuit.probe_first,
        longest_pause=circuit.probe_longest,
    )


def comparison(late_data: LateDataSettings) -> Comparison:
    """Return what executors keep for sweeps, and when a slot has moved."""
    return Comparison(max(late_data.ages, default=None), late_data.tolerance)


def create_executor(resources: Resources, receiver: TaskReceiver) -> Executor:
    """Create an executor that receives tasks from ``receiver``."""
    settings = resources.settings
    executor = settings.executor
    required = [sink.store.downstream for sink in resources.sinks if sink.required]
    ledger = PostgresExecutorLedger(resources.database, retry_rules(executor), __version__, sinks=required)
    circuits = CircuitBoard(ledger, circuit_rules(settings.circuit))
    budget = ByteBudget(settings.read_budget)
    models = settings.models
    limits = ProjectLimits(executor.concurrency, resources.clock, models.cached_per_worker, models.workers_per_server)
    gate = Gate(executor.concurrency, LaneShare(settings.backfill.min_share), resources.tasks)
    resources.metrics.tasks_in_flight.set_function(lambda: gate.running)
    resources.metrics.concurrency.set_function(lambda: sum(limit.limit for limit in limits.values()))
    resources.metrics.buffered.set_function(lambda: budget.held)
    pipeline = Pipeline(
        sensors=resources.sensors,
        models=resources.models,
        sinks=resources.sinks,
        circuits=circuits,
        budget=budget,
        limits=limits,
        hard_limit=executor.hard_limit,
        clock=resources.clock,
        metrics=resources.metrics,
        lateness=resources.lateness,
        comparison=comparison(settings.late_data),
    )
    return Executor(
        info=ExecutorInfo(
            id=process_id(),
            version=__version__,
            envelope_low=envelope.LOWEST,
            envelope_high=envelope.HIGHEST,
            concurrency=executor.concurrency,
        ),
        rules=ExecutorRules(
            lease=executor.lease,
            renew=executor.renew,
            grace=executor.grace,
            min_share=settings.backfill.min_share,
        ),
        ledger=ledger,
        receiver=receiver,
        pipeline=pipeline,
        describe=resources.catalogue.get_model_spec,
        gate=gate,
        clock=resources.clock,
        metrics=resources.metrics,
    )


@asynccontextmanager
async def open_scheduler(resources: Resources, sender: TaskSender) -> AsyncIterator[Mapping[str, Role]]:
    """Open what only a process with a scheduler needs, and yield its roles: the scheduler, and what it posts.

    Raises:
        ConfigurationError: something cannot be used as it is configured.
    """
    settings, clock = resources.settings, resources.clock
    async with AsyncExitStack() as opened:
        discovery = await opened.enter_async_context(open_discovery(settings, clock))
        roles: dict[str, Role] = {"scheduler": create_scheduler(resources, sender, discovery).run}
        if sinks := _naming_sinks(resources):
            api = await opened.enter_async_context(open_metadata_api(settings.metadata_api, clock))
            roles["prediction metadata"] = MetadataPosts(
                ledger=PostgresMetadataLedger(resources.database),
                provider=api,
                sinks=sinks,
                describe=resources.catalogue.get_model_spec,
                clock=clock,
            ).run
        yield roles


def _naming_sinks(resources: Resources) -> Mapping[str, NamingSink]:
    """Return the sinks whose models are to be described, by downstream."""
    return {
        sink.store.downstream: sink.store
        for sink, section in zip(resources.sinks, resources.settings.predictions, strict=True)
        if isinstance(section, TimeseriesSink) and section.metadata and isinstance(sink.store, TimeseriesPredictions)
    }


def create_scheduler(resources: Resources, sender: TaskSender, discovery: ModelDiscovery | None = None) -> Scheduler:
    """Create a scheduler that publishes tasks to ``sender``; ``discovery`` names the projects, or the settings do."""
    settings = resources.settings
    ledger = PostgresModelLedger(resources.database)
    required = [sink.store.downstream for sink in resources.sinks if sink.required]
    sources = Sources(
        (source.downstream for source in sources_of(resources.sensors)),
        lambda tags: {part.source.downstream for part in parts_of(resources.sensors, tags)},
    )

    async def projects() -> Iterable[str]:
        return [project.name for project in await ledger.projects()]

    return Scheduler(
        rules=SchedulerRules(
            holder=process_id(),
            version=__version__,
            lease=settings.planner.lease,
            renew=settings.planner.renew,
            max_clock_difference=settings.planner.max_clock_difference,
            refresh=settings.models.refresh,
            max_catch_up=settings.backfill.max_catch_up,
            max_outstanding=settings.task_queue.max_outstanding,
            min_share=settings.backfill.min_share,
            history=settings.ledger.history,
            sweep=settings.late_data.ages,
        ),
        ledger=PostgresSchedulerLedger(resources.database),
        sync=create_model_sync(resources, discovery),
        sender=sender,
        sinks=[
            RequiredSink(sink.store.downstream, section.retention if isinstance(section, PostgresSink) else None)
            for sink, section in zip(resources.sinks, settings.predictions, strict=True)
            if sink.required
        ],
        downstreams=lambda project: [circuit_name(System.MODELS, project), *required],
        sources=sources,
        freshness=FreshnessCounter(
            PostgresFreshnessLedger(resources.database),
            settings.objective.fresh_within,
            resources.clock,
            resources.metrics,
        ),
        projects=projects,
        clock=resources.clock,
        metrics=resources.metrics,
    )


def create_model_sync(resources: Resources, discovery: ModelDiscovery | None = None) -> ModelSync:
    """Create what keeps the ledger's list of models; for ``discovery`` see `create_scheduler`."""
    settings = resources.settings
    models, ledger = settings.models, PostgresModelLedger(resources.database)
    return ModelSync(
        provider=resources.catalogue,
        roster=resources.roster,
        selection=Selection(models.projects, models.include, models.exclude),
        ledger=ledger,
        schedule_of=partial(overrides_for, settings),
        max_window=settings.schedule.longest_window,
        clock=resources.clock,
        version=__version__,
        discovery=_discovery(resources, discovery, ledger),
    )


def _discovery(resources: Resources, provider: ModelDiscovery | None, models: ModelLedger) -> Discovery:
    return Discovery(
        source=source_of(resources.settings),
        provider=provider,
        ledger=PostgresDiscoveryLedger(resources.database),
        models=models,
        clock=resources.clock,
    )
