"""Endpoints: executors."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from latigo.actions.draining import drain, resume_executor
from latigo.actions.record import Order
from latigo.domain.errors import Misused
from latigo.reports.base import Report
from latigo.reports.limits import read_executors
from latigo.reports.status_parts import ExecutorStatus
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Name, NoChoice, Question, Why
from latigo.web.api.paging import Page, all_rows


async def _executors(context: Context, _asked: NoChoice) -> Page[ExecutorStatus]:
    return all_rows(await read_executors(context.database), context.now())


EXECUTORS = Endpoint(
    path="/executors",
    summary="The executors that were seen within the last minute.",
    question=NoChoice,
    answer=Page[ExecutorStatus],
    handle=_executors,
)


class DrainQuestion(Question):
    """Which executor is drained."""

    executor: Annotated[Name, Field(description="Its name, or the beginning of only one.")]
    stop: Annotated[bool, Field(description="End its process when its tasks have ended.")] = False
    reason: Why


class Drained(Report):
    """An executor that starts no more tasks."""

    executor: str
    in_flight: int  #: when it last reported
    stop: bool  #: its process ends when they have ended
    already: Order | None  #: by which it was drained before, and which stays


async def _drain(context: Context, asked: DrainQuestion) -> Drained:
    if not asked.reason:
        raise Misused("reason: say why, for the record")
    drained = await drain(context.database, context.who, asked.executor, asked.reason, stop=asked.stop)
    executor, in_flight, stop, already = drained
    return Drained(executor=executor, in_flight=in_flight, stop=stop, already=already)


DRAIN = Endpoint(
    method="POST",
    path="/executors/drain",
    summary="Let an executor finish its tasks and start no more.",
    question=DrainQuestion,
    answer=Drained,
    handle=_drain,
    limit=timedelta(seconds=10),
)


class ResumeExecutorQuestion(Question):
    """Which executor works again."""

    executor: Annotated[Name, Field(description="Its name, or the beginning of only one.")]
    reason: Why = ""


class ResumedExecutor(Report):
    """An executor that starts tasks again."""

    executor: str


async def _resume_executor(context: Context, asked: ResumeExecutorQuestion) -> ResumedExecutor:
    executor = await resume_executor(context.database, context.who, asked.executor, asked.reason)
    return ResumedExecutor(executor=executor)


RESUME_EXECUTOR = Endpoint(
    method="POST",
    path="/executors/resume",
    summary="Let a drained executor start tasks again.",
    question=ResumeExecutorQuestion,
    answer=ResumedExecutor,
    handle=_resume_executor,
    limit=timedelta(seconds=10),
)


ENDPOINTS = (EXECUTORS, DRAIN, RESUME_EXECUTOR)
