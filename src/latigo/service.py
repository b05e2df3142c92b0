"""The service: what `latigo serve` runs, from the first probe to the last task handed back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from latigo.domain.errors import LatigoError, Unavailable
from latigo.executor.loop import Executor
from latigo.providers.postgres import PostgresPredictions
from latigo.providers.postgres.retention import keep_retention
from latigo.runtime.clock import SystemClock
from latigo.runtime.heartbeat import Heartbeat
from latigo.runtime.lifecycle import Role, pause, run_until_stopped
from latigo.settings import PostgresSink, Settings
from latigo.telemetry.metrics import Metrics
from latigo.web.health import Health
from latigo.web.routes import make_app
from latigo.web.server import Site, run_site
from latigo.wiring.resources import (
    Queue,
    Resources,
    RoleName,
    SensorSource,
    check_role,
    open_ledger,
    open_queue,
    open_systems,
)
from latigo.wiring.roles import make_executor, make_scheduler

T = TypeVar("T")
_log = structlog.get_logger()

#: Between two attempts to open what is away at start.
PATIENCE = timedelta(seconds=2)
GAUGES = timedelta(seconds=30)
#: After the roles' own grace, for closing what they used.
CLOSING = timedelta(seconds=5)

Beside = Callable[[Resources, Site | None, asyncio.Event], Awaitable[None]]
"""A role of the caller's own, given what was opened."""


class Reached:
    """What probes and status can ask: nothing before everything is open that the roles need."""

    def __init__(self) -> None:
        self.executor: Executor | None = None
        self.missing = "has only begun"  #: why nothing can be asked yet
        self._resources: Resources | None = None
        self._queue: Queue | None = None

    def open(self, resources: Resources, queue: Queue) -> None:
        """From now on these can be asked."""
        self._resources, self._queue = resources, queue

    def close(self) -> None:
        """Nobody is to ask any more: they are about to be closed."""
        self.missing, self._resources, self._queue = "is being stopped", None, None

    def overdue(self) -> Sequence[str]:
        """Tasks that only a stuck process allows."""
        return self.executor.overdue if self.executor else ()

    async def start(self) -> None:
        """Whether everything is open."""
        self._opened()

    async def ledger(self) -> None:
        """Make a round trip to the ledger."""
        if self._resources is not None:
            await self._resources.database.ping()

    async def queue(self) -> None:
        """What is known of the queue; it is not asked."""
        if self._queue is not None and (troubles := self._queue.troubles()):
            raise Unavailable("; ".join(dict.fromkeys(troubles)), downstream="task_queue")

    async def status(self) -> Mapping[str, Any]:
        return await self._opened().reports.status()

    def _opened(self) -> Resources:
        if self._resources is None:
            raise Unavailable(self.missing, downstream="start")
        return self._resources


async def serve(
    settings: Settings,
    role: RoleName,
    stop: asyncio.Event,
    *,
    sensors: SensorSource | None = None,
    beside: Beside | None = None,
) -> None:
    """Run a role until ``stop``; drain within the grace.

    Waits for what is away at start, and tells so by its probes: only a wrong configuration ends the process.

    Args:
        settings: all of them.
        role: what this process does.
        stop: set by a signal.
        sensors: stands in for what the settings name.
        beside: a role of the caller's own.

    Raises:
        ConfigurationError: something cannot be used as it is configured.
        GraceExceeded: tasks had to be given up.
    """
    check_role(settings, role)
    if not settings.models.projects:
        _log.warning("models.none_configured", hint="models.projects is empty: only registered models are predicted")
    clock, registry, reached = SystemClock(), CollectorRegistry(), Reached()
    metrics = Metrics(registry)
    async with AsyncExitStack() as opened:
        heartbeat = await opened.enter_async_context(_beating(Heartbeat(clock, on_lag=metrics.loop_lag.set)))
        checks = {"start": reached.start, "ledger": reached.ledger, "queue": reached.queue}
        health = Health(heartbeat, overdue=reached.overdue, checks=checks)
        site = None
        if settings.http.enabled:
            pages = make_app(health, reached, registry)
            site = await opened.enter_async_context(run_site(pages, settings.http.host, settings.http.port))
        database = await _once_there(opened, lambda: open_ledger(settings, migrate=True), reached, stop)
        if database is None:
            return
        resources = await _once_there(
            opened,
            lambda: open_systems(database, settings, sensors=sensors, clock=clock, metrics=metrics),
            reached,
            stop,
        )
        if resources is None:
            return
        opened.callback(reached.close)
        queue = await opened.enter_async_context(open_queue(settings, database, clock, role))
        reached.open(resources, queue)
        roles: dict[str, Role] = {}
        if queue.receiver is not None:
            reached.executor = make_executor(resources, queue.receiver)
            roles["executor"] = reached.executor.run
        if queue.sender is not None:
            roles["scheduler"] = make_scheduler(resources, queue.sender).run
            roles["retention"] = lambda stop: keep_retention(_retentions(resources), clock, stop)
            roles["gauges"] = lambda stop: _publish_gauges(resources, stop)
        if beside is not None:
            roles["beside"] = lambda stop: beside(resources, site, stop)
        await run_until_stopped(roles, stop, settings.executor.grace + CLOSING)


@asynccontextmanager
async def _beating(heartbeat: Heartbeat) -> AsyncIterator[Heartbeat]:
    """From before the first probe until after the last."""
    stop = asyncio.Event()
    beats = asyncio.create_task(heartbeat.run(stop), name="heartbeat")
    try:
        yield heartbeat
    finally:
        stop.set()
        await beats


async def _once_there(
    opened: AsyncExitStack, make: Callable[[], AbstractAsyncContextManager[T]], reached: Reached, stop: asyncio.Event
) -> T | None:
    """Open something as soon as what it needs is there; None: told to stop before that."""
    clock = SystemClock()
    while not stop.is_set():
        try:
            return await opened.enter_async_context(make())
        except Unavailable as error:
            reached.missing = f"waits for {error.downstream}: {error}"
            told = _log.error if error.alarm else _log.warning
            told("start.delayed", downstream=error.downstream, because=str(error))
            await pause(clock, PATIENCE, stop)
    return None


async def _publish_gauges(resources: Resources, stop: asyncio.Event) -> None:
    """Tell metrics what only the ledger knows."""
    metrics = resources.metrics
    while not stop.is_set():
        try:
            found = await resources.reports.status()
            for each in found["queue"]["partitions"]:
                metrics.queue_lag.labels(each["partition"]).set(each["lag"])
            backlog = {each["project"]: each["slots"] for each in await resources.reports.backlog()}
        except LatigoError as error:
            _log.warning("gauges.not_read", because=str(error))
        else:
            for project in found["projects"]:
                name = project["project"]
                metrics.models.labels(name).set(project["active"])
                metrics.stale_models.labels(name).set(project["stale"])
                metrics.parked.labels(name).set(project["parked"])
                metrics.backlog.labels(name).set(backlog.get(name, 0))
                if project["oldest"] is not None:
                    metrics.freshness.labels(name).set((found["now"] - project["oldest"]).total_seconds())
        await pause(resources.clock, GAUGES, stop)


def _retentions(resources: Resources) -> Sequence[tuple[PostgresPredictions, timedelta]]:
    """The sinks that forget nothing by themselves, and how long each keeps its predictions."""
    return [
        (sink.store, each.retention)
        for sink, each in zip(resources.sinks, resources.settings.predictions, strict=True)
        if isinstance(each, PostgresSink) and isinstance(sink.store, PostgresPredictions)
    ]
