"""Endpoints: how the service is doing, and what has happened."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from latigo import __version__
from latigo.reports.actions import Happening, RecordedAction, read_actions, read_recent
from latigo.reports.base import Report
from latigo.reports.snapshot import ProjectStatus
from latigo.reports.status import Status, read_status
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Name, Question
from latigo.web.api.paging import Page, Paged

EVERY = timedelta(seconds=5)


class StatusQuestion(Question):
    """Nothing to choose."""


async def _status(context: Context, _asked: StatusQuestion) -> Status:
    return await read_status(context.database, __version__, context.settings.objective)


STATUS = Endpoint(
    path="/status",
    summary="How the service is doing: its verdict, the causes, and what limits it.",
    question=StatusQuestion,
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


class ProjectsQuestion(Question):
    """Nothing to choose."""


class Projects(Report):
    """Every project."""

    items: Sequence[ProjectStatus]
    at: datetime


async def _projects(context: Context, _asked: ProjectsQuestion) -> Projects:
    status = await read_status(context.database, __version__, context.settings.objective)
    return Projects(items=status.projects, at=status.now)


PROJECTS = Endpoint(
    path="/projects",
    summary="Every project: its model list, its models by state, and its verdict.",
    question=ProjectsQuestion,
    answer=Projects,
    handle=_projects,
    limit=timedelta(seconds=10),
    shared_for=EVERY,
)

ENDPOINTS = (STATUS, RECENT, ACTIONS, PROJECTS)
