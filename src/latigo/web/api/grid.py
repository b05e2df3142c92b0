"""Endpoints: the grid of models over time, and what is said of one cell of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated

import numpy as np
from pydantic import Field

from latigo.domain.errors import Misused
from latigo.reports.base import Report
from latigo.reports.grid_cells import State
from latigo.reports.grid_keeper import MOST_CHANGES, Changes, Gone, GridKeeper, Range
from latigo.reports.grid_view import GridGroup, GridMark, GridOrder, GridState, View, Wanted
from latigo.reports.stripes import with_past_causes
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Octets, Patterns, Question
from latigo.web.problems import refuse

#: Above so many models, the cells of all of them are not sent at once: their sums are.
MOST_MODELS = 20_000
_MOST_ROWS = 5000  #: of cells, with more models than that
_LIMIT = timedelta(seconds=2)
_STATES = [state.word for state in State]

Version = Annotated[str, Field(max_length=40, description="That /grid has answered.")]


class GridQuestion(Question):
    """A range of time, and which models in which order."""

    from_: Annotated[str, Field(alias="from", max_length=60, description="Begin: ISO 8601, or -7d.")] = "-7d"
    to: Annotated[str, Field(max_length=60, description="End: the same, or now.")] = "now"
    step_s: Annotated[
        float | None, Field(ge=10, le=28 * 86400, description="Length of a column; by default by that of the range.")
    ] = None
    project: Patterns = ()
    q: Annotated[str, Field(max_length=200, description="Parts of names, in any order.")] = ""
    state: GridState | None = None
    order: GridOrder = "worst"

    @property
    def range(self) -> Range:
        """The range of time."""
        return Range(self.from_, self.to, None if self.step_s is None else timedelta(seconds=self.step_s))

    @property
    def wanted(self) -> Wanted:
        """The models."""
        return Wanted(self.project, self.q, self.state, self.order)


class GridReport(Report):
    """The rows and columns of a grid; its cells are asked for by ``version``."""

    version: str  #: kept for a minute after there is a newer one
    at: datetime
    start: datetime  #: of the first column
    end: datetime
    step_s: float  #: longer than asked for where there were too many columns
    columns: int
    rows: int
    sums_only: bool  #: there are too many models to ask for all cells at once: see /grid/summary
    groups: Sequence[GridGroup]
    ids: Sequence[int]  #: of the models, by row, as all that follows
    names: Sequence[str]  #: without project
    score: Sequence[float]  #: how bad it is: from 2 on, the newest time is parked
    marks: Sequence[GridMark]


class VersionQuestion(Question):
    """A version of a grid."""

    version: Version


class CellsQuestion(VersionQuestion):
    """Some of the rows of a grid."""

    rows: Annotated[
        str, Field(pattern=r"^(\d{1,7}-\d{1,7})?$", description="First and last row, such as 0-199; empty: all.")
    ] = ""


class RowsQuestion(VersionQuestion):
    """Some models of a grid."""

    ids: Annotated[str, Field(max_length=8000, pattern=r"^\d{1,18}(,\d{1,18})*$", description="Ids, with commas.")]


class GridRows(Report):
    """Rows as they are now. Other times or columns than those of the version: ask for the whole grid again."""

    at: datetime
    start: datetime
    end: datetime
    columns: int
    ids: Sequence[int]  #: those that are still in the grid
    cells: Sequence[str]  #: by row, a digit a column: the code of its state
    score: Sequence[float]


def keeper_of(context: Context) -> GridKeeper:
    """Return what keeps the grids of this process."""
    return context.kept.of(GridKeeper, lambda: GridKeeper(context.database, context.clock))


async def grid_changes(context: Context) -> Changes | None:
    """Renew the grids that have viewers; return what has changed, None: nothing."""
    return await keeper_of(context).changes()


async def _grid(context: Context, asked: GridQuestion) -> GridReport:
    await context.require_all(asked.project, ())
    version, at, view = await keeper_of(context).view(asked.range, asked.wanted)
    axis = view.grid.axis
    return GridReport(
        version=version,
        at=at,
        start=axis.start,
        end=axis.end,
        step_s=axis.step.total_seconds(),
        columns=axis.columns,
        rows=len(view.rows),
        sums_only=len(view.rows) > MOST_MODELS,
        groups=view.groups,
        ids=view.ids(),
        names=view.names(),
        score=view.scores(),
        marks=await with_past_causes(context.database, axis, view.marks()),
    )


def _known(context: Context, version: str) -> View:
    try:
        return keeper_of(context).known(version)
    except Gone as error:
        raise refuse("gone", HTTPStatus.GONE, str(error)) from None


async def _cells(context: Context, asked: CellsQuestion) -> Octets:
    view = _known(context, asked.version)
    first, last = 0, len(view.rows)
    if asked.rows:
        first, last = (int(each) for each in asked.rows.split("-"))
        last += 1
        if not first < last <= len(view.rows):
            raise Misused(f"rows: should be first-last, within 0-{len(view.rows) - 1}")
    if len(view.rows) > MOST_MODELS and last - first > _MOST_ROWS:
        raise Misused(f"rows: of so many models, at most {_MOST_ROWS} at once; /grid/summary has sums of all")
    return Octets(view.grid.cells[view.rows[first:last]].tobytes())


async def _rows(context: Context, asked: RowsQuestion) -> GridRows:
    ids = np.array([int(each) for each in dict.fromkeys(asked.ids.split(","))], np.int64)
    if len(ids) > MOST_CHANGES:
        raise Misused(f"ids: at most {MOST_CHANGES} at once")
    try:
        grid, at = await keeper_of(context).newest(asked.version)
    except Gone as error:
        raise refuse("gone", HTTPStatus.GONE, str(error)) from None
    order = grid.rows.ids.argsort()
    place = np.minimum(grid.rows.ids.searchsorted(ids, sorter=order), max(len(order) - 1, 0))
    rows = order[place] if len(order) else order
    there = grid.rows.ids[rows] == ids if len(rows) else np.zeros(0, np.bool_)
    rows = rows[there]
    return GridRows(
        at=at,
        start=grid.axis.start,
        end=grid.axis.end,
        columns=grid.axis.columns,
        ids=grid.rows.ids[rows].tolist(),
        cells=[(row + ord("0")).tobytes().decode("ascii") for row in grid.cells[rows]],
        score=grid.scores[rows].round(4).tolist(),
    )


async def _summary(context: Context, asked: VersionQuestion) -> Octets:
    return Octets(_known(context, asked.version).counts.astype("<u2").tobytes())


GRID = Endpoint(
    path="/grid",
    summary="The grid of models over time: its rows and columns, and a version to ask for its cells.",
    question=GridQuestion,
    answer=GridReport,
    handle=_grid,
    limit=_LIMIT,
    largest=16_000_000,
    examples=({"from": "-7d", "order": "worst"},),
)
CELLS = Endpoint(
    path="/grid/cells",
    summary="The cells of a grid, row by row, an octet each: "
    + ", ".join(f"{n} {w}" for n, w in enumerate(_STATES))
    + ".",
    question=CellsQuestion,
    answer=Octets,
    handle=_cells,
    limit=_LIMIT,
    largest=16_000_000,
    shared_for=timedelta(seconds=30),
)
ROWS = Endpoint(
    path="/grid/rows",
    summary="Some models of a grid as they are now, up to 500.",
    question=RowsQuestion,
    answer=GridRows,
    handle=_rows,
    limit=_LIMIT,
)
SUMMARY = Endpoint(
    path="/grid/summary",
    summary="Models of a grid by group, column and state: numbers of 16 bits, little-endian, ten states a column.",
    question=VersionQuestion,
    answer=Octets,
    handle=_summary,
    limit=_LIMIT,
    largest=8_000_000,
    shared_for=timedelta(seconds=30),
)

ENDPOINTS = (GRID, CELLS, ROWS, SUMMARY)
