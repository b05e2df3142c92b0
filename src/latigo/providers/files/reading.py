"""What both kinds of file have in common: how they are laid out, and what is gathered from them."""

import re
import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from latigo.domain.errors import TooLarge
from latigo.domain.series import Series, Times, Values
from latigo.providers.files.times import TimeParser
from latigo.settings import FileSensors

MIN_TIME, MAX_TIME = -(2**63), 2**63 - 1  #: of a span whose times are not known
_READING_BYTES = 16
MISSING = ("", "NaN", "nan", "NAN", "-nan", "-NaN", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "None")


@dataclass(frozen=True, slots=True)
class Layout:
    """How readings stand in a file; the fields are the keys of the settings."""

    layout: Literal["wide", "long"]
    time_column: str
    tag_column: str
    value_column: str
    separator: str
    decimal_point: str
    times: TimeParser
    missing: tuple[str, ...] = MISSING  #: cells of a CSV file that hold no reading

    @classmethod
    def of(cls, settings: FileSensors) -> "Layout":
        return cls(
            settings.layout,
            settings.time_column,
            settings.tag_column,
            settings.value_column,
            settings.separator,
            settings.decimal_point,
            TimeParser(ZoneInfo(settings.timezone)),
        )

    @property
    def is_long(self) -> bool:
        return self.layout == "long"

    @property
    def number_pattern(self) -> str:
        """What is a number in a CSV file, in the syntax of RE2: what Arrow takes for one."""
        point = re.escape(self.decimal_point)
        return rf"(?i)^[+-]?((\d+{point}?\d*|{point}\d+)(e[+-]?\d+)?|inf|infinity|nan)$"

    @property
    def needed(self) -> Sequence[tuple[str, str]]:
        """The columns that a file must have: key and name."""
        columns = [("time_column", self.time_column)]
        if self.is_long:
            columns += [("tag_column", self.tag_column), ("value_column", self.value_column)]
        return columns


class BadFile(Exception):
    """A file that cannot be what the settings say. ``key`` is the setting to blame, where there is one."""

    def __init__(self, message: str, key: str = "path") -> None:
        super().__init__(message)
        self.key = key


class FileChanged(Exception):
    """A file is not the one any more that was indexed."""


class Stopped(Exception):
    """The reader was told to stop."""


class Span(NamedTuple):
    """A part of a file that is read at once, and the first and last time in it (ns, both inclusive)."""

    first: int
    last: int
    part: Any  #: the file's own: a stretch of bytes, a row group


class Piece(NamedTuple):
    """Readings of one tag out of one span, in the order of the rows."""

    tag: str
    times: Times
    values: Values


class SensorFile(Protocol):
    """One file of readings. Methods block; `refresh` is called by one thread at a time, the others by many."""

    path: Path

    @property
    def tags(self) -> AbstractSet[str]:
        """The tags it holds, as of the last refresh."""

    def refresh(self, stop: threading.Event) -> None:
        """Bring the index up to date; cheap when nothing has changed.

        Raises:
            OSError: it cannot be read.
            BadFile: it is not what the settings say.
            Stopped: told to stop; what was done is kept and gone on with next time.
        """

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """The spans that may hold readings with ``start <= t < end``, in the order of the file."""

    def read(self, span: Span, tags: AbstractSet[str], start: int, end: int) -> Iterator[Piece]:
        """The readings of these tags in this span and window, without missing ones.

        Raises:
            FileChanged: refresh and ask for the spans again.
            Failed: a cell of them cannot be read; names file, line or row, and column.
        """

    def describe(self, spans: Sequence[Span]) -> str:
        """The spans in words, for people."""


@dataclass(slots=True)
class Gathered:
    """Pieces of several files on their way to be series, within a budget of bytes."""

    max_bytes: int
    pieces: dict[str, list[tuple[Times, Values]]]
    size: int = field(default=0)

    @classmethod
    def of(cls, tags: Sequence[str], max_bytes: int) -> "Gathered":
        return cls(max_bytes, {tag: [] for tag in tags})

    def add(self, piece: Piece) -> None:
        """Keep a copy, so that what was read around it is not kept.

        Raises:
            TooLarge: that is more than the budget.
        """
        self.size += _READING_BYTES * len(piece.times)
        if self.size > self.max_bytes:
            raise TooLarge(f"the readings take more than {self.max_bytes} bytes")
        self.pieces[piece.tag].append((piece.times.copy(), piece.values.copy()))

    def series(self) -> dict[str, Series]:
        """Each tag's readings in time order; those of the same time in the order of files and rows."""
        return {tag: _joined(pieces) for tag, pieces in self.pieces.items()}


def _joined(pieces: list[tuple[Times, Values]]) -> Series:
    if not pieces:
        return Series.empty()
    times = np.concatenate([each for each, _ in pieces]) if len(pieces) > 1 else pieces[0][0]
    values = np.concatenate([each for _, each in pieces]) if len(pieces) > 1 else pieces[0][1]
    if len(times) > 1 and (times[1:] < times[:-1]).any():
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
    return Series(times, values)


Selection = slice | npt.NDArray[np.bool_]


def rows_between(times: Times, start: int, end: int) -> Selection:
    """Which rows are in the window: a slice when they are in order, which costs no copy."""
    if len(times) < 2 or (times[1:] >= times[:-1]).all():
        low, high = np.searchsorted(times, (start, end))
        return slice(int(low), int(high))
    return (times >= start) & (times < end)


def pieces_of_columns(tags: Sequence[str], times: Times, columns: Sequence[Values]) -> Iterator[Piece]:
    """The wide layout: a column a tag, NaN where there is no reading."""
    for tag, values in zip(tags, columns, strict=True):
        missing = np.isnan(values)
        if not missing.any():
            yield Piece(tag, times, values)
        elif not missing.all():
            there = ~missing
            yield Piece(tag, times[there], values[there])


def pieces_of_rows(tags: Sequence[str], codes: npt.NDArray[np.int32], times: Times, values: Values) -> Iterator[Piece]:
    """The long layout: a row a reading, ``codes`` are places in ``tags``."""
    there = ~np.isnan(values)
    codes, times, values = codes[there], times[there], values[there]
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(tags) + 1))
    for code, (low, high) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        if low < high:
            rows = order[low:high]
            yield Piece(tags[code], times[rows], values[rows])
