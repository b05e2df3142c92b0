"""Gauges that a process cannot measure by itself: they are read from the ledger every 30 s."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

from latigo.domain.errors import LatigoError
from latigo.domain.freshness import Cause
from latigo.domain.health import State
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.log import get_logger
from latigo.telemetry.metrics import Metrics

INTERVAL = timedelta(seconds=30)

_log = get_logger(__name__)


class ProjectGauges(NamedTuple):
    """The gauges of one project."""

    active: int
    stale: int
    parked: int
    backlog_slots: float
    oldest_coverage_s: float | None  #: age; None: nothing is settled yet
    fresh_share: float | None = None  #: None: nothing is counted yet
    budget_left: float | None = None


class LedgerGauges(NamedTuple):
    """Everything that only the ledger holds: the verdict, the lag by partition, the rest by project."""

    state: State
    queue_lag: Mapping[str, int]
    projects: Mapping[str, ProjectGauges]
    unstored: Mapping[str, int] = MappingProxyType({})  #: models that lack predictions in their newest slot
    stale: Mapping[str, Mapping[str, int]] = MappingProxyType({})  #: models that are stale, by project and cause
    needed: float = 0.0  #: slots per second
    possible: float | None = None  #: None: unknown
    backlog_s: float | None = None  #: time until it is done; None: unknown


async def keep_gauges(
    read: Callable[[], Awaitable[LedgerGauges]], metrics: Metrics, clock: Clock, stop: asyncio.Event
) -> None:
    """Set the gauges every 30 s until ``stop``.

    While the ledger cannot be read, the state is unknown, and all others keep their last values.
    """
    while not stop.is_set():
        try:
            set_gauges(metrics, await read())
        except LatigoError as error:
            set_state(metrics, State.UNKNOWN)
            _log.warning("gauges.not_read", error=str(error))
        await pause(clock, INTERVAL, stop)


def set_gauges(metrics: Metrics, values: LedgerGauges) -> None:
    """Set the gauges to these values."""
    set_state(metrics, values.state)
    for partition, lag in values.queue_lag.items():
        metrics.queue_lag.labels(partition).set(lag)
    for name, project in values.projects.items():
        metrics.models.labels(name).set(project.active)
        metrics.stale_models.labels(name).set(project.stale)
        metrics.parked.labels(name).set(project.parked)
        metrics.backlog.labels(name).set(project.backlog_slots)
        if project.fresh_share is not None and project.budget_left is not None:
            metrics.fresh_share.labels(name).set(project.fresh_share)
            metrics.budget_left.labels(name).set(project.budget_left)
        if project.oldest_coverage_s is not None:
            metrics.freshness.labels(name).set(project.oldest_coverage_s)
    for name, by_cause in values.stale.items():
        for cause in Cause:
            metrics.stale_by_cause.labels(name, cause.value).set(by_cause.get(cause, 0))
    metrics.needed.set(values.needed)
    metrics.possible.set(math.nan if values.possible is None else values.possible)
    metrics.backlog_seconds.set(math.nan if values.backlog_s is None else values.backlog_s)
    for name, models in values.unstored.items():
        metrics.unstored_models.labels(name).set(models)


def set_state(metrics: Metrics, state: State) -> None:
    """Set the gauge of this state to 1, those of all others to 0."""
    for each in State:
        metrics.state.labels(each.value).set(each is state)
