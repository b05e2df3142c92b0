"""Frames as Gordo's server sees them: labels of rows, names of columns, values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from latigo.domain.series import Values
from latigo.domain.windows import from_ns
from latigo.sandbox.gordo.body import Refused, message
from latigo.sandbox.gordo.model import ValuesRefused


@dataclass(frozen=True, slots=True)
class Index:
    """The labels of rows: times (ns since the epoch, UTC) or row numbers.

    ``offset`` is that of the times as they were written: minutes from UTC, or None without. ``stored`` is false for
    plain row numbers, which are no column of a parquet response.
    """

    labels: npt.NDArray[np.int64]
    timed: bool
    offset: int | None = 0
    name: str | None = None
    stored: bool = True

    def __len__(self) -> int:
        return len(self.labels)

    def last(self, rows: int) -> "Index":
        """Return the labels of the last rows."""
        return Index(self.labels[len(self.labels) - rows :], self.timed, self.offset, self.name, self.stored)

    def shifted(self, by: timedelta) -> "Index":
        """Return the times, shifted."""
        return Index(self.labels + by // timedelta(microseconds=1) * 1000, self.timed, self.offset)

    def texts(self, separator: str = "T") -> list[str]:
        """Return times in their own offset, or row numbers, as text: with ``T`` for values, a space for keys."""
        if not self.timed:
            return [str(label) for label in self.labels.tolist()]
        if self.offset == 0 and not (self.labels % 1_000_000_000).any():
            seconds = np.datetime_as_string(self.labels.view("datetime64[ns]"), unit="s").tolist()
            return [f"{text.replace('T', separator)}+00:00" for text in seconds]
        shift = timedelta(minutes=self.offset or 0)
        zone = "" if self.offset is None else _offset_text(self.offset)
        local = [(from_ns(label) + shift).replace(tzinfo=None) for label in self.labels.tolist()]
        if separator == " " and self.offset is None and all(time == _midnight(time) for time in local):
            return [f"{time:%Y-%m-%d}" for time in local]
        return [time.isoformat(separator) + zone for time in local]

    @property
    def arrow_type(self) -> pa.DataType:
        """Type of its column in a parquet response."""
        if not self.timed:
            return pa.int64()
        return pa.timestamp("ns", tz=None if self.offset is None else self.zone)

    @property
    def zone(self) -> str:
        """Name of its time zone."""
        return _offset_text(self.offset) if self.offset else "UTC"


def _midnight(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def _offset_text(minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


@dataclass(frozen=True, slots=True)
class Table:
    """One frame of a request. ``text`` is the first cell that is not a number, which every model refuses."""

    index: Index
    columns: tuple[str, ...]
    values: Values
    counted_columns: bool = False
    text: str | None = None

    def checked(self, expected: Sequence[str]) -> "Table":
        """Return the expected columns in the expected order: by name if all exist, else by position.

        Raises:
            Refused: 400, the number of columns is wrong as well.
        """
        if self.columns == tuple(expected):
            return self
        if not set(expected) - set(self.columns):
            places = {column: place for place, column in enumerate(self.columns)}
            wanted = [places[column] for column in expected]
            return Table(self.index, tuple(expected), self.values[:, wanted], text=self.text)
        if len(expected) == len(self.columns):
            return Table(self.index, tuple(expected), self.values, text=self.text)
        raise Refused(
            message(
                400,
                f"Unexpected features: was expecting {list(expected)} length of {len(expected)}, "
                f"but got {self._columns_text()} length of {len(self.columns)}",
            )
        )

    def _columns_text(self) -> str:
        if self.counted_columns:
            return f"RangeIndex(start=0, stop={len(self.columns)}, step=1)"
        return f"Index({list(self.columns)}, dtype='object')"

    def numbers(self) -> Values:
        """Return the values.

        Raises:
            ValuesRefused: one of them is text.
        """
        if self.text is not None:
            raise ValuesRefused(f"could not convert string to float: {self.text!r}")
        return self.values
