"""Opens every foreign system that the settings name; nothing else does."""

import asyncio
import getpass
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, assert_never
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry

from latigo.domain.errors import ConfigurationError, LatigoError, Unavailable
from latigo.domain.lateness import LatenessCounts
from latigo.executor.pipeline import Sink
from latigo.ledger.model_store import PostgresModelLedger, PostgresRoster
from latigo.ledger.prediction_metadata import FirstWindows, PostgresMetadataLedger
from latigo.ledger.protocol import DOWNSTREAM
from latigo.postgres.database import Database, open_database
from latigo.postgres.embedded import DOWNSTREAM as EMBEDDED
from latigo.postgres.embedded import has_database, open_server
from latigo.postgres.schema import recreate, require_usable, upgrade
from latigo.postgres.servers import Url
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files import open_files
from latigo.providers.gordo import Gordo, open_gordo
from latigo.providers.postgres import PostgresPredictions
from latigo.providers.protocols import (
    ModelExecutionProvider,
    ModelInformationProvider,
    PredictionStorageProvider,
    SensorSource,
)
from latigo.providers.routed import RoutedSensors, Routing
from latigo.providers.simulated import Plant, PlantSensors
from latigo.providers.timeseries import Savings
from latigo.providers.timeseries import open_predictions as open_timeseries_predictions
from latigo.providers.timeseries import open_sensors as open_timeseries_sensors
from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.in_progress import InProgress
from latigo.settings import (
    EmbeddedLedger,
    EventHubQueue,
    FileSensors,
    InfluxSensors,
    InfluxSink,
    PluginSensors,
    PluginSink,
    PostgresLedger,
    PostgresSink,
    Settings,
    SimulatedSensors,
    Source,
    TimeseriesSensors,
    TimeseriesSink,
)
from latigo.settings import InternalQueue as InternalQueueSettings
from latigo.settings import PostgresQueue as PostgresQueueSettings
from latigo.task_queue.internal import InternalQueue
from latigo.task_queue.postgres import PostgresSender, ReceiverTiming
from latigo.task_queue.postgres import open_receiver as open_postgres_receiver
from latigo.task_queue.protocol import TaskReceiver, TaskSender
from latigo.telemetry.metrics import Metrics
from latigo.wiring.plugins import extra, open_plugin
from latigo.wiring.role_names import RoleName

_log = structlog.get_logger()

SinkSettings = PostgresSink | InfluxSink | TimeseriesSink | PluginSink


@asynccontextmanager
async def open_ledger(settings: Settings, *, migrate: bool = False) -> AsyncIterator[Database]:
    """Open the ledger's database; start it if it is embedded.

    Args:
        settings: all of them.
        migrate: migrate its schema, and create an embedded ledger that does not exist yet. An embedded ledger that
            exists is always migrated.

    Raises:
        ConfigurationError: it cannot be used, or its schema is of a newer Latigo, which this one cannot work with.
        Unavailable: it is unreachable or does not exist, or its schema is older than this program and is not to be
            migrated.
    """
    limit = settings.ledger.connect_timeout
    migrates = migrate or isinstance(settings.ledger, EmbeddedLedger)
    async with ledger_server(settings, create=migrate) as server:
        if migrates:
            before, after = await upgrade(server.url, downstream=DOWNSTREAM, connect_timeout=limit)
            if before != after:
                _log.info("ledger.migrated", before=before, after=after)
        else:
            await require_usable(server.url, downstream=DOWNSTREAM, connect_timeout=limit)
        async with connect_to(server.url, settings) as database:
            database.server_trouble = server.trouble
            keeping = asyncio.create_task(_keep_schema(database, server.url, limit)) if migrates else None
            try:
                yield database
            finally:
                if keeping is not None:
                    keeping.cancel()
                    await asyncio.wait((keeping,))


async def _keep_schema(database: Database, url: Url, limit: timedelta) -> None:
    """Create the schema again where the database was dropped and created anew while it was in use."""
    while True:
        await database.failed.wait()
        database.failed.clear()
        try:
            if await recreate(url, downstream=DOWNSTREAM, connect_timeout=limit):
                await database.forget_connections()
                _log.error("ledger.recreated")
        except LatigoError as error:
            _log.error("ledger.not_recreated", error=str(error))


def connect_to(url: Url, settings: Settings) -> AbstractAsyncContextManager[Database]:
    """Connect to the ledger, whatever its schema."""
    ledger = settings.ledger
    return open_database(
        url,
        downstream=DOWNSTREAM,
        size=ledger.pool_size,
        connect_timeout=ledger.connect_timeout,
        statement_timeout=ledger.statement_timeout,
    )


class LedgerServer(NamedTuple):
    """The server of the ledger; ``trouble`` returns why it is not there, where that is known."""

    url: Url
    trouble: Callable[[], str] = str


@asynccontextmanager
async def ledger_server(settings: Settings, *, create: bool = False) -> AsyncIterator[LedgerServer]:
    """Yield the server of the ledger; run the embedded one while the context lasts.

    Raises:
        ConfigurationError: an embedded ledger cannot be used.
        Unavailable: an embedded ledger does not exist and is not to be created, or does not start.
    """
    match settings.ledger:
        case EmbeddedLedger(data_dir=data_dir):
            if not create and not has_database(data_dir):
                raise Unavailable(
                    f"the ledger does not exist yet: latigo serve creates it in {data_dir} (ledger.data_dir)",
                    downstream=EMBEDDED,
                )
            async with open_server(data_dir) as server:
                yield LedgerServer(server.url, lambda: server.trouble)
        case PostgresLedger(url=secret):
            yield LedgerServer(secret.get_secret_value)
        case _:
            assert_never(settings.ledger)


