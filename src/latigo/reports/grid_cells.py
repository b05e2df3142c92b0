"""The states of models over time, as cells: rows are models, columns are steps of time. Pure, and numpy.

Times are int64 microseconds from the beginning of the axis. What PostgreSQL sends as ``multirange_send`` is read as one
array: a finite stretch is 29 octets, see `STRETCH`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from latigo.domain.windows import EPOCH

Cells = npt.NDArray[np.uint8]  #: shape (models, columns), of `State`
Numbers = npt.NDArray[np.int64]

MOST_CELLS: Final = 16_000_000

#: Of ``multirange_send``, which begins with the number of stretches in four octets; bounds count from the year 2000.
STRETCH: Final = np.dtype(
    [("octets", ">i4"), ("flags", "u1"), ("a", ">i4"), ("lower", ">i8"), ("b", ">i4"), ("upper", ">i8")]
)
_COUNT_OCTETS: Final = 4
_MICROSECOND: Final = timedelta(microseconds=1)
_YEAR_2000: Final = (datetime(2000, 1, 1, tzinfo=UTC) - EPOCH) // _MICROSECOND
#: Cells that are made at once, so that what is needed meanwhile stays small.
_CHUNK: Final = 2_000_000


class State(IntEnum):
    """What a cell shows; the codes are those of the API."""

    NOT_DESIRED = 0
    COVERED = 1
    SHORT = 2
    PROVISIONAL = 3
    ABSENT = 4
    IN_FLIGHT = 5
    MISSING = 6
    PARKED = 7
    EXPIRED = 8
    PAUSED = 9

    @property
    def word(self) -> str:
        """The name in answers."""
        return self.name.lower()


#: Where several states meet in a cell, the last one of these is shown.
PRECEDENCE: Final = (
    State.NOT_DESIRED,
    State.COVERED,
    State.PAUSED,
    State.EXPIRED,
    State.SHORT,
    State.PROVISIONAL,
    State.ABSENT,
    State.IN_FLIGHT,
    State.MISSING,
    State.PARKED,
)


@dataclass(frozen=True, slots=True)
class Axis:
    """Columns of equal width from ``start`` on."""

    start: datetime
    step: timedelta
    columns: int

    @property
    def end(self) -> datetime:
        """The end of the last column."""
        return self.start + self.step * self.columns

    @property
    def edges(self) -> Numbers:
        """The beginning of each column, and the end of the last one."""
        return np.arange(self.columns + 1, dtype=np.int64) * (self.step // _MICROSECOND)

    def offset(self, time: datetime) -> int:
        """Return microseconds from the beginning of the axis."""
        return (time - self.start) // _MICROSECOND


class Stretches(NamedTuple):
    """Half-open stretches of time of rows; all three of shape (n,), in order of rows. Those of a row may overlap."""

    row: Numbers
    lower: Numbers
    upper: Numbers

    def of_rows(self, first: int, last: int) -> "Stretches":
        """Return those of the rows ``first <= row < last``, counted from ``first``."""
        low, high = self.row.searchsorted((first, last))
        return Stretches(self.row[low:high] - first, self.lower[low:high], self.upper[low:high])


def no_stretches() -> Stretches:
    """Return none at all."""
    nothing = np.empty(0, np.int64)
    return Stretches(nothing, nothing, nothing)


def joined(layers: Sequence[Stretches]) -> Stretches:
    """Return the stretches of all of these, in order of rows."""
    row, lower, upper = (np.concatenate([layer[part] for layer in layers]) for part in range(3))
    order = row.argsort(kind="stable")
    return Stretches(row[order], lower[order], upper[order])


def decode(rows: Sequence[int] | Numbers, images: Sequence[bytes], start: datetime) -> Stretches:
    """Return the stretches that ``multirange_send`` has sent, in order of rows.

    Args:
        rows: the row of each image; several may be of one row.
        images: of multiranges whose bounds are finite.
        start: of the axis.

    Raises:
        ValueError: a bound is infinite, or the octets are no multirange.
    """
    if not len(images):
        return no_stretches()
    counts = np.fromiter(((len(image) - _COUNT_OCTETS) // STRETCH.itemsize for image in images), np.int64, len(images))
    octets = b"".join(image[_COUNT_OCTETS:] for image in images)
    if len(octets) != int(counts.sum()) * STRETCH.itemsize:
        raise ValueError("a stretch of time has no end")
    sent = np.frombuffer(octets, STRETCH)
    begin = (start - EPOCH) // _MICROSECOND - _YEAR_2000
    row = np.repeat(np.asarray(rows, np.int64), counts)
    lower, upper = sent["lower"].astype(np.int64) - begin, sent["upper"].astype(np.int64) - begin
    if np.all(row[:-1] <= row[1:]):
        return Stretches(row, lower, upper)
    order = row.argsort(kind="stable")
    return Stretches(row[order], lower[order], upper[order])


def gaps(desired: Stretches, done: Stretches, length: int) -> Stretches:
    """Return what is desired and not done.

    Args:
        desired: at most one stretch of each row.
        done: any number of them.
        length: of the axis, in microseconds; ``desired`` is within it.
    """
    if not len(desired.row):
        return no_stretches()
    limits = np.zeros((int(max(desired.row[-1], done.row[-1] if len(done.row) else 0)) + 1, 2), np.int64)
    limits[desired.row] = np.column_stack((desired.lower, desired.upper))
    low, high = limits[done.row].T
    lower, upper = np.maximum(done.lower, low), np.minimum(done.upper, high)
    inside = lower < upper
    # Row and time in one number, so that one sort and one running maximum serve all rows: a row's numbers begin where
    # those of the row before it end. Each row has its limits among them, as stretches without length.
    scale = length + 1
    base = desired.row * scale
    rows = np.concatenate((done.row[inside] * scale, base, base))
    begins = rows + np.concatenate((lower[inside], desired.lower, desired.upper))
    ends = rows + np.concatenate((upper[inside], desired.lower, desired.upper))
    order = begins.argsort(kind="stable")
    begins, reached = begins[order], np.maximum.accumulate(ends[order])
    gap = np.flatnonzero((begins[1:] > reached[:-1]) & (begins[1:] // scale == begins[:-1] // scale))
    row = begins[gap + 1] // scale
    return Stretches(row, reached[gap] - row * scale, begins[gap + 1] - row * scale)


def overlap(stretches: Stretches, limits: Stretches, rows: int) -> tuple[Stretches, Stretches]:
    """Return the parts of stretches inside and outside of ``limits``, which has at most one stretch of a row."""
    low, high = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    low[limits.row], high[limits.row] = limits.lower, limits.upper
    low, high = low[stretches.row], high[stretches.row]
    # Of a row without limits, both are zero, and all of it is after them.
    parts = (
        Stretches(stretches.row, np.maximum(stretches.lower, low), np.minimum(stretches.upper, high)),
        Stretches(stretches.row, stretches.lower, np.minimum(stretches.upper, low)),
        Stretches(stretches.row, np.maximum(stretches.lower, high), stretches.upper),
    )
    inside, before, after = (Stretches(*(part[each.lower < each.upper] for part in each)) for each in parts)
    return inside, joined((before, after))


@dataclass(frozen=True, slots=True)
class Layers:
    """What the ledger knows of ``rows`` models, in stretches within an axis."""

    rows: int
    desired: Stretches  #: from the beginning of what is predicted until what is due; one of a row
    silent: Stretches  #: without readings, so that nothing of it is tried; one of a row
    known: Mapping[State, Stretches]  #: what the ledger has by state; missing: stored, and lacked by a sink
    paused: npt.NDArray[np.bool_]  #: by row

    def by_state(self, length: int) -> dict[State, Stretches]:
        """Return stretches of every state but `State.NOT_DESIRED`; where several are at one time, precedence decides.

        ``length`` is that of the axis in microseconds.
        """
        found = dict(self.known)
        left = gaps(self.desired, joined(list(found.values())), length) if found else self.desired
        silent, left = overlap(left, self.silent, self.rows)
        if lacked := found.get(State.MISSING):
            left = joined((left, lacked))
        if len(silent.row):
            found[State.ABSENT] = joined((silent, found.get(State.ABSENT, no_stretches())))
        paused = self.paused[left.row]
        found[State.MISSING] = Stretches(*(part[~paused] for part in left))
        found[State.PAUSED] = Stretches(*(part[paused] for part in left))
        return found


def make_cells(layers: Layers, axis: Axis) -> Cells:
    """Return the state of every model in every column.

    Raises:
        ValueError: there are more than `MOST_CELLS`.
    """
    if layers.rows * axis.columns > MOST_CELLS:
        raise ValueError(f"a grid has at most {MOST_CELLS} cells")
    edges = axis.edges
    return paint(layers.by_state(int(edges[-1])), layers.rows, edges)


def paint(states: Mapping[State, Stretches], rows: int, edges: Numbers) -> Cells:
    """Return cells of columns between these edges: of all states that a cell has a part of, the one of precedence."""
    columns = len(edges) - 1
    cells = np.zeros((rows, columns), np.uint8)
    for state in PRECEDENCE[1:]:
        stretches = states.get(state)
        if stretches is None or not len(stretches.row):
            continue
        first, last = _columns(stretches, edges)
        concerned, place = np.unique(stretches.row, return_inverse=True)
        for begin in _chunks(len(concerned), columns):
            part = slice(*place.searchsorted(begin))
            some = concerned[begin[0] : begin[1]]
            mask = _filled(place[part] - begin[0], first[part], last[part], len(some), columns)
            shown = cells[some]
            shown[mask] = state
            cells[some] = shown
    return cells


def exact_edges(states: Mapping[State, Stretches], length: int) -> Numbers:
    """Return the edges of columns in which no state of one row changes; ``length`` is that of the axis."""
    bounds = [np.array((0, length)), *(part for each in states.values() for part in (each.lower, each.upper))]
    edges: Numbers = np.unique(np.clip(np.concatenate(bounds), 0, length))
    return edges


def equal_edges(length: int, columns: int) -> Numbers:
    """Return the edges of at most so many columns; the last one may be shorter than the others."""
    step = -(-length // columns)
    return np.minimum(np.arange(-(-length // step) + 1, dtype=np.int64) * step, length)


def _columns(stretches: Stretches, edges: Numbers) -> tuple[Numbers, Numbers]:
    """Return the first column that each stretch touches, and the one after its last."""
    length = int(edges[-1])
    lower, upper = np.clip(stretches.lower, 0, length), np.clip(stretches.upper, 0, length)
    step = int(edges[1])
    if np.all(np.diff(edges) == step):
        first, last = lower // step, -(-upper // step)
    else:
        first, last = edges.searchsorted(lower, "right") - 1, edges.searchsorted(upper, "left")
    return first, np.where(lower < upper, last, first)


def _chunks(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    size = max(_CHUNK // (columns + 1), 1)
    return ((begin, min(begin + size, rows)) for begin in range(0, rows, size))


def _filled(row: Numbers, first: Numbers, last: Numbers, rows: int, columns: int) -> npt.NDArray[np.bool_]:
    narrow = int(np.bincount(row).max(initial=0)) < np.iinfo(np.int16).max
    depth: Any = np.int16 if narrow else np.int32  # of stretches that overlap
    edge = np.zeros(rows * (columns + 1), depth)
    np.add.at(edge, row * (columns + 1) + first, depth(1))
    np.subtract.at(edge, row * (columns + 1) + last, depth(1))
    filled = np.cumsum(edge.reshape(rows, columns + 1), axis=1, dtype=depth)[:, :columns]
    return filled > 0
