"""Predictions in a dict."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latigo.domain.circuits import System, circuit_name
from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Written
from latigo.domain.windows import Window, to_ns


class StoredPoint(NamedTuple):
    """Value and revision that were written last for a point."""

    revision: str
    value: float


class MemoryPredictions:
    """Points in a dict: writing the same point twice leaves one."""

    fenced = True

    def __init__(self) -> None:
        self.points: dict[ModelRef, dict[tuple[int, Column], StoredPoint]] = {}
        self._fences: dict[tuple[ModelRef, int], Fence] = {}  #: by model and time

    @property
    def downstream(self) -> str:
        return circuit_name(System.SINK, "memory")

    async def ping(self, projects: Sequence[str]) -> str:  # noqa: ARG002 - the protocol's
        return "can be read"

    async def put_predictions(self, predictions: Predictions, fence: Fence) -> Written:
        model, times = predictions.model, predictions.times
        points = self.points.setdefault(model, {})
        kept = [not self.fenced or self._fences.get((model, time), fence) <= fence for time in times.tolist()]
        finite = np.isfinite(predictions.values)
        newer = finite.any(axis=1) & ~np.array(kept, bool)
        finite[newer] = False
        for row, column in np.argwhere(finite).tolist():
            time = int(times[row])
            points[time, predictions.columns[column]] = StoredPoint(
                predictions.revision, float(predictions.values[row, column])
            )
            self._fences[model, time] = fence
        return Written(np.unique(times[finite.any(axis=1)]), newer=len(np.unique(times[newer])))

    async def get_predictions(self, model: ModelRef, window: Window) -> Sequence[Predictions]:
        start, end = to_ns(window.start), to_ns(window.end)
        by_revision: dict[str, dict[tuple[int, Column], float]] = {}
        for (time, column), point in self.points.get(model, {}).items():
            if start <= time < end:
                by_revision.setdefault(point.revision, {})[time, column] = point.value
        return [_table(model, revision, points) for revision, points in sorted(by_revision.items())]


def _table(model: ModelRef, revision: str, points: dict[tuple[int, Column], float]) -> Predictions:
    times = sorted({time for time, _ in points})
    columns = tuple(dict.fromkeys(column for _, column in points))
    rows = {time: number for number, time in enumerate(times)}
    places = {column: number for number, column in enumerate(columns)}
    values = np.full((len(times), len(columns)), np.nan)
    for (time, column), value in points.items():
        values[rows[time], places[column]] = value
    return Predictions(model, revision, np.array(times, np.int64), columns, values)
