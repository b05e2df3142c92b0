"""What the ledger knows of all models in a range of time, and the grid of cells that comes of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.grid_causes import EXCEPTED, Causes, Read, causes_of
from latigo.reports.grid_cells import Axis, Cells, Layers, State, Stretches, decode, joined, make_cells, no_stretches

SQL = load_statements("latigo.reports", "grid.sql")
#: A transaction that settles tasks may become visible this long after the time that it records.
SETTLING: Final = timedelta(minutes=1)
_NO_TIME: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Rows:
    """The models of a grid, by project and name; arrays and sequences are by row."""

    ids: npt.NDArray[np.int64]
    projects: Sequence[str]
    names: Sequence[str]
    paused: npt.NDArray[np.bool_]
    unusable: npt.NDArray[np.bool_]
    silent: npt.NDArray[np.bool_]
    covered_end: npt.NDArray[np.int64]  #: microseconds since 1970; nothing is covered: the least
    parked_since: npt.NDArray[np.int64]  #: microseconds from the beginning of the axis; not parked: the greatest

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(slots=True)
class Memory:
    """Coverage of models in a range, kept from one reading to the next."""

    covered: dict[int, bytes] = field(default_factory=dict)
    expired: dict[int, bytes] = field(default_factory=dict)
    axis: Axis | None = None  #: that it is of; None: nothing is kept
    at: datetime | None = None

    @property
    def octets(self) -> int:
        """What is kept, about."""
        return sum(len(image) + 100 for images in (self.covered, self.expired) for image in images.values())


async def read_ledger(
    database: Database, axis: Axis, memory: Memory | None = None, model: tuple[str, str] | None = None
) -> Read:
    """Read what the ledger knows in the time of an axis.

    Args:
        database: the ledger's.
        axis: the range.
        memory: of the reading before, which is renewed. Where it is of this axis, the coverage of only those
            models is read of which tasks have been settled since.
        model: project and name of the only one that is wanted.
    """
    memory = memory if memory is not None else Memory()
    start, end = axis.start, axis.end
    async with database.snapshot() as connection:
        models = await connection.fetch(SQL["models"], start, end, *(model or (None, None)))
        one = models[0]["id"] if model and models else 0 if model else None
        ids: list[int] | None = [one] if one is not None else None
        if ids is None and memory.axis == axis and memory.at is not None:
            changed = await connection.fetch(SQL["changed"], memory.at - SETTLING)
            ids = [row["model_id"] for row in changed]
            ids += [row["id"] for row in models if row["id"] not in memory.covered]
        else:
            memory.covered.clear()
            memory.expired.clear()
        coverage = await connection.fetch(SQL["covered"], start, end, ids)
        lacking, exceptions, parked, out = [
            await connection.fetch(statement, start, end, one)
            for statement in (SQL["lacking"], SQL["exceptions"], SQL["parked"], SQL["out"])
        ]
        circuits = await connection.fetch(SQL["circuits"])
        workers = await connection.fetchrow(SQL["workers"])
        at = workers["at"]
    for id_, covered, expired in coverage:
        memory.covered[id_] = covered
        memory.expired.pop(id_, None)
        if expired is not None:
            memory.expired[id_] = expired
    memory.axis, memory.at = axis, at
    covered, expired = dict(memory.covered), dict(memory.expired)
    return Read(axis, at, models, lacking, exceptions, parked, out, circuits, workers, covered, expired)


@dataclass(frozen=True, slots=True)
class Image:
    """All models over a range: their layers, and why they lack what they lack."""

    axis: Axis
    at: datetime  #: of the ledger's clock
    rows: Rows
    layers: Layers
    causes: Causes

    def cells(self) -> Cells:
        """Return the state of each model in each column."""
        return make_cells(self.layers, self.axis)


def to_image(read: Read) -> Image:
    """Return what was read as arrays; takes tens of milliseconds for thousands of models."""
    axis, models = read.axis, read.models
    row_of = {row["id"]: number for number, row in enumerate(models)}
    parked_since = np.full(len(models), np.iinfo(np.int64).max)
    known: dict[State, list[Stretches]] = defaultdict(list)

    def add(state: State, rows: Sequence[Any], column: str = "slots") -> None:
        here = [row for row in rows if row["model_id"] in row_of]
        known[state].append(
            decode([row_of[row["model_id"]] for row in here], [row[column] for row in here], axis.start)
        )

    def add_images(state: State, images: Mapping[int, bytes]) -> None:
        here = [(row_of[id_], image) for id_, image in images.items() if id_ in row_of]
        here.sort(key=lambda pair: pair[0])
        known[state].append(decode([row for row, _ in here], [image for _, image in here], axis.start))

    add_images(State.COVERED, read.covered)
    add_images(State.EXPIRED, read.expired)
    add(State.MISSING, read.lacking)
    add(State.PARKED, read.parked)
    add(State.IN_FLIGHT, [row for row in read.out if not row["waits"]])
    for name, state in EXCEPTED.items():
        add(state, [row for row in read.exceptions if row["state"] == name])
    for row in read.parked:
        if row["model_id"] in row_of:
            number = row_of[row["model_id"]]
            parked_since[number] = min(parked_since[number], axis.offset(row["since"]))
    silent = [(number, row["silence"]) for number, row in enumerate(models) if row["silence"] is not None]
    layers = Layers(
        rows=len(models),
        desired=decode(range(len(models)), [row["desired"] for row in models], axis.start),
        silent=decode([number for number, _ in silent], [image for _, image in silent], axis.start),
        known={state: joined(parts) if parts else no_stretches() for state, parts in known.items()},
        paused=np.fromiter((row["paused"] for row in models), np.bool_, len(models)),
    )
    rows = Rows(
        ids=np.fromiter((row["id"] for row in models), np.int64, len(models)),
        projects=[row["project"] for row in models],
        names=[row["name"] for row in models],
        paused=layers.paused,
        unusable=np.fromiter((row["unusable"] for row in models), np.bool_, len(models)),
        silent=np.fromiter((row["silent"] for row in models), np.bool_, len(models)),
        covered_end=np.fromiter(
            (_NO_TIME if row["covered_end"] is None else row["covered_end"] for row in models),
            np.int64,
            len(models),
        ),
        parked_since=parked_since,
    )
    return Image(axis, read.at, rows, layers, causes_of(read, row_of))
