"""Opens every foreign system that the settings name; nothing else does."""

import getpass
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, assert_never

import structlog
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.executor.pipeline import Sink
from latigo.ledger.model_store import PostgresRoster
from latigo.postgres.database import DOWNSTREAM, Database, open_database
from latigo.postgres.embedded import open_embedded
from latigo.postgres.schema import bring_up_to_date, expect_usable
from latigo.providers.files import open_files
from latigo.providers.gordo import GordoModels, Limits, open_gordo
from latigo.providers.postgres import PostgresPredictions
from latigo.providers.protocols import (
    ModelRoster,
    PredictionStorageProvider,
    SensorDataProvider,
    SensorInformationProvider,
)
from latigo.runtime.clock import Clock, SystemClock
from latigo.sandbox.plant import Plant, PlantSensors
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
)
from latigo.settings import InternalQueue as InternalQueueSettings
from latigo.task_queue.internal import InternalQueue
from latigo.task_queue.protocol import TaskReceiver, TaskSender
from latigo.telemetry.metrics import Metrics
from latigo.wiring.plugins import extra, open_plugin

if TYPE_CHECKING:
    from latigo.providers.influx.client import Server
    from latigo.task_queue.eventhub.connection import HubAddress

_log = structlog.get_logger()


class RoleName(StrEnum):
    """The roles that a process can have."""

    SCHEDULER = "scheduler"
    EXECUTOR = "executor"
    ALL = "all"


class SensorSource(SensorDataProvider, SensorInformationProvider, Protocol):
    """Readings, and the list of sensors: every source has both."""


@asynccontextmanager
async def open_ledger(settings: Settings, *, migrate: bool = False) -> AsyncIterator[Database]:
    """Open the ledger's database; start it if it is embedded.

    Args:
        settings: all of them.
        migrate: migrate its schema. An embedded ledger is always migrated.

    Raises:
        ConfigurationError: it cannot be used, or its schema is of a newer Latigo, which this one cannot work with.
        Unavailable: it is unreachable, or its schema is older than this program and is not to be migrated.
    """
    limit = settings.ledger.connect_timeout
    async with ledger_url(settings) as url:
        if migrate or isinstance(settings.ledger, EmbeddedLedger):
            before, after = await bring_up_to_date(url, connect_timeout=limit)
            if before != after:
                _log.info("ledger.migrated", before=before, after=after)
        else:
            await expect_usable(url, connect_timeout=limit)
        async with connect_to(url, settings) as database:
            yield database


def connect_to(url: str, settings: Settings) -> AbstractAsyncContextManager[Database]:
    """Connect to the ledger, whatever its schema."""
    ledger = settings.ledger
    return open_database(
        url,
        size=ledger.pool_size,
        connect_timeout=ledger.connect_timeout,
        statement_timeout=ledger.statement_timeout,
    )


@asynccontextmanager
async def ledger_url(settings: Settings) -> AsyncIterator[str]:
    """Yield the URL of the ledger; keep the embedded server while the context lasts."""
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
    """Open a client of the model server, without a call."""
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
    """Open the source of readings."""
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
        case InfluxSensors() as influx:
            with extra("influx", "sensors.kind"):
                from latigo.providers.influx import open_sensors as open_influx_sensors  # noqa: PLC0415 - an extra
            async with open_influx_sensors(
                **_influx_server(influx, "sensors"),
                measurement=influx.measurement,
                tag_key=influx.tag_key,
                field=influx.field,
                read_timeout=influx.read_timeout,
            ) as source:
                yield source
        case SimulatedSensors() as simulated:
            yield PlantSensors(Plant(simulated.seed, period=simulated.step), clock.now, any_tag=True)
        case PluginSensors() as plugin:
            async with open_plugin(plugin.kind, "sensors.kind", plugin.options, plugin.secrets, SensorSource) as source:
                yield source
        case _:
            assert_never(settings.sensors)


@asynccontextmanager
async def open_sink(settings: PostgresSink | InfluxSink | PluginSink, database: Database | None) -> AsyncIterator[Sink]:
    """Open a sink for predictions.

    Raises:
        ConfigurationError: it cannot be used as it is configured.
        Unavailable: it is in the ledger's database, which is not open.
    """
    match settings:
        case PostgresSink():
            if database is None:
                raise Unavailable("is in the ledger's database, which is unavailable", downstream=DOWNSTREAM)
            name, limit = f"sink/{settings.sink_name}", settings.write_timeout
            yield Sink(PostgresPredictions(database.pool, downstream=name, time_limit=limit), settings.required)
        case InfluxSink() as influx:
            with extra("influx", "predictions.kind"):
                from latigo.providers.influx import open_predictions  # noqa: PLC0415 - an extra
            async with open_predictions(
                **_influx_server(influx, "predictions"),
                downstream=f"sink/{influx.sink_name}",
                write_timeout=influx.write_timeout,
            ) as store:
                yield Sink(store, influx.required)
        case PluginSink():
            async with open_plugin(
                settings.kind, "predictions.kind", settings.options, settings.secrets, PredictionStorageProvider
            ) as store:
                yield Sink(store, settings.required)
        case _:
            assert_never(settings)


