"""A grid as it is shown: which of its models, in which order, with sums, scores and marks. Pure, and numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from latigo.reports.base import Report
from latigo.reports.grid import Image, Rows
from latigo.reports.grid_causes import Causes
from latigo.reports.grid_cells import Axis, Cells, Numbers, State

GridOrder = Literal["worst", "name", "behind", "parked"]
#: Of a model now: ``missing`` and ``lacking`` are about the range: time that is to be predicted, or any that has no
#: or not all predictions.
GridState = Literal["active", "paused", "unusable", "parked", "silent", "missing", "lacking"]

#: States of cells that lack predictions.
LACKING: Final = (State.SHORT, State.ABSENT, State.MISSING, State.PARKED, State.EXPIRED)
MARKED_FROM: Final = 0.2  #: share of models that lack something in a column
_STATES: Final = len(State)
_CHUNK_ROWS: Final = 2000


class GridGroup(Report):
    """The models of a project, which stand together."""

    project: str
    first_row: int
    rows: int


class GridMark(Report):
    """A column in which many models lack something."""

    column: int
    share: float  #: of the models that something is desired of in it
    state: str  #: of most of those that lack something
    cause: str  #: of most of them; of missing slots that of then, as far as the history knows it


class Wanted(NamedTuple):
    """Which models are shown, and in which order."""

    projects: tuple[str, ...] = ()  #: names or ``*`` patterns; none: all
    q: str = ""  #: parts of names of model or project, in any order
    state: GridState | None = None
    order: GridOrder = "worst"


@dataclass(frozen=True)
class Grid:
    """All models over a range, at one moment; nothing of it changes."""

    axis: Axis
    at: datetime
    rows: Rows
    causes: Causes
    cells: Cells

    @classmethod
    def of(cls, image: Image) -> "Grid":
        """Make the cells of an image; takes tens of milliseconds for thousands of models."""
        return cls(image.axis, image.at, image.rows, image.causes, image.cells())

    @cached_property
    def scores(self) -> npt.NDArray[np.float32]:
        """How bad each model is: parked at its newest end first, then missing time, the newer the more, then the rest.

        Where the newest desired column is parked, that is 2. Missing and parked time adds up to 1, in which a column
        counts by its place: the newest most. Short, provisional, absent and expired time adds up to a thousandth.
        """
        rows, columns = self.cells.shape
        newer = np.arange(1, columns + 1, dtype=np.float32)
        newer /= max(newer.sum(), 1)
        odd = np.zeros(256, np.uint8)
        odd[[State.SHORT, State.PROVISIONAL, State.ABSENT, State.EXPIRED]] = 1
        scores = np.zeros(rows, np.float32)
        for first in range(0, rows, _CHUNK_ROWS):
            part = self.cells[first : first + _CHUNK_ROWS]
            bad = (part == State.MISSING) | (part == State.PARKED)
            rest = np.count_nonzero(odd[part], axis=1) * (0.001 / max(columns, 1))
            scores[first : first + _CHUNK_ROWS] = bad.astype(np.float32) @ newer + rest
        if columns:
            newest = columns - 1 - (self.cells[:, ::-1] != State.NOT_DESIRED).argmax(axis=1)
            scores[self.cells[np.arange(rows), newest] == State.PARKED] += 2
        return scores

    @property
    def octets(self) -> int:
        """Memory, about."""
        return self.cells.nbytes + len(self.rows) * 200

    def changed_rows(self, older: "Grid") -> Numbers | None:
        """Return the ids of models whose cells differ from an older grid; None: the grids cannot be compared."""
        if self.axis != older.axis or not np.array_equal(self.rows.ids, older.rows.ids):
            return None
        ids: Numbers = self.rows.ids[(self.cells != older.cells).any(axis=1)]
        return ids


class View:
    """A selection of the rows of a grid, in groups by project."""

    def __init__(self, grid: Grid, wanted: Wanted) -> None:
        self.grid = grid
        self.wanted = wanted
        self.rows, self.groups = _ordered(grid, _selected(grid, wanted), wanted.order)

    @property
    def cells(self) -> Cells:
        """The cells, in the order of the view."""
        return self.grid.cells[self.rows]

    @property
    def octets(self) -> int:
        """Memory without the grid, about."""
        return self.rows.nbytes + len(self.groups) * self.grid.axis.columns * _STATES * 2

    @cached_property
    def counts(self) -> npt.NDArray[np.uint16]:
        """Models by group, column and state, of shape (groups, columns, 10); more than 65535 are counted as that."""
        columns = self.grid.axis.columns
        counts = np.zeros((len(self.groups), columns, _STATES), np.uint16)
        for number, group in enumerate(self.groups):
            total = np.zeros((columns, _STATES), np.int64)
            for first in range(group.first_row, group.first_row + group.rows, _CHUNK_ROWS):
                last = min(first + _CHUNK_ROWS, group.first_row + group.rows)
                part = self.grid.cells[self.rows[first:last]]
                for state in State:
                    total[:, state] += np.count_nonzero(part == state, axis=0)
            counts[number] = np.minimum(total, np.iinfo(np.uint16).max)
        return counts

    def marks(self) -> list[GridMark]:
        """Return the columns in which more than a fifth of the models lack something, with the cause of most."""
        by_state = self.counts.sum(axis=0, dtype=np.int64)
        desired = by_state.sum(axis=1) - by_state[:, State.NOT_DESIRED] - by_state[:, State.PAUSED]
        lacking = by_state[:, list(LACKING)].sum(axis=1)
        shares = np.divide(lacking, desired, out=np.zeros(len(desired)), where=desired > 0)
        return [
            GridMark(column=column, share=round(float(shares[column]), 3), state=state.word, cause=cause)
            for column in np.flatnonzero(shares > MARKED_FROM).tolist()
            for state, cause in (self._cause(column),)
        ]

    def _cause(self, column: int) -> tuple[State, str]:
        """Return the commonest state of the lacking cells of a column, and the cause of most, else that word."""
        cells = self.grid.cells[self.rows, column]
        counted = np.zeros(len(self.grid.causes.texts), np.int64)
        most: tuple[int, State] = (0, State.MISSING)
        for state in LACKING:
            rows = self.rows[cells == state]
            most = max(most, (len(rows), state))
            counted += np.bincount(self.grid.causes.of(state, rows), minlength=len(counted))
        counted[0] = 0
        best = int(counted.argmax())
        return most[1], self.grid.causes.texts[best] if counted[best] else most[1].word

    def ids(self) -> list[int]:
        """Return the ids of models in the order of the view."""
        ids: list[int] = self.grid.rows.ids[self.rows].tolist()
        return ids

    def names(self) -> list[str]:
        """Return the names, without project, in the order of the view."""
        return [self.grid.rows.names[row] for row in self.rows]

    def scores(self) -> list[float]:
        """Return the scores in the order of the view."""
        scores: list[float] = self.grid.scores[self.rows].round(4).tolist()
        return scores


def _selected(grid: Grid, wanted: Wanted) -> Numbers:
    rows = grid.rows
    keep = np.ones(len(rows), np.bool_)
    if wanted.projects:
        known = {each: any(_matches(each, one) for one in wanted.projects) for each in set(rows.projects)}
        keep &= np.fromiter((known[project] for project in rows.projects), np.bool_, len(rows))
    if parts := wanted.q.casefold().split():
        full = (f"{project}/{name}".casefold() for project, name in zip(rows.projects, rows.names, strict=True))
        keep &= np.fromiter((all(part in name for part in parts) for name in full), np.bool_, len(rows))
    if wanted.state is not None:
        keep &= _in_state(grid, wanted.state)
    return np.flatnonzero(keep)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))


def _in_state(grid: Grid, state: GridState) -> npt.NDArray[np.bool_]:
    rows = grid.rows
    match state:
        case "active":
            return ~rows.paused & ~rows.unusable
        case "paused":
            return rows.paused
        case "unusable":
            return rows.unusable
        case "silent":
            return rows.silent
        case "parked":
            return rows.parked_since < np.iinfo(np.int64).max
        case "missing":
            return np.asarray((grid.cells == State.MISSING).any(axis=1))
        case "lacking":
            return np.asarray(np.isin(grid.cells, LACKING).any(axis=1))


def _ordered(grid: Grid, rows: Numbers, order: GridOrder) -> tuple[Numbers, Sequence[GridGroup]]:
    """Return the rows by group and within it; a grid's own order is by project and name, and stays among equals."""
    key: npt.NDArray[np.float64]
    match order:
        case "name":
            key = np.zeros(len(rows))
        case "worst":
            key = -grid.scores[rows].astype(np.float64)
        case "behind":
            key = grid.rows.covered_end[rows].astype(np.float64)
        case "parked":
            key = grid.rows.parked_since[rows].astype(np.float64)
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows.tolist()):
        places.setdefault(grid.rows.projects[row], []).append(place)
    # Of groups: the worst share of models first, not the one of most models.
    means = {project: float(key[some].mean()) for project, some in places.items()}
    groups: list[GridGroup] = []
    shown: list[Numbers] = []
    first = 0
    for project in sorted(places, key=lambda each: (means[each], each)):
        some = np.array(places[project])
        shown.append(rows[some[key[some].argsort(kind="stable")]])
        groups.append(GridGroup(project=project, first_row=first, rows=len(some)))
        first += len(some)
    return np.concatenate(shown) if shown else rows, groups
