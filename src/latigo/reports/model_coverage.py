"""One model over time: its states, the revisions that predicted it, and how late that was."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from latigo.domain.errors import Misused
from latigo.domain.model import ModelRef
from latigo.domain.names import unknown_name
from latigo.domain.windows import DAY
from latigo.postgres.database import Database
from latigo.reports.base import Report
from latigo.reports.grid import SQL, read_ledger, to_image
from latigo.reports.grid_cells import Axis, Numbers, State, equal_edges, exact_edges, paint

MOST_STRETCHES: Final = 2000
LONGEST: Final = 400 * DAY
_MICROSECOND: Final = timedelta(microseconds=1)


class CoverageStretch(Report):
    """A stretch of time of one state."""

    start: datetime
    end: datetime
    state: str
    cause: str  #: why predictions are lacking, as far as it is known


class RevisionBand(Report):
    """A stretch of time that was predicted in one revision."""

    start: datetime
    end: datetime
    revision: str


class Settled(Report):
    """When a window was settled first."""

    end: datetime  #: of the window
    late_s: float  #: from when it was due; negative: a part of it was due later


class ModelCoverage(Report):
    """A model over a range of time."""

    project: str
    model: str
    at: datetime
    start: datetime
    end: datetime
    coarse: bool  #: there were more than 2000 stretches: of all states in one of them, the worst is shown
    stretches: Sequence[CoverageStretch]
    revisions: Sequence[RevisionBand]  #: as far as receipts are kept
    lateness: Sequence[Settled]  #: by end; the newest 2000


async def read_coverage(database: Database, ref: ModelRef, start: datetime, end: datetime) -> ModelCoverage:
    """Return the states of a model over a range of time.

    Raises:
        Misused: the range is empty or too long.
        UnknownName: nothing is predicted of such a model.
    """
    if not start < end:
        raise Misused("from: should be before to")
    if end - start > LONGEST:
        raise Misused(f"from: at most {LONGEST.days} days before to")
    axis = Axis(start, end - start, 1)
    image = to_image(await read_ledger(database, axis, model=ref))
    if not len(image.rows):
        raise unknown_name("model", str(ref), [])
    settled = await database.fetch(SQL["settled"], *ref, start, end, MOST_STRETCHES)
    states = image.layers.by_state(axis.offset(end))
    edges = exact_edges(states, axis.offset(end))
    if coarse := len(edges) > MOST_STRETCHES + 1:
        edges = equal_edges(axis.offset(end), MOST_STRETCHES)
    (cells,) = paint(states, 1, edges)
    stretches = [
        CoverageStretch(
            start=start + first * _MICROSECOND,
            end=start + last * _MICROSECOND,
            state=State(code).word,
            cause=image.causes.text(State(code), 0),
        )
        for first, last, code in _runs(edges, cells)
        if code != State.NOT_DESIRED
    ]
    return ModelCoverage(
        project=ref.project,
        model=ref.name,
        at=image.at,
        start=start,
        end=end,
        coarse=coarse,
        stretches=stretches,
        revisions=_bands(settled, axis),
        lateness=_lateness(settled),
    )


def _runs(edges: Numbers, values: Any) -> Iterator[tuple[int, int, int]]:
    """Return begin, end and value of each stretch of equal values."""
    begins = np.flatnonzero(np.diff(values, prepend=-1))
    ends = [*begins[1:], len(values)]
    for first, last in zip(begins, ends, strict=True):
        yield int(edges[first]), int(edges[last]), int(values[first])


def _bands(settled: Sequence[Any], axis: Axis) -> list[RevisionBand]:
    """Return which revision wrote last, over time; nothing is said of time that no receipt is kept of."""
    if not settled:
        return []
    names = list(dict.fromkeys(row["revision"] for row in settled))
    length = axis.offset(axis.end)
    bounds = np.clip([(axis.offset(row["start"]), axis.offset(row["end"])) for row in settled], 0, length)
    edges = np.unique(bounds)
    wrote = np.zeros(len(edges) - 1, np.int32)
    for row, (first, last) in zip(settled, edges.searchsorted(bounds), strict=True):
        wrote[first:last] = names.index(row["revision"]) + 1
    return [
        RevisionBand(
            start=axis.start + first * _MICROSECOND, end=axis.start + last * _MICROSECOND, revision=names[number - 1]
        )
        for first, last, number in _runs(edges, wrote)
        if number
    ]


def _lateness(settled: Sequence[Any]) -> list[Settled]:
    first: dict[datetime, float] = {}
    for row in settled:
        first.setdefault(row["end"], (row["settled_at"] - row["due_at"]).total_seconds())
    return [Settled(end=end, late_s=round(late, 3)) for end, late in sorted(first.items())]
