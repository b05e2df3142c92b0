"""Windows that could be planned now, and their cost in calls of the model server."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Listing, Report
from latigo.reports.choices import WindowOrder, WindowState

SQL = load_statements("latigo.reports", "plan.sql")
MOST_WINDOWS = 1000


class MissingWindow(Report):
    """A contiguous stretch of time of one model that lacks predictions."""

    project: str
    model: str
    start: datetime
    end: datetime
    slots: float
    calls: int  #: that it costs, folded
    live: bool  #: holds the newest due slot
    held: bool  #: deferred: the model is not planned for a while


class ProjectBacklog(Report):
    """Missing windows of one project."""

    project: str
    models: int
    slots: float
    calls: float


class Plan(Report):
    """Tasks that would be planned now."""

    windows: Sequence[MissingWindow]
    projects: Sequence[ProjectBacklog]
    total: int = Field(exclude=True)  #: windows, if all were shown


async def read_plan(
    database: Database,
    project: str | None = None,
    model: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    state: WindowState | None = None,
    order: WindowOrder = "newest",
    most: int = MOST_WINDOWS,
) -> Plan:
    """Return missing windows, cut to ``[start, end)``, ``most`` of them (0: all), and the whole backlog by project."""
    async with database.connection() as connection:
        rows = await connection.fetch(SQL["holes"], project, model, start, end, state, order, most)
        projects = await fetch_backlog(connection, project, model)
    windows = Listing.of(MissingWindow, rows)
    return Plan(windows=windows, projects=projects, total=windows.total)


async def fetch_backlog(
    connection: Any, project: str | None = None, model: str | None = None
) -> Sequence[ProjectBacklog]:
    """Return what each project lacks; None matches all."""
    return [ProjectBacklog(**row) for row in await connection.fetch(SQL["backlog"], project, model)]
