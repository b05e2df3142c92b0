"""Endpoints: tasks, the queue, executors, circuits and limits."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from latigo.actions.hand_back import Held, TakenBack, hand_back
from latigo.actions.limits import reset_limits, resume_backfill, set_limits
from latigo.actions.probing import probe_circuit
from latigo.actions.reset_queue import reset_queue
from latigo.domain.errors import ConfigurationError, Misused
from latigo.domain.limits import CONFIGURED, Limits
from latigo.domain.task import Lane
from latigo.reports.base import Listing, Report
from latigo.reports.choices import TaskState, WindowOrder, WindowState
from latigo.reports.circuits import CircuitStatus, read_open_circuits
from latigo.reports.cost import read_cost
from latigo.reports.gordo_cost import Capacity, GordoCost
from latigo.reports.limits import BackfillPause, ConfiguredLimits, LimitsReport, read_limits
from latigo.reports.plan import MissingWindow, ProjectBacklog, read_plan
from latigo.reports.queue import (
    LedgerQueue,
    PartitionReading,
    read_ledger_queue,
    read_partitions,
    read_queue_outages,
)
from latigo.reports.status import read_stopped
from latigo.reports.status_parts import QueueOutage
from latigo.reports.tasks import OutstandingTask, TaskFilter, read_tasks
from latigo.runtime.times import parse_time
from latigo.runtime.units import format_duration, parse_duration
from latigo.settings import EventHubQueue, Settings
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Name, NoChoice, Patterns, Question, Why
from latigo.web.api.paging import Page, Paged, all_rows
from latigo.web.api.times import When

_SHORTEST_BACKLOG, _LONGEST_BACKLOG = timedelta(seconds=1), timedelta(days=365)


class QueueReport(Report):
    """The task queue."""

    kind: str  #: internal, postgres or event_hub
    partitions: Sequence[PartitionReading] = ()  #: of an event hub
    outages: Sequence[QueueOutage] = ()  #: processes that cannot reach it
    ledger: LedgerQueue | None = None  #: tasks, and those in the ledger's database; None: of an event hub


async def _queue(context: Context, _asked: NoChoice) -> QueueReport:
    queue, database = context.settings.task_queue, context.database
    if not isinstance(queue, EventHubQueue):
        return QueueReport(kind=queue.kind, ledger=await read_ledger_queue(database))
    partitions = await read_partitions(database, queue.address.channel, queue.consumer_group)
    return QueueReport(kind=queue.kind, partitions=partitions, outages=await read_queue_outages(database))


QUEUE = Endpoint(
    path="/queue",
    summary="How far executors are with the tasks in the queue.",
    question=NoChoice,
    answer=QueueReport,
    handle=_queue,
)


async def _circuits(context: Context, _asked: NoChoice) -> Page[CircuitStatus]:
    return all_rows(await read_open_circuits(context.database), context.now())


CIRCUITS = Endpoint(
    path="/circuits",
    summary="Systems that failed too often and are not used for now.",
    question=NoChoice,
    answer=Page[CircuitStatus],
    handle=_circuits,
)


class TasksQuestion(Paged):
    """Which tasks."""

    project: Patterns = ()
    model: Patterns = ()
    state: TaskState | None = None
    executor: Name | None = None


async def _tasks(context: Context, asked: TasksQuestion) -> Page[OutstandingTask]:
    await context.require_all(asked.project, asked.model)
    wanted = TaskFilter(asked.project or None, asked.model or None, asked.state, asked.executor)
    rows = await read_tasks(context.database, wanted, most=asked.limit, skip=asked.skip)
    return asked.page(rows, context.now())


TASKS = Endpoint(
    path="/tasks",
    summary="Tasks that are planned and not settled, the oldest first.",
    question=TasksQuestion,
    answer=Page[OutstandingTask],
    handle=_tasks,
)


class PlanQuestion(Paged):
    """Which windows."""

    project: Patterns = ()
    model: Patterns = ()
    since: Annotated[When | None, Field(alias="from")] = None
    until: Annotated[When | None, Field(alias="to")] = None
    state: WindowState | None = None
    order: WindowOrder = "newest"


class PlanPage(Page[MissingWindow]):
    """Windows that could be planned now."""

    projects: Sequence[ProjectBacklog]  #: what each needs in all
    backfill_paused: BackfillPause | None  #: then only live windows are planned


async def _plan(context: Context, asked: PlanQuestion) -> PlanPage:
    await context.require_all(asked.project, asked.model)
    now = context.now()
    start, end = (None if text is None else parse_time(text, now) for text in (asked.since, asked.until))
    if start and end and start >= end:
        raise Misused("from, to: the end should be after the begin")
    plan = await read_plan(
        context.database,
        asked.project or None,
        asked.model or None,
        start,
        end,
        state=asked.state,
        order=asked.order,
        most=asked.limit,
        skip=asked.skip,
    )
    page = asked.page(Listing(plan.windows, plan.total), now)
    return PlanPage(**dict(page), projects=plan.projects, backfill_paused=plan.backfill_paused)


PLAN = Endpoint(
    path="/plan",
    summary="What would be done now, and what it would cost in calls of the model server.",
    question=PlanQuestion,
    answer=PlanPage,
    handle=_plan,
    limit=timedelta(seconds=10),
)


def _within(text: str) -> str:
    if not _SHORTEST_BACKLOG <= parse_duration(text) <= _LONGEST_BACKLOG:
        shortest, longest = map(format_duration, (_SHORTEST_BACKLOG, _LONGEST_BACKLOG))
        raise ValueError(f"{text} is not between {shortest} and {longest}")
    return text


class CostQuestion(Question):
    """How soon the backlog is to be done."""

    within: Annotated[str, Field(max_length=20, description="Such as 12h."), AfterValidator(_within)] = "1d"


async def _cost(context: Context, asked: CostQuestion) -> GordoCost:
    models, schedule = context.settings.models, context.settings.schedule
    servers = len(models.urls) if models.endpoints == "url" else None
    capacity = Capacity(schedule.interval, schedule.longest_window, servers, models.cached_per_worker)
    return await read_cost(context.database, capacity, parse_duration(asked.within), context.now())


COST = Endpoint(
    path="/plan/cost",
    summary="How many cores of Gordo predictions need, which models it loads on every call, and what would help most.",
    question=CostQuestion,
    answer=GordoCost,
    handle=_cost,
    limit=timedelta(seconds=30),
    shared_for=timedelta(seconds=30),
)


def configured_limits(settings: Settings) -> ConfiguredLimits:
    """Return what the settings say."""
    return ConfiguredLimits(
        concurrency=settings.executor.concurrency,
        backfill_share=settings.backfill.min_share,
        outstanding=settings.task_queue.max_outstanding,
    )


async def _limits(context: Context, _asked: NoChoice) -> LimitsReport:
    return await read_limits(context.database, configured_limits(context.settings))


LIMITS = Endpoint(
    path="/limits",
    summary="The limits of the settings, and those that hold now.",
    question=NoChoice,
    answer=LimitsReport,
    handle=_limits,
)


class LimitsChange(Question):
    """What is changed; what is left out stays as it is."""

    concurrency: Annotated[int | None, Field(ge=1, le=1024)] = None
    backfill_share: Annotated[float | None, Field(ge=0, lt=1, allow_inf_nan=False)] = None
    outstanding: Annotated[int | None, Field(ge=0, le=100_000, description="0: measured.")] = None
    backfill_paused: Annotated[bool | None, Field(description="Pause all backfill, or resume it.")] = None
    reset: Annotated[bool, Field(description="Return to the settings; a pause of backfill stays.")] = False
    reason: Why


async def _change_limits(context: Context, asked: LimitsChange) -> LimitsReport:
    share = None if asked.backfill_share is None else asked.backfill_share + 0.0  # which makes no difference but to -0
    limits = Limits(asked.concurrency, share, asked.outstanding, bool(asked.backfill_paused))
    if asked.reset and limits != Limits(backfill_paused=limits.backfill_paused):
        raise Misused("reset: returns to the settings, so it takes no other limits")
    if limits == CONFIGURED and asked.backfill_paused is None and not asked.reset:
        raise Misused("nothing is to be changed: name a limit, backfill_paused or reset")
    if not asked.reason:
        raise Misused("reason: say why, for the record")
    if asked.reset:
        await reset_limits(context.database, context.who, asked.reason)
    if asked.backfill_paused is False:
        await resume_backfill(context.database, context.who, asked.reason)
    if limits != CONFIGURED:
        await set_limits(context.database, context.who, limits, asked.reason)
    return await read_limits(context.database, configured_limits(context.settings))


CHANGE_LIMITS = Endpoint(
    method="PUT",
    path="/limits",
    summary="Change limits while the service runs.",
    question=LimitsChange,
    answer=LimitsReport,
    handle=_change_limits,
    limit=timedelta(seconds=30),
)


class ProbeQuestion(Question):
    """Which system is probed now."""

    downstream: Name
    reason: Why = ""


class Probed(Report):
    """That a probe is due."""

    downstream: str


async def _probe(context: Context, asked: ProbeQuestion) -> Probed:
    await probe_circuit(context.database, context.who, asked.downstream, asked.reason)
    return Probed(downstream=asked.downstream)


PROBE = Endpoint(
    method="POST",
    path="/circuits/probe",
    summary="Probe a system now, without waiting for the next time.",
    question=ProbeQuestion,
    answer=Probed,
    handle=_probe,
    limit=timedelta(seconds=10),
)


class HandBackQuestion(Question):
    """Which tasks are taken back."""

    names: Annotated[tuple[Name, ...], Field(max_length=20_000, description="As those of a backfill.")] = ()
    executor: Name | None = None
    lane: Lane | None = None
    dry_run: bool = False
    reason: Why = ""


class HandedBack(Report):
    """Tasks that are published again."""

    dry_run: bool
    tasks: Sequence[TakenBack]
    stopped: str  #: why nothing is started now; empty: something is


async def _hand_back(context: Context, asked: HandBackQuestion) -> HandedBack:
    if not asked.names and asked.executor is None:
        raise Misused("names: name projects, models or an executor; * is every model")
    if not (asked.reason or asked.dry_run):
        raise Misused("reason: say why, for the record")
    held = Held(asked.names, asked.executor, asked.lane)
    tasks = await hand_back(context.database, context.who, held, asked.reason, dry_run=asked.dry_run)
    return HandedBack(dry_run=asked.dry_run, tasks=tasks, stopped=await read_stopped(context.database))


HAND_BACK = Endpoint(
    method="POST",
    path="/tasks/hand-back",
    summary="Take tasks back from executors and the queue, and publish them again.",
    question=HandBackQuestion,
    answer=HandedBack,
    handle=_hand_back,
    limit=timedelta(seconds=30),
    largest=10_000_000,
)


class ResetQuestion(Question):
    """Why checkpoints are forgotten."""

    reason: Why = ""


class Forgotten(Report):
    """Checkpoints that were forgotten."""

    forgotten: int


async def _reset(context: Context, _asked: ResetQuestion) -> Forgotten:
    hub = event_hub(context.settings)
    count = await reset_queue(context.database, context.who, hub.address.channel, hub.consumer_group)
    return Forgotten(forgotten=count)


def event_hub(settings: Settings) -> EventHubQueue:
    """Return the settings of the event hub.

    Raises:
        ConfigurationError: the task queue is of another kind.
    """
    if not isinstance(settings.task_queue, EventHubQueue):
        raise ConfigurationError(f'task_queue.kind = "{settings.task_queue.kind}" has no partitions')
    return settings.task_queue


RESET = Endpoint(
    method="POST",
    path="/queue/reset",
    summary="Forget all checkpoints of an event hub that was deleted and created again.",
    question=ResetQuestion,
    answer=Forgotten,
    handle=_reset,
    limit=timedelta(seconds=30),
)

ENDPOINTS = (
    QUEUE,
    CIRCUITS,
    TASKS,
    PLAN,
    COST,
    LIMITS,
    CHANGE_LIMITS,
    PROBE,
    HAND_BACK,
    RESET,
)
