"""Opens every foreign system that the settings name; nothing else does."""

import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import assert_never
from uuid import uuid4

from prometheus_client import CollectorRegistry

from latigo.domain.errors import ConfigurationError
from latigo.domain.lateness import LatenessCounts
from latigo.executor.pipeline import Sink
from latigo.ledger.model_store import PostgresModelLedger, PostgresRoster
from latigo.ledger.prediction_metadata import FirstWindows, PostgresMetadataLedger
from latigo.postgres.database import Database
from latigo.providers.bad_readings import BadReadings
from latigo.providers.gordo import Gordo, open_gordo
from latigo.providers.protocols import ModelExecutionProvider, ModelInformationProvider, SensorSource
from latigo.providers.timeseries import Savings
from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.in_progress import InProgress
from latigo.runtime.log import get_logger
from latigo.settings import EventHubQueue, Settings, TimeseriesSink
from latigo.settings import InternalQueue as InternalQueueSettings
from latigo.settings import PostgresQueue as PostgresQueueSettings
from latigo.task_queue.internal import InternalQueue
from latigo.task_queue.postgres import PostgresSender, ReceiverTiming
from latigo.task_queue.postgres import open_receiver as open_postgres_receiver
from latigo.task_queue.protocol import TaskReceiver, TaskSender
from latigo.telemetry.metrics import Metrics
from latigo.wiring.ledger import open_ledger, user_at_host
from latigo.wiring.plugins import extra
from latigo.wiring.role_names import RoleName
from latigo.wiring.sinks import SinkSettings, open_store
from latigo.wiring.sources import Shared, open_numbered, open_sensors

_log = get_logger(__name__)


@asynccontextmanager
async def open_sinks(
    settings: Settings, database: Database | None, tasks: InProgress | None = None
) -> AsyncIterator[Sequence[Sink]]:
    """Open all stores as sinks; see `open_store` for errors."""
    async with AsyncExitStack() as opened:
        sinks = []
        for number, section in enumerate(settings.predictions):
            sink = open_sink(section, database, tasks)
            sinks.append(await open_numbered(opened, "predictions", number, len(settings.predictions), sink))
        yield sinks


@asynccontextmanager
async def open_sink(
    settings: SinkSettings, database: Database | None, tasks: InProgress | None = None
) -> AsyncIterator[Sink]:
    """Open a store as a sink; see `open_store` for errors."""
    async with open_store(settings, database, tasks) as store:
        first = None
        if isinstance(settings, TimeseriesSink) and settings.metadata and database is not None:
            first = FirstWindows(PostgresMetadataLedger(database), store.downstream).stored
        yield Sink(store, settings.required, first)


@dataclass(frozen=True, slots=True)
class Queue:
    """The ends of the task queue that a role needs.

    ``troubles`` returns the reasons why they cannot be used now, and ``outages`` by role why the queue did not answer
    the last call, as far as is known without a call.
    """

    sender: TaskSender | None
    receiver: TaskReceiver | None
    troubles: Callable[[], Sequence[str]] = tuple
    outages: Callable[[], Mapping[str, str]] = dict


def with_queue(settings: Settings, role: RoleName) -> Settings:
    """Return the settings with a queue that fits the role: between processes, the ledger's database unless one is set.

    Raises:
        ConfigurationError: the queue that is set does not reach other processes.
    """
    queue = settings.task_queue
    if role is RoleName.ALL or not isinstance(queue, InternalQueueSettings):
        return settings
    if "kind" in queue.model_fields_set:
        raise ConfigurationError(
            'task_queue.kind = "internal" works within one process only: use --role all without --executors,'
            " or leave the key out, so that tasks go through the ledger's database"
        )
    return settings.model_copy(update={"task_queue": PostgresQueueSettings(max_outstanding=queue.max_outstanding)})


@asynccontextmanager
async def open_queue(settings: Settings, database: Database, clock: Clock, role: RoleName) -> AsyncIterator[Queue]:
    """Open the task queue, which may be unavailable.

    Raises:
        ConfigurationError: the queue cannot be used by this role, or as it is configured.
    """
    match settings.task_queue:
        case InternalQueueSettings():
            internal = InternalQueue(concurrency=settings.executor.concurrency)
            yield Queue(internal, internal)
        case PostgresQueueSettings(expiration=expiration):
            async with AsyncExitStack() as opened:
                receiver = None
                if role is not RoleName.SCHEDULER:
                    timing, concurrency = ReceiverTiming(expiration=expiration), settings.executor.concurrency
                    receiver = await opened.enter_async_context(
                        open_postgres_receiver(database, clock, process_id(), concurrency, timing)
                    )
                yield Queue(None if role is RoleName.EXECUTOR else PostgresSender(database), receiver)
        case EventHubQueue() as hub:
            async with _open_event_hub(hub, database, clock, role, settings.executor.concurrency) as queue:
                yield queue
        case _:
            assert_never(settings.task_queue)


