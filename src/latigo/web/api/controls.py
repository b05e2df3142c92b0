"""Endpoints: what people decide about models and their lists."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from latigo.actions.accept_loss import accept_discovery_loss, accept_loss
from latigo.actions.pausing import pause, resume
from latigo.actions.record import Order
from latigo.actions.roster import register, unregister
from latigo.actions.run_now import run_now
from latigo.domain.errors import Misused
from latigo.ledger.model_store import PostgresModelLedger
from latigo.reports.base import Report
from latigo.reports.names import read_names
from latigo.reports.status import read_stopped
from latigo.reports.tasks import TaskEnd, read_task_end
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Name, OfModel, Question, Why
from latigo.web.api.requests import Number


class PauseQuestion(Question):
    """What is paused, and why."""

    project: Name
    model: Annotated[Name | None, Field(description="Of the project; all of it if left out.")] = None
    reason: Why


class ResumeQuestion(Question):
    """What is resumed."""

    project: Name
    model: Annotated[Name | None, Field(description="Of the project; all of it if left out.")] = None
    reason: Why = ""


class PausedModels(Report):
    """How many models are paused, which were not before."""

    project: str
    model: str | None
    models: int
    already: Order | None  #: the pause of the same that is in force, and stays


class ResumedModels(Report):
    """How many models are resumed."""

    project: str
    model: str | None
    models: int


async def _pause(context: Context, asked: PauseQuestion) -> PausedModels:
    if not asked.reason:
        raise Misused("reason: say why, for the record")
    await context.require(asked.project, asked.model)
    paused = await pause(context.database, context.who, asked.project, asked.model, asked.reason)
    return PausedModels(project=asked.project, model=asked.model, models=paused.models, already=paused.already)


async def _resume(context: Context, asked: ResumeQuestion) -> ResumedModels:
    await context.require(asked.project, asked.model)
    models = await resume(context.database, context.who, asked.project, asked.model, asked.reason)
    return ResumedModels(project=asked.project, model=asked.model, models=models)


PAUSE = Endpoint(
    method="POST",
    path="/pause",
    summary="Stop predicting a model or a project for a while.",
    question=PauseQuestion,
    answer=PausedModels,
    handle=_pause,
    limit=timedelta(seconds=30),
)
RESUME = Endpoint(
    method="POST",
    path="/resume",
    summary="Predict a paused model or project again, and what became due meanwhile.",
    question=ResumeQuestion,
    answer=ResumedModels,
    handle=_resume,
    limit=timedelta(seconds=30),
)


class RunNowQuestion(OfModel):
    """Which model is predicted now, and why."""

    reason: Why


class Running(Report):
    """A task for the newest slot of a model."""

    task: int
    start: datetime
    end: datetime
    claimed_by: str  #: an executor that was at it already; empty: it was planned by this
    waits: bool  #: until another task of the model has ended
    stopped: str  #: why nothing is started now; empty: something is


async def _run_now(context: Context, asked: RunNowQuestion) -> Running:
    if not asked.reason:
        raise Misused("reason: say why, for the record")
    await context.require(*asked.ref)
    running = await run_now(context.database, context.who, asked.ref, asked.reason)
    return Running(
        task=running.task,
        start=running.window.start,
        end=running.window.end,
        claimed_by=running.claimed_by,
        waits=running.waits,
        stopped=await read_stopped(context.database),
    )


RUN_NOW = Endpoint(
    method="POST",
    path="/models/{project}/{model}/run-now",
    summary="Predict the newest slot of one model now, also if it is covered.",
    question=RunNowQuestion,
    answer=Running,
    handle=_run_now,
    limit=timedelta(seconds=30),
)


class TaskQuestion(Question):
    """Which task: a number that an action has returned."""

    task: Number


class TaskState(Report):
    """How far a task is."""

    known: bool  #: False: it was withdrawn
    end: TaskEnd | None  #: None: it has not ended


async def _task(context: Context, asked: TaskQuestion) -> TaskState:
    known, end = await read_task_end(context.database, asked.task)
    return TaskState(known=known, end=end)


TASK = Endpoint(
    path="/tasks/{task}",
    summary="How a task ended, or that it has not.",
    question=TaskQuestion,
    answer=TaskState,
    handle=_task,
)


class RosterQuestion(OfModel):
    """Which model."""


class Registered(Report):
    """What was decided about a model."""

    model: str
    registered: bool


async def _register(context: Context, asked: RosterQuestion) -> Registered:
    known = await read_names(context.database, context.settings.models.projects)
    async with context.model_server() as server:
        await register(server, known, asked.ref)
    return Registered(model=str(asked.ref), registered=True)


async def _unregister(context: Context, asked: RosterQuestion) -> Registered:
    known = await read_names(context.database, context.settings.models.projects)
    async with context.model_server() as server:
        await unregister(server, PostgresModelLedger(context.database), known, asked.ref)
    return Registered(model=str(asked.ref), registered=False)


REGISTER = Endpoint(
    method="POST",
    path="/models/{project}/{model}/register",
    summary="Predict a model although the settings do not include it.",
    question=RosterQuestion,
    answer=Registered,
    handle=_register,
    asks_others=True,
    limit=timedelta(seconds=60),
)
UNREGISTER = Endpoint(
    method="POST",
    path="/models/{project}/{model}/unregister",
    summary="Stop predicting a model although the settings include it.",
    question=RosterQuestion,
    answer=Registered,
    handle=_unregister,
    asks_others=True,
    limit=timedelta(seconds=60),
)


class AcceptLossQuestion(Question):
    """Which list is accepted."""

    project: Annotated[Name | None, Field(description="Its list of models; without it the list of projects.")] = None


class Accepted(Report):
    """Whether a list was quarantined, and is accepted now."""

    accepted: bool


async def _accept_loss(context: Context, asked: AcceptLossQuestion) -> Accepted:
    await context.require(asked.project)
    if asked.project is None:
        return Accepted(accepted=await accept_discovery_loss(context.database, context.who))
    return Accepted(accepted=await accept_loss(context.database, context.who, asked.project))


ACCEPT_LOSS = Endpoint(
    method="POST",
    path="/accept-loss",
    summary="Accept a list that has lost many models at once.",
    question=AcceptLossQuestion,
    answer=Accepted,
    handle=_accept_loss,
    limit=timedelta(seconds=10),
)

ENDPOINTS = (PAUSE, RESUME, RUN_NOW, TASK, REGISTER, UNREGISTER, ACCEPT_LOSS)
