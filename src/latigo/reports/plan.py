"""Windows that could be planned now, and their cost in calls of the model server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Names, Report, Row, likes
from latigo.reports.choices import WindowOrder, WindowState
from latigo.reports.limits import BackfillPause

SQL = load_statements("latigo.reports", "plan.sql")
MOST_WINDOWS = 1000


@dataclass(slots=True)
class MissingWindow(Row):
    """A contiguous stretch of time of one model that lacks predictions, or is to be predicted again."""

    project: str
    model: str
    start: datetime
    end: datetime
    slots: float
    calls: int  #: that it costs, folded
    live: bool  #: holds the newest due slot
    held: bool  #: deferred: the model, or its repair, is not planned for a while
    repair: bool  #: an older write may have replaced its predictions
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
    backfill_paused: BackfillPause | None = None  #: then only live windows are planned
    total: int = Field(exclude=True)  #: windows, if all were shown


async def read_plan(
    database: Database,
    project: Names = None,
    model: Names = None,
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
    async with database.snapshot() as connection:
        paused = await connection.fetchrow(SQL["backfill_paused"])
        rows = await connection.fetch(SQL["plan"], likes(project), likes(model), start, end, state, order, most, skip)
    for models, of_project, of_model, begin, until, slots, calls, *marks, _rank, count in rows:
        if of_model is None:
            projects.append(ProjectBacklog(project=of_project, models=models, slots=slots, calls=calls))
        else:
            windows.append(MissingWindow(of_project, of_model, begin, until, slots, int(calls), *marks))
            total = count
    backfill_paused = BackfillPause(**paused) if paused else None
    return Plan(windows=windows, projects=projects, backfill_paused=backfill_paused, total=total)