@asynccontextmanager
async def _open_event_hub(
    hub: EventHubQueue, database: Database, clock: Clock, role: RoleName, concurrency: int
) -> AsyncIterator[Queue]:
    with extra("eventhub", "task_queue.kind"):
        from latigo.task_queue.eventhub.receiver import open_receiver  # noqa: PLC0415 - an extra
        from latigo.task_queue.eventhub.sender import open_sender  # noqa: PLC0415 - an extra
    pool = database.pool
    async with AsyncExitStack() as opened:
        sender, receiver = None, None
        if role is not RoleName.EXECUTOR:
            sender = await opened.enter_async_context(open_sender(hub, pool, clock=clock))
        if role is not RoleName.SCHEDULER:
            receiver = await opened.enter_async_context(open_receiver(hub, pool, clock=clock, concurrency=concurrency))
        ends = {role: end for role, end in (("scheduler", sender), ("executor", receiver)) if end is not None}
        yield Queue(
            sender,
            receiver,
            lambda: [end.trouble for end in ends.values() if end.trouble],
            lambda: {role: end.outage for role, end in ends.items() if end.outage},
        )


@dataclass(frozen=True)
class Resources:
    """All foreign systems, opened."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    roster: PostgresRoster
    catalogue: ModelInformationProvider
    models: ModelExecutionProvider
    sensors: SensorSource
    bad_readings: BadReadings  #: those that ``sensors`` has skipped
    sinks: Sequence[Sink]
    tasks: InProgress  #: those in progress, which share requests to some systems
    lateness: LatenessCounts = field(default_factory=LatenessCounts)  #: of readings, as executors find them


@asynccontextmanager
async def open_resources(
    settings: Settings,
    *,
    sensors: SensorSource | None = None,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[Resources]:
    """Open the ledger as it is, and every other system.

    Raises:
        ConfigurationError: something cannot be used as it is configured.
        Unavailable: a system that is needed for opening is unreachable.
    """
    async with (
        open_ledger(settings) as database,
        open_resources_on(database, settings, sensors=sensors, clock=clock, metrics=metrics) as resources,
    ):
        yield resources


@asynccontextmanager
async def open_resources_on(
    database: Database,
    settings: Settings,
    *,
    sensors: SensorSource | None = None,
    clock: Clock | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[Resources]:
    """Open every system but the ledger: sinks before sources, so that sources are closed first.

    ``sensors`` is used instead of what the settings name, for a plant that is simulated in this process.

    Raises:
        ConfigurationError: something cannot be used as it is configured.
        Unavailable: a system that is needed for opening is unreachable.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as opened:
        roster, tasks = PostgresRoster(database, user_at_host()), InProgress()
        sinks = await opened.enter_async_context(open_sinks(settings, database, tasks))
        gordo = await opened.enter_async_context(
            open_gordo(settings.models, roster, read_models=PostgresModelLedger(database).active_models)
        )
        metrics, bad = metrics or Metrics(CollectorRegistry(), clock), BadReadings(clock)
        savings = Savings()
        metrics.server_faults.set_function(gordo.execution.server_faults)
        metrics.bad_readings.set_function(bad.total)
        metrics.saved_reads.set_function(savings.saved_reads)
        metrics.saved_requests.set_function(savings.saved_requests)
        if sensors is None:
            shared = Shared(bad, database, savings, tasks)
            sensors = await opened.enter_async_context(open_sensors(settings, clock, shared))
        yield Resources(
            settings=settings,
            clock=clock,
            metrics=metrics,
            database=database,
            roster=roster,
            catalogue=gordo.catalogue,
            models=gordo.execution,
            sensors=sensors,
            bad_readings=bad,
            sinks=sinks,
            tasks=tasks,
        )


@asynccontextmanager
async def open_models(settings: Settings) -> AsyncIterator[tuple[Database, Gordo]]:
    """Open the ledger as it is, and the model server with the ledger's roster; nothing else.

    Raises:
        ConfigurationError, Unavailable: as `open_ledger`.
    """
    async with (
        open_ledger(settings) as database,
        open_gordo(settings.models, PostgresRoster(database, user_at_host())) as gordo,
    ):
        yield database, gordo


def process_id() -> str:
    """Return a name for this process that no other process has or had."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid4().hex[:8]}"
