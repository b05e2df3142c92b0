"""Windows that could be planned now, and their cost in calls of the model server."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Report
from latigo.reports.choices import WindowOrder, WindowState

SQL = load_statements("latigo.reports", "plan.sql")
MOST_WINDOWS = 1000


class MissingWindow(Report):
    """A contiguous stretch of time of one model that lacks predictions, or is to be predicted again."""

    project: str
    model: str
    start: datetime
    end: datetime
    slots: float
    calls: int  #: that it costs, folded
    live: bool  #: holds the newest due slot
    held: bool  #: deferred: the model, or its repair, is not planned for a while
    repair: bool  #: an overtaken executor may have written over its predictions
    requested: bool  #: by a request for time: it is before the model's beginning, or predicted again


class ProjectBacklog(Report):
    """What one project needs."""

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
    skip: int = 0,
) -> Plan:
    """Return windows, cut to ``[start, end)``, ``most`` (0: all) after ``skip``, and all that each project needs."""
    windows, projects, total = [], [], skip
    for row in await database.fetch(SQL["plan"], project, model, start, end, state, order, most, skip):
        if row["model"] is None:
            projects.append(ProjectBacklog(**{name: row[name] for name in ProjectBacklog.model_fields}))
        else:
            windows.append(MissingWindow(**{name: row[name] for name in MissingWindow.model_fields}))
            total = row["total"]
    return Plan(windows=windows, projects=projects, total=total)
