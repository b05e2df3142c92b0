"""Freshness: whether models have their newest predictions, and the one cause for which they do not. Pure.

A model is *stale* when the end of its newest predictions is longer ago than the objective allows: by default
``delay + 2 x slot``. Models that are paused, silent or new are neither fresh nor stale. The ledger's function
``model_freshness`` defines this; here it is decided what stale time is put down to. docs/decisions/0023 has the
reasons.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from latigo.domain.circuits import System
from latigo.domain.windows import EPOCH

#: Freshness is counted for stretches of so long, aligned.
PERIOD = timedelta(minutes=5)
#: The counters are kept for so long, and the objective is about it.
KEPT = timedelta(days=30)
#: What is counted of models that are not stale, next to the causes of those that are.
FRESH = "fresh"


class Cause(StrEnum):
    """What stale time is put down to, in the order in which a task meets it."""

    LATIGO = "latigo"  #: itself: no scheduler planned, or nothing else explains it
    DELAY = "delay"  #: every due slot is done: the objective is shorter than the schedule
    PARKED = "parked"  #: the newest slots are parked
    QUEUE = "queue"  #: the task queue is unreachable, or does not deliver
    CAPACITY = "capacity"  #: no executor is running and not drained, or all have as much as they can do
    SOURCE = "source"  #: of readings: unavailable, or it fails
    GORDO = "gordo"  #: unavailable, or it fails, or answers no finite value
    SINK = "sink"  #: unavailable, or it fails, or does not keep rows


_OF_SYSTEM = {
    System.SENSORS: Cause.SOURCE,
    System.MODELS: Cause.GORDO,
    System.MODEL_SERVER: Cause.GORDO,
    System.SINK: Cause.SINK,
}


class TaskPlace(StrEnum):
    """Where the live task of a model is."""

    NONE = "none"
    QUEUED = "queued"  #: planned or published, and not claimed
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True)
class StaleModel:
    """What is known of a stale model."""

    slot_missing: bool  #: a due slot is not done
    parked: bool = False  #: it would not be stale if what is parked were done
    blocked: System | None = None  #: whose open circuit keeps it from being planned
    failed: System | None = None  #: that ended its last attempt, while it waits for another one
    task: TaskPlace = TaskPlace.NONE


@dataclass(frozen=True, slots=True)
class Service:
    """What is known of the service."""

    plans: bool = True  #: a scheduler did, all the time
    queue_reachable: bool = True
    executors: int = 1  #: that are not drained
    saturated: bool = False  #: every executor has as many tasks as it takes, or no more may be outstanding


@dataclass(frozen=True, slots=True)
class Group:
    """Models of a project that are alike: fresh, or stale for the same reasons and since the same time."""

    project: str
    models: int
    stale: StaleModel | None = None  #: None: fresh
    since: datetime | None = None  #: of stale models: when they became so


def cause_of(model: StaleModel, service: Service) -> Cause:
    """Return the one cause of stale time: the first link that is broken on the way of a task, in this order.

    The scheduler; the schedule; what is parked; the queue; executors; source, Gordo and sink; then the place where the
    task waits. What is left is put down to Latigo itself.
    """
    if not service.plans:
        return Cause.LATIGO
    if not model.slot_missing:
        return Cause.DELAY
    if model.parked:
        return Cause.PARKED
    if not service.queue_reachable:
        return Cause.QUEUE
    if not service.executors:
        return Cause.CAPACITY
    if system := model.blocked or model.failed:
        return _OF_SYSTEM[system]
    if model.task is TaskPlace.CLAIMED or service.saturated:
        return Cause.CAPACITY
    return Cause.QUEUE if model.task is TaskPlace.QUEUED else Cause.LATIGO


def period_of(time: datetime) -> datetime:
    """Return the start of the period that a time is in."""
    return EPOCH + (time - EPOCH) // PERIOD * PERIOD


def count_time(
    groups: Iterable[Group], service: Service, start: datetime, end: datetime
) -> dict[tuple[datetime, str, str], timedelta]:
    """Return the time that models spent fresh, and stale by cause, between two moments, for each period.

    Args:
        groups: every model that counts is in one of them; what they are is known as of ``end`` or later.
        service: as of the same time.
        start: until when it has been counted before.
        end: until when it is counted now.

    Returns:
        Time of all models added up, by the start of the period, project, and `FRESH` or a cause. All of it together is
        the number of models times ``end - start``.
    """
    alike = _alike(groups, service)
    return {
        (period, *key): time
        for period, low, high in _periods(start, end)
        for key, time in _time_between(alike, low, high).items()
    }


def time_between(
    groups: Iterable[Group], service: Service, start: datetime, end: datetime
) -> dict[tuple[str, str], timedelta]:
    """Return the same in one sum, by project, and `FRESH` or a cause."""
    return _time_between(_alike(groups, service), start, end)


def stale_models(groups: Iterable[Group], service: Service) -> dict[str, dict[str, int]]:
    """Return how many models are stale, by project and cause."""
    counts: dict[str, dict[str, int]] = {}
    for group in groups:
        if group.stale is not None:
            of_project = counts.setdefault(group.project, {})
            cause = cause_of(group.stale, service).value
            of_project[cause] = of_project.get(cause, 0) + group.models
    return counts


_Alike = Mapping[tuple[str, str, datetime | None], int]


def _alike(groups: Iterable[Group], service: Service) -> _Alike:
    """Return how many models are counted alike: by project, cause, and when they became stale."""
    counts: dict[tuple[str, str, datetime | None], int] = {}
    for group in groups:
        outcome = FRESH if group.stale is None else cause_of(group.stale, service).value
        key = group.project, outcome, group.since
        counts[key] = counts.get(key, 0) + group.models
    return counts


def _time_between(alike: _Alike, start: datetime, end: datetime) -> dict[tuple[str, str], timedelta]:
    spent: dict[tuple[str, str], timedelta] = {}
    for (project, outcome, since), models in alike.items():
        became = start if since is None else min(max(since, start), end)
        for name, time in ((FRESH, became - start), (outcome, end - became)):
            if time:
                spent[project, name] = spent.get((project, name), timedelta(0)) + models * time
    return spent


def _periods(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, datetime]]:
    """Yield each period that a stretch of time touches: its start, and the part of it in the stretch."""
    period = period_of(start)
    while period < end:
        yield period, max(period, start), min(period + PERIOD, end)
        period += PERIOD
