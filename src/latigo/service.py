"""The service: what `latigo serve` runs, from the first probe to the last task handed back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from latigo.app import World, make_executor, make_scheduler, open_world
from latigo.domain.errors import LatigoError, Unavailable
from latigo.executor.loop import Executor
from latigo.providers.postgres import PostgresPredictions
from latigo.runtime.clock import SystemClock
from latigo.runtime.heartbeat import Heartbeat
from latigo.runtime.lifecycle import Role, pause, run_until_stopped
from latigo.settings import PostgresSink, Settings
from latigo.systems import RoleName, SensorSource, check_role, open_queue
from latigo.telemetry import Metrics
from latigo.web.app import make_app
from latigo.web.health import Health
from latigo.web.site import Site, run_site

_log = structlog.get_logger()

#: Between two looks at the ledger while it is away at start.
PATIENCE = timedelta(seconds=2)
UPKEEP = timedelta(hours=1)
GAUGES = timedelta(seconds=30)
#: After the roles' own grace, for closing what they used.
CLOSING = timedelta(seconds=5)

Beside = Callable[[World, Site | None, asyncio.Event], Awaitable[None]]
"""A role of the caller's own, given what was opened."""


class Reached:
    """What probes and status can ask: nothing before the ledger has answered for the first time."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.executor: Executor | None = None

    def overdue(self) -> Sequence[str]:
        """Tasks that only a stuck process allows."""
        return self.executor.overdue if self.executor else ()

    async def ledger(self) -> None:
        """Ask the ledger for the time."""
        await self._world().database.row("clock")

    async def status(self) -> Mapping[str, Any]:
        return await self._world().reports.status()

    def _world(self) -> World:
        if self.world is None:
            raise Unavailable("has not answered since the start", downstream="ledger")
        return self.world


async def serve(
    settings: Settings,
    role: RoleName,
    stop: asyncio.Event,
    *,
    sensors: SensorSource | None = None,
    beside: Beside | None = None,
) -> None:
    """Run a role until ``stop``; drain within the grace.

    Waits for the ledger when it is away at start, and tells so by its probes: only a wrong configuration ends the
    process.

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
        health = Health(heartbeat, overdue=reached.overdue, checks={"ledger": reached.ledger})
        site = None
        if settings.http.enabled:
            pages = make_app(health, reached, registry)
            site = await opened.enter_async_context(run_site(pages, settings.http.host, settings.http.port))
        world = await _once_there(
            opened, lambda: open_world(settings, sensors=sensors, clock=clock, metrics=metrics), stop
        )
        if world is None:
            return
        opened.callback(setattr, reached, "world", None)  # before it is closed
        queue = await opened.enter_async_context(open_queue(settings, world.database, clock, role))
        reached.world = world
        roles: dict[str, Role] = {}
        if queue.receiver is not None:
            reached.executor = make_executor(world, queue.receiver)
            roles["executor"] = reached.executor.run
        if queue.sender is not None:
            roles["scheduler"] = make_scheduler(world, queue.sender).run
            roles["retention"] = lambda stop: _keep_retention(world, stop)
            roles["gauges"] = lambda stop: _publish_gauges(world, stop)
        if beside is not None:
            roles["beside"] = lambda stop: beside(world, site, stop)
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
    opened: AsyncExitStack, make: Callable[[], AbstractAsyncContextManager[World]], stop: asyncio.Event
) -> World | None:
    """Open the world as soon as its ledger answers; None: told to stop before that."""
    clock = SystemClock()
    while not stop.is_set():
        try:
            return await opened.enter_async_context(make())
        except Unavailable as error:
            _log.warning("ledger.away", because=str(error))
            await pause(clock, PATIENCE, stop)
    return None


async def _publish_gauges(world: World, stop: asyncio.Event) -> None:
    """Tell metrics what only the ledger knows."""
    metrics = world.metrics
    while not stop.is_set():
        try:
            found = await world.reports.status()
            for each in found["queue"]["partitions"]:
                metrics.queue_lag.labels(each["partition"]).set(each["lag"])
            backlog = {each["project"]: each["slots"] for each in await world.reports.backlog()}
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
        await pause(world.clock, GAUGES, stop)


async def _keep_retention(world: World, stop: asyncio.Event) -> None:
    """Drop predictions that are older than their sink keeps them."""
    kept = [
        (sink.store, each.retention)
        for sink, each in zip(world.sinks, world.settings.predictions, strict=True)
        if isinstance(each, PostgresSink) and isinstance(sink.store, PostgresPredictions)
    ]
    while not await pause(world.clock, UPKEEP, stop):
        for store, retention in kept:
            try:
                await store.drop_older_than(world.clock.now() - retention)
            except LatigoError as error:
                _log.warning("retention.delayed", because=str(error))
