"""The service that `latigo serve` runs, from the first probe to the last task handed back."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

from latigo import __version__
from latigo.domain.errors import Unavailable
from latigo.ledger.bad_readings import BadReadingReports, keep_bad_readings
from latigo.ledger.history import keep_sample
from latigo.ledger.lateness import keep_lateness
from latigo.ledger.queue_outages import QueueOutages, keep_queue_outages
from latigo.providers.postgres import PostgresPredictions
from latigo.providers.postgres.retention import keep_retention
from latigo.providers.protocols import SensorSource
from latigo.reports.gauges import gauges_of
from latigo.reports.history import sample_of
from latigo.reports.status import read_status
from latigo.runtime.clock import SystemClock
from latigo.runtime.heartbeat import Heartbeat
from latigo.runtime.lifecycle import Role, pause, run_until_stopped, unless_stopped
from latigo.runtime.log import get_logger
from latigo.runtime.metrics import metrics_of, new_registry
from latigo.runtime.redaction import know
from latigo.runtime.service_manager import ServiceManager
from latigo.settings import EventHubQueue, GordoDiscovery, HttpSettings, PostgresSink, Settings
from latigo.telemetry.gauges import LedgerGauges, keep_gauges
from latigo.telemetry.metrics import Metrics
from latigo.web.api.tokens import Tokens
from latigo.web.app import Access, create_app
from latigo.web.hosts import allowed_hosts
from latigo.web.pages import PageSettings
from latigo.web.probes import Probes
from latigo.web.protocols import MetricsSource
from latigo.web.server import ServerAddress, run_server
from latigo.wiring.executor_processes import ExecutorProcesses
from latigo.wiring.ledger import open_ledger
from latigo.wiring.readiness import Readiness
from latigo.wiring.resources import Queue, Resources, open_queue, open_resources_on, process_id, with_queue
from latigo.wiring.role_names import RoleName
from latigo.wiring.roles import create_executor, open_scheduler

T = TypeVar("T")
_log = get_logger(__name__)

#: Between two attempts to open what is unavailable at start.
OPEN_INTERVAL = timedelta(seconds=2)
#: For an address that another process has: that may be about to end. Longer than a supervisor watches a start, which it
#: tries a few times only when a process ends at once.
LISTEN_WITHIN = timedelta(seconds=10)
#: After the roles' own grace, for closing their resources.
CLOSING = timedelta(seconds=5)

ExtraRole = Callable[[Resources, ServerAddress | None, asyncio.Event], Awaitable[None]]
"""A role of the caller's own, called with the open resources, the web server's address and the event that ends it."""


async def serve(
    settings: Settings,
    role: RoleName,
    stop: asyncio.Event,
    *,
    sensors: SensorSource | None = None,
    extra_role: ExtraRole | None = None,
    processes: ExecutorProcesses | None = None,
    listener: socket.socket | None = None,
    manager: ServiceManager | None = None,
) -> None:
    """Run a role until ``stop``; drain within the grace.

    Waits for systems that are unavailable at start, with the probe for readiness failing: only a wrong configuration
    ends the process, or an address for HTTP that stays in use.

    Args:
        settings: all of them.
        role: what this process does.
        stop: set by a signal.
        sensors: used instead of what the settings name.
        extra_role: runs together with the others.
        processes: executors that this process has below it; with them, ``role`` is ``all``.
        listener: listens for HTTP already, instead of the address in the settings.
        manager: hears that this process has started, is alive, and is about to end.

    Raises:
        ConfigurationError: something cannot be used as it is configured.
        Unavailable: the address for HTTP stays in use.
        GraceExceeded: roles had to be cancelled.
    """
    know(settings.secret_values())
    manager = manager or ServiceManager()
    if processes is not None:
        role = RoleName.SCHEDULER
    settings = with_queue(settings, role)
    if isinstance(settings.models.discover, GordoDiscovery) and not settings.models.projects:
        _log.warning("models.none_configured", hint="models.projects is empty: only registered models are predicted")
    clock, registry, readiness = SystemClock(), new_registry(), Readiness(processes)
    metrics = Metrics(registry, clock)
    metrics_source = metrics_of(registry) if processes is None else partial(processes.metrics, registry)
    async with AsyncExitStack() as opened:
        heartbeat = await opened.enter_async_context(_running_heartbeat(Heartbeat(clock, on_lag=metrics.loop_lag.set)))
        probes = readiness.probes(heartbeat)
        await opened.enter_async_context(
            manager.watching(probes.not_live, lambda: readiness.missing or "running", clock, stop)
        )
        address = None
        if settings.http.enabled or listener is not None:
            address = await _open_when_available(
                opened,
                lambda: _serve_http(settings.http, probes, readiness, metrics_source, listener),
                readiness,
                stop,
                within=LISTEN_WITHIN,
            )
        manager.ready()  # and not later: what is unavailable is waited for, however long that takes
        database = await _open_when_available(opened, lambda: open_ledger(settings, migrate=True), readiness, stop)
        if database is None:
            return
        resources = await _open_when_available(
            opened,
            lambda: open_resources_on(database, settings, sensors=sensors, clock=clock, metrics=metrics),
            readiness,
            stop,
        )
        if resources is None:
            return
        opened.callback(readiness.close)
        queue = await unless_stopped(opened.enter_async_context(open_queue(settings, database, clock, role)), stop)
        if queue is None:
            return
        readiness.open(resources, queue)
        roles = await _roles_of(opened, resources, queue, readiness)
        if processes is not None:
            roles["executors"] = processes.run
        if extra_role is not None:
            roles["extra"] = lambda stop: extra_role(resources, address, stop)
        await run_until_stopped(roles, stop, settings.executor.grace + CLOSING * (1 if processes is None else 2))


async def supervise(
    settings: Settings, processes: ExecutorProcesses, stop: asyncio.Event, *, manager: ServiceManager
) -> None:
    """Keep executor processes until ``stop``, and drain them; see `serve`.

    Raises:
        ConfigurationError: something cannot be used as it is configured.
        Unavailable: the address for HTTP stays in use.
    """
    know(settings.secret_values())
    with_queue(settings, RoleName.EXECUTOR)
    registry, readiness = new_registry(), Readiness()
    readiness.missing = "this process only keeps executors: ask one that plans"
    async with AsyncExitStack() as opened:
        heartbeat = await opened.enter_async_context(_running_heartbeat(Heartbeat(SystemClock())))
        probes = Probes(heartbeat, checks={"executors": processes.check})
        status = f"keeps {len(processes)} executors"
        await opened.enter_async_context(manager.watching(probes.not_live, lambda: status, SystemClock(), stop))
        if settings.http.enabled:
            await _open_when_available(
                opened,
                lambda: _serve_http(settings.http, probes, readiness, partial(processes.metrics, registry), None),
                readiness,
                stop,
                within=LISTEN_WITHIN,
            )
        manager.ready()
        await run_until_stopped({"executors": processes.run}, stop, settings.executor.grace + 2 * CLOSING)


async def _roles_of(
    opened: AsyncExitStack, resources: Resources, queue: Queue, readiness: Readiness
) -> dict[str, Role]:
    """Create the roles of the queue's ends, and what each process does besides."""
    settings, clock, database, metrics = resources.settings, resources.clock, resources.database, resources.metrics

    roles: dict[str, Role] = {}
    if queue.receiver is not None:
        readiness.executor = create_executor(resources, queue.receiver)
        roles["executor"] = readiness.executor.run
        roles["lateness"] = lambda stop: keep_lateness(database, resources.lateness, clock, stop)
    if queue.sender is not None:
        roles |= await opened.enter_async_context(open_scheduler(resources, queue.sender))
        roles["retention"] = lambda stop: keep_retention(_retentions(resources), clock, stop)
        roles["gauges"] = lambda stop: keep_gauges(lambda: _gauges(resources), metrics, clock, stop)
    skipped = BadReadingReports(database, process_id())
    roles["bad readings"] = lambda stop: keep_bad_readings(skipped, resources.bad_readings.counts, clock, stop)
    if isinstance(settings.task_queue, EventHubQueue):
        reports = QueueOutages(database, process_id())
        roles["queue outages"] = lambda stop: keep_queue_outages(reports, queue.outages, clock, stop)
    return roles