@asynccontextmanager
async def open_sensors(
    settings: Settings,
    clock: Clock,
    bad: BadReadings | None = None,
    database: Database | None = None,
    savings: Savings | None = None,
    tasks: InProgress | None = None,
) -> AsyncIterator[SensorSource]:
    """Open the source of readings: the only one, or all of them as one.

    Args:
        settings: all of them.
        clock: the machine's.
        bad: account of the readings that are skipped; a new one by default.
        database: the ledger's, where a source may keep what it has looked up.
        savings: account of what a source saves by sharing requests; a new one by default.
        tasks: those in progress, which share requests; none by default.

    Raises:
        ConfigurationError: a source cannot be used as it is configured, or two of them have the same circuit.
    """
    async with AsyncExitStack() as opened:
        sources = []
        for number, section in enumerate(settings.sources):
            with _numbered("sensors", number, len(settings.sources)):
                source = open_source(section, clock, bad, database, savings, tasks)
                sources.append(await opened.enter_async_context(source))
        require_different_circuits([source.downstream for source in sources])
        yield sources[0] if len(sources) == 1 else RoutedSensors(sources, routing_of(settings))


@contextmanager
def _numbered(table: str, number: int, count: int) -> Iterator[None]:
    """Name the table of the settings in an error, where there are several of it."""
    try:
        yield
    except ConfigurationError as error:
        if count == 1:
            raise
        raise ConfigurationError(f"{table}[{number}]: {error}") from None


def require_different_circuits(circuits: Sequence[str]) -> None:
    """Check the names of the circuits of all sources: a plug-in names its own.

    Raises:
        ConfigurationError: two sources have the same.
    """
    if repeated := [circuit for number, circuit in enumerate(circuits) if circuit in circuits[:number]]:
        raise ConfigurationError(f"sensors: two sources have the circuit {repeated[0]}: give them other names")


def routing_of(settings: Settings) -> Routing:
    """Return which source each tag is read from."""
    return Routing([source.tags for source in settings.sources])


@asynccontextmanager
async def open_source(
    section: Source,
    clock: Clock,
    bad: BadReadings | None = None,
    database: Database | None = None,
    savings: Savings | None = None,
    tasks: InProgress | None = None,
) -> AsyncIterator[SensorSource]:
    """Open one source of readings; the arguments are those of `open_sensors`."""
    match section:
        case FileSensors() as files:
            async with open_files(files, clock, bad) as source:
                yield source
        case InfluxSensors() as influx:
            with extra("influx", "sensors.kind"):
                from latigo.providers.influx import open_sensors as open_influx_sensors  # noqa: PLC0415 - an extra
            async with open_influx_sensors(influx, clock, bad) as source:
                yield source
        case TimeseriesSensors() as timeseries:
            async with open_timeseries_sensors(timeseries, clock, bad, database, savings, tasks) as source:
                yield source
        case SimulatedSensors() as simulated:
            plant = Plant(simulated.seed, period=simulated.step)
            yield PlantSensors(plant, clock.now, any_tag=True, name=simulated.source_name)
        case PluginSensors() as plugin:
            async with open_plugin(plugin.kind, "sensors.kind", plugin.options, plugin.secrets, SensorSource) as source:
                yield source
        case _:
            assert_never(section)


@asynccontextmanager
async def open_sinks(
    settings: Settings, database: Database | None, tasks: InProgress | None = None
) -> AsyncIterator[Sequence[Sink]]:
    """Open all sinks for predictions; as `open_sink`."""
    async with AsyncExitStack() as opened:
        sinks = []
        for number, section in enumerate(settings.predictions):
            with _numbered("predictions", number, len(settings.predictions)):
                sinks.append(await opened.enter_async_context(open_sink(section, database, tasks)))
        yield sinks


@asynccontextmanager
async def open_sink(
    settings: SinkSettings, database: Database | None, tasks: InProgress | None = None
) -> AsyncIterator[Sink]:
    """Open a sink for predictions; tasks in progress may share its requests.

    Raises:
        ConfigurationError: it cannot be used as it is configured.
        Unavailable: it is in the ledger's database, which is not open.
    """
    match settings:
        case PostgresSink() as postgres:
            if database is None:
                raise Unavailable("is in the ledger's database, which is unavailable", downstream=DOWNSTREAM)
            yield Sink(PostgresPredictions(database.pool, postgres), postgres.required)
        case InfluxSink() as influx:
            with extra("influx", "predictions.kind"):
                from latigo.providers.influx import open_predictions  # noqa: PLC0415 - an extra
            async with open_predictions(influx) as store:
                yield Sink(store, influx.required)
        case TimeseriesSink() as timeseries:
            async with open_timeseries_predictions(timeseries, SystemClock(), database, tasks) as store:
                first = None
                if timeseries.metadata and database is not None:
                    first = FirstWindows(PostgresMetadataLedger(database), store.downstream).stored
                yield Sink(store, timeseries.required, first)
        case PluginSink():
            async with open_plugin(
                settings.kind, "predictions.kind", settings.options, settings.secrets, PredictionStorageProvider
            ) as store:
                yield Sink(store, settings.required)
        case _:
            assert_never(settings)


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
            internal = InternalQueue()
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
        metrics.bad_readings.set_function(bad.total)
        metrics.saved_reads.set_function(savings.saved_reads)
        metrics.saved_requests.set_function(savings.saved_requests)
        if sensors is None:
            sensors = await opened.enter_async_context(open_sensors(settings, clock, bad, database, savings, tasks))
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


def user_at_host() -> str:
    """Return ``user@host`` for the audit log."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