def _influx_server(influx: InfluxSensors | InfluxSink, section: str) -> "Server":
    """Where InfluxDB is and who we are there."""
    return {
        "url": influx.url,
        "database": influx.database,
        "retention_policy": influx.retention_policy,
        "username": influx.username,
        "password": _text(influx.password) or None,
        "token": _text(influx.token) or None,
        "version": influx.version,
        "tls": _trusting(influx.ca_file, section),
        "connect_timeout": influx.connect_timeout,
    }


def _trusting(ca_file: Path | None, section: str) -> ssl.SSLContext | None:
    """TLS with authorities of one's own; None: the system's."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{section}.ca_file: {ca_file} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class Queue:
    """The ends of the task queue that a role needs.

    ``troubles`` returns the reasons why they cannot be used now, as far as is known without a call.
    """

    sender: TaskSender | None
    receiver: TaskReceiver | None
    troubles: Callable[[], Sequence[str]] = tuple


def check_role(settings: Settings, role: RoleName) -> None:
    """Check, before anything is opened, that the role fits the queue.

    Raises:
        ConfigurationError: a role of its own needs a queue that reaches other processes.
    """
    if role is not RoleName.ALL and isinstance(settings.task_queue, InternalQueueSettings):
        raise ConfigurationError(
            'task_queue.kind = "internal" works within one process only: use --role all, or a queue that is shared'
        )


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
        from latigo.task_queue.eventhub.connection import Balancing  # noqa: PLC0415 - an extra
        from latigo.task_queue.eventhub.receiver import open_receiver  # noqa: PLC0415 - an extra
        from latigo.task_queue.eventhub.sender import open_sender  # noqa: PLC0415 - an extra
        from latigo.task_queue.eventhub.session import ReceiverTiming  # noqa: PLC0415 - an extra
    address, pool, group = hub_address(hub), database.pool, hub.consumer_group
    timing = ReceiverTiming(balancing=Balancing(hub.balance, hub.expiration))
    async with AsyncExitStack() as opened:
        sender, receiver = None, None
        if role is not RoleName.EXECUTOR:
            sender = await opened.enter_async_context(open_sender(address, pool, clock=clock, group=group))
        if role is not RoleName.SCHEDULER:
            receiver = await opened.enter_async_context(
                open_receiver(address, pool, clock=clock, concurrency=concurrency, group=group, timing=timing)
            )
        ends = [end for end in (sender, receiver) if end is not None]
        yield Queue(sender, receiver, lambda: [end.trouble for end in ends if end.trouble])


def event_hub(settings: Settings) -> EventHubQueue:
    """Return the settings of the event hub.

    Raises:
        ConfigurationError: the task queue is of another kind.
    """
    if not isinstance(settings.task_queue, EventHubQueue):
        raise ConfigurationError(f'task_queue.kind = "{settings.task_queue.kind}" has no partitions')
    return settings.task_queue


def hub_address(hub: EventHubQueue) -> "HubAddress":
    """Return the address of the event hub.

    Raises:
        ConfigurationError: the keys contradict each other.
    """
    with extra("eventhub", "task_queue.kind"):
        from latigo.task_queue.eventhub.connection import HubAddress, Identity  # noqa: PLC0415 - an extra
    identity = Identity(
        kind=hub.credential,
        tenant_id=hub.tenant_id or "",
        client_id=hub.client_id or "",
        client_secret=_text(hub.client_secret),
        certificate_path=str(hub.certificate_file or ""),
    )
    return HubAddress(
        connection_string=_text(hub.connection_string),
        namespace=hub.namespace or "",
        hub=hub.hub or "",
        identity=identity if hub.namespace else None,
        transport=hub.transport,
        custom_endpoint=hub.custom_endpoint or "",
        ca_file=str(hub.ca_file or ""),
    )


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


@dataclass(frozen=True)
class Resources:
    """All foreign systems, opened."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    roster: PostgresRoster
    models: GordoModels
    sensors: SensorSource
    sinks: Sequence[Sink]


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
        roster = PostgresRoster(database, user_at_host())
        sinks = [await opened.enter_async_context(open_sink(each, database)) for each in settings.predictions]
        models = await opened.enter_async_context(open_models(settings, roster))
        source = sensors if sensors is not None else await opened.enter_async_context(open_sensors(settings, clock))
        yield Resources(
            settings, clock, metrics or Metrics(CollectorRegistry()), database, roster, models, source, sinks
        )


def user_at_host() -> str:
    """Return ``user@host`` for the audit log."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