async def _gauges(resources: Resources) -> LedgerGauges:
    """Return what the ledger says of the service, and keep what pages draw of it."""
    status = await read_status(resources.database, __version__, resources.settings.objective)
    await keep_sample(resources.database, sample_of(status))
    return gauges_of(status)


def _serve_http(
    http: HttpSettings,
    probes: Probes,
    readiness: Readiness,
    metrics: MetricsSource,
    listener: socket.socket | None,
) -> AbstractAsyncContextManager[ServerAddress]:
    host = http.host if listener is None else "127.0.0.1"
    hosts = allowed_hosts(host, http.allowed_hosts)
    if http.allowed_hosts is None and hosts is None:
        _log.warning(
            "http.every_host_accepted",
            host=http.host,
            hint="http.allowed_hosts is not set: list the names that this server has, or *",
        )
    access = Access(hosts, http.base_path, Tokens.of(http))
    app = create_app(probes, readiness, metrics, SystemClock(), access, pages=PageSettings.of(http))
    return run_server(app, host, http.port, listener=listener)


@asynccontextmanager
async def _running_heartbeat(heartbeat: Heartbeat) -> AsyncIterator[Heartbeat]:
    """Run the heartbeat while the context lasts: from before the first probe until after the last."""
    stop = asyncio.Event()
    heartbeats = asyncio.create_task(heartbeat.run(stop), name="heartbeat")
    try:
        yield heartbeat
    finally:
        stop.set()
        await heartbeats


async def _open_when_available(
    opened: AsyncExitStack,
    open_resource: Callable[[], AbstractAsyncContextManager[T]],
    readiness: Readiness,
    stop: asyncio.Event,
    *,
    within: timedelta | None = None,
) -> T | None:
    """Open a resource as soon as it is available; None if ``stop`` is set before that.

    Raises:
        Unavailable: it is not ``within`` that time.
    """
    clock = SystemClock()
    deadline = None if within is None else clock.monotonic() + within.total_seconds()
    while not stop.is_set():
        try:
            return await unless_stopped(opened.enter_async_context(open_resource()), stop)
        except Unavailable as error:
            if deadline is not None and clock.monotonic() >= deadline:
                raise
            readiness.missing = f"waits for {error.downstream}: {error}"
            log = _log.error if error.alarm else _log.warning
            log("start.delayed", downstream=error.downstream, error=str(error))
            await pause(clock, OPEN_INTERVAL, stop)
    return None


def _retentions(resources: Resources) -> Sequence[tuple[PostgresPredictions, timedelta]]:
    """Return the sinks that need pruning, and the retention of each."""
    return [
        (sink.store, section.retention)
        for sink, section in zip(resources.sinks, resources.settings.predictions, strict=True)
        if isinstance(section, PostgresSink) and isinstance(sink.store, PostgresPredictions)
    ]
