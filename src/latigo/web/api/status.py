"""Endpoints: how the service is doing, and what has happened."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, get_args

from pydantic import AfterValidator, Field

from latigo import __version__
from latigo.reports.actions import Happening, RecordedAction, read_actions, read_recent
from latigo.reports.base import Report
from latigo.reports.choices import HistorySeries
from latigo.reports.history import History, read_history
from latigo.reports.status import Status, read_status
from latigo.reports.status_parts import ProjectStatus
from latigo.runtime.units import parse_duration
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Name, NoChoice, Question
from latigo.web.api.paging import Page, Paged

EVERY = timedelta(seconds=5)


_LONGEST = timedelta(days=32)


def _length(text: str) -> str:
    if not timedelta(0) < parse_duration(text) <= _LONGEST:
        raise ValueError("should be longer than 0 and at most 32d")
    return text


async def _status(context: Context, _asked: NoChoice) -> Status:
    return await read_status(context.database, __version__, context.settings.objective)


STATUS = Endpoint(
    path="/status",
    summary="How the service is doing: its verdict, the causes, and what limits it.",
    question=NoChoice,
    answer=Status,
    handle=_status,
    limit=timedelta(seconds=10),
    shared_for=EVERY,
)


class RecentQuestion(Question):
    """How much of what happened lately."""

    limit: Annotated[int, Field(ge=1, le=200, description="Rows at most.")] = 20


class Recent(Report):
    """What happened lately, the newest first."""

    items: Sequence[Happening]


async def _recent(context: Context, asked: RecentQuestion) -> Recent:
    return Recent(items=await read_recent(context.database, asked.limit))


RECENT = Endpoint(
    path="/events/recent",
    summary="What happened lately, for people.",
    question=RecentQuestion,
    answer=Recent,
    handle=_recent,
    largest=500_000,
    shared_for=EVERY,
)


class HistoryQuestion(Question):
    """Which lines, and of how long."""

    series: Annotated[tuple[HistorySeries, ...], Field(max_length=10, description="By default all.")] = ()
    range: Annotated[
        str, Field(max_length=20, description="Such as 24h or 30d; at most 32d."), AfterValidator(_length)
    ] = "24h"
    points: Annotated[int, Field(ge=1, le=1000, description="At most so many; five minutes are the least.")] = 288


async def _history(context: Context, asked: HistoryQuestion) -> History:
    series = dict.fromkeys(asked.series or get_args(HistorySeries))
    return await read_history(context.database, list(series), context.now(), parse_duration(asked.range), asked.points)


HISTORY = Endpoint(
    path="/history",
    summary="How the service did: lines over time.",
    question=HistoryQuestion,
    answer=History,
    handle=_history,
    largest=100_000,
    shared_for=timedelta(seconds=30),
)


class ActionsQuestion(Paged):
    """Which actions."""

    who: Name | None = None
    kind: Name | None = None


async def _actions(context: Context, asked: ActionsQuestion) -> Page[RecordedAction]:
    rows = await read_actions(context.database, asked.who, asked.kind, most=asked.limit, skip=asked.skip)
    return asked.page(rows, context.now())


ACTIONS = Endpoint(
    path="/actions",
    summary="What people did, the newest first: who, when, what and why.",
    question=ActionsQuestion,
    answer=Page[RecordedAction],
    handle=_actions,
)


class Projects(Report):
    """Every project."""

    items: Sequence[ProjectStatus]
    at: datetime


async def _projects(context: Context, _asked: NoChoice) -> Projects:
    status = await read_status(context.database, __version__, context.settings.objective)
    return Projects(items=status.projects, at=status.now)


PROJECTS = Endpoint(
    path="/projects",
    summary="Every project: its model list, its models by state, and its verdict.",
    question=NoChoice,
    answer=Projects,
    handle=_projects,
    limit=timedelta(seconds=10),
    shared_for=EVERY,
)

ENDPOINTS = (STATUS, HISTORY, RECENT, ACTIONS, PROJECTS)
