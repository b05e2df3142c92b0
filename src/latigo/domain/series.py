"""Readings, frames and predictions: numpy arrays with int64 nanoseconds since the epoch as times."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from latigo.domain.model import ModelRef

Times = npt.NDArray[np.int64]  #: nanoseconds since the epoch, UTC
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The raw readings of one tag, in time order; times may repeat, values may be NaN.

    ``times`` has shape (n,), int64 ns; ``values`` has shape (n,), float64.
    """

    times: Times
    values: Values

    @property
    def nbytes(self) -> int:
        """Memory of the two arrays, in bytes."""
        return self.times.nbytes + self.values.nbytes

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def empty(cls) -> "Series":
        """Return a series without readings."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float64))


class Point(NamedTuple):
    """One reading."""

    time: int  #: ns since the epoch
    value: float


Readings = Mapping[str, Series]  #: by tag name


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A table: ``values`` has shape (rows, columns); ``times`` are the labels of the rows, distinct and ascending."""

    times: Times
    columns: tuple[str, ...]
    values: Values

    def __len__(self) -> int:
        return len(self.times)


class Column(NamedTuple):
    """A column of predictions: ``group`` such as ``model-output``; ``tag`` is empty for whole-model columns."""

    group: str
    tag: str


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """The answer of a model: ``values`` has shape (rows, columns), not finite where there is nothing to write.

    Without ``start``, ``end`` and ``model-input``. A point is named by (project, model, column, time).
    """

    model: ModelRef
    revision: str
    times: Times
    columns: tuple[Column, ...]
    values: Values

    def __len__(self) -> int:
        return len(self.times)

    @property
    def finite_times(self) -> Times:
        """The labels of the rows with at least one finite value."""
        return self.times[np.isfinite(self.values).any(axis=1)]

    def between(self, start: int, end: int) -> "Predictions":
        """Return the rows with ``start <= time < end`` (ns)."""
        low, high = np.searchsorted(self.times, (start, end))
        if low == 0 and high == len(self.times):
            return self
        return Predictions(self.model, self.revision, self.times[low:high], self.columns, self.values[low:high])


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """The rows of a prediction that a sink holds after a write, each with at least one finite value.

    ``times`` are their labels (ns), distinct and ascending. Rows that the sink was given and did not keep are not among
    them: those without a finite value, and those that it dropped or refused.
    """

    times: Times
    newer: int = 0  #: rows that it refused because a newer writer was there, see `latigo.domain.fence`

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def nothing(cls) -> "Written":
        """Return the result of a write that left nothing in the sink."""
        return cls(np.empty(0, np.int64))
