"""The sink: predictions, of which those of a newer writer stay."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np

from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Written
from latigo.domain.windows import Window, to_ns
from latigo_tilstandomatic.database import NAME, Database, Options

#: Changes a row unless a newer writer was there.
_CLAIM = """
INSERT INTO writers VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET (incarnation, epoch, task_id, claim)
    = (excluded.incarnation, excluded.epoch, excluded.task_id, excluded.claim)
WHERE (excluded.incarnation, excluded.epoch, excluded.task_id, excluded.claim) >= (incarnation, epoch, task_id, claim)
"""
_WRITE = "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?)"
_READ = """
SELECT revision, time, column_group, tag, value FROM predictions
WHERE project = ? AND model = ? AND time >= ? AND time < ? ORDER BY revision, time
"""


class Store:
    """Predictions in the file of a plant."""

    fenced = True

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def downstream(self) -> str:
        return self._database.downstream

    async def ping(self, projects: Sequence[str]) -> str:  # noqa: ARG002 - one file for all of them
        await self._database.run(lambda file: file.execute("SELECT 1 FROM predictions LIMIT 1").fetchone())
        return "can be read"

    async def put_predictions(self, predictions: Predictions, fence: Fence) -> Written:
        return await self._database.run(lambda file: _write(file, predictions, fence))

    async def get_predictions(self, model: ModelRef, window: Window) -> Sequence[Predictions]:
        asked = (*model, to_ns(window.start), to_ns(window.end))
        rows = await self._database.run(lambda file: file.execute(_READ, asked).fetchall())
        by_revision: dict[str, list[tuple[int, Column, float]]] = {}
        for revision, time, group, tag, value in rows:
            by_revision.setdefault(revision, []).append((time, Column(group, tag), value))
        return [_table(model, revision, points) for revision, points in by_revision.items()]


def _write(file: sqlite3.Connection, predictions: Predictions, fence: Fence) -> Written:
    written: list[int] = []
    newer = 0
    model, revision = predictions.model, predictions.revision
    finite = np.isfinite(predictions.values)
    for row in np.flatnonzero(finite.any(axis=1)).tolist():
        time = int(predictions.times[row])
        if not file.execute(_CLAIM, (*model, time, *fence)).rowcount:
            newer += 1
            continue
        file.executemany(
            _WRITE,
            (
                (*model, time, *predictions.columns[column], revision, float(predictions.values[row, column]))
                for column in np.flatnonzero(finite[row]).tolist()
            ),
        )
        written.append(time)
    return Written(np.array(written, np.int64), newer=newer)


def _table(model: ModelRef, revision: str, points: Sequence[tuple[int, Column, float]]) -> Predictions:
    times = sorted({time for time, _, _ in points})
    columns = tuple(dict.fromkeys(column for _, column, _ in points))
    rows = {time: number for number, time in enumerate(times)}
    places = {column: number for number, column in enumerate(columns)}
    values = np.full((len(times), len(columns)), np.nan)
    for time, column, value in points:
        values[rows[time], places[column]] = value
    return Predictions(model, revision, np.array(times, np.int64), columns, values)


@asynccontextmanager
async def open_predictions(options: Options) -> AsyncIterator[Store]:
    """Open the sink; the factory that the entry point names."""
    yield Store(Database(options, f"sink/{NAME}"))
