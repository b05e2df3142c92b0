"""Common parts of both file formats: layout, chunks of readings, and series built from them."""

import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from latigo.domain.errors import TooLarge
from latigo.domain.series import Series, Times, Values
from latigo.providers.files.cells import Notation
from latigo.providers.files.repeated_hour import NearRows, RepeatedHour, Runs
from latigo.providers.files.times import TimeParser
from latigo.providers.qualities import Qualities, whose_quality
from latigo.settings import FileSensors

_READING_BYTES = 16


@dataclass(frozen=True, slots=True)
class Layout:
    """How readings are written in a file; the fields are keys of the settings."""

    layout: Literal["wide", "long"]
    time_columns: tuple[str, ...]  #: one, or that of the date and that of the time of day
    tag_column: str
    value_column: str
    quality_column: str  #: empty if there is none; in the wide layout with ``{tag}``
    any_quality: bool  #: there may be columns of qualities that are not used
    encoding: str
    separator: str
    skip_lines: int
    comment: str
    columns: tuple[str, ...]  #: of files without a header
    strict: bool
    refuse_text: bool
    times: TimeParser
    notation: Notation
    qualities: Qualities

    @classmethod
    def of(cls, settings: FileSensors) -> "Layout":
        """Return the layout that the settings describe."""
        return cls(
            layout=settings.layout,
            time_columns=settings.time_column,
            tag_column=settings.tag_column,
            value_column=settings.value_column,
            quality_column=settings.quality_column or "",
            any_quality=settings.quality_column is not None,
            encoding=settings.encoding,
            separator=settings.separator,
            skip_lines=settings.skip_lines,
            comment=settings.comment,
            columns=settings.columns,
            strict=settings.strict,
            refuse_text=settings.text == "refuse",
            times=TimeParser(ZoneInfo(settings.timezone), settings.time_format),
            notation=Notation(settings.decimal_point, settings.thousands, settings.missing),
            qualities=Qualities(settings.good),
        )

    @property
    def time_column(self) -> str:
        return self.time_columns[0]

    @property
    def is_long(self) -> bool:
        return self.layout == "long"

    def required(self, tag: str | None) -> Sequence[tuple[str, str]]:
        """Return the columns that a file must have, as key and name; ``tag`` if it has the readings of that one."""
        columns = [("time_column", name) for name in self.time_columns]
        if tag is None and self.is_long:
            columns.append(("tag_column", self.tag_column))
        if tag is not None or self.is_long:
            columns.append(("value_column", self.value_column))
        if self.quality_column and (tag is not None or self.is_long or "{tag}" not in self.quality_column):
            columns.append(("quality_column", self.quality_column))
        return columns

    def unused_quality(self, tag: str | None, columns: Iterable[str]) -> str | None:
        """Return a column that seems to have the qualities of the readings, where the settings say nothing about them.

        In files of one value a row only: in others, such a column may as well be a tag.
        """
        if self.any_quality or (tag is None and not self.is_long):
            return None
        used = {name for _, name in self.required(tag)} | {self.tag_column}
        seeming = (name for name in columns if whose_quality(name) == "")
        return next((name for name in seeming if name not in used), None)

    def seeming_quality(self, tags: AbstractSet[str]) -> str | None:
        """Return a column of the wide layout that seems to have qualities, where the settings say nothing."""
        if self.any_quality or self.is_long:
            return None
        return next((name for name in sorted(tags) if whose_quality(name) in {"", *tags}), None)

    def tags_of(self, columns: AbstractSet[str]) -> frozenset[str]:
        """Return the columns that are tags, in the wide layout: neither times nor qualities."""
        qualities = {self.quality_column.replace("{tag}", name) for name in columns}
        return frozenset(columns - {"", *self.time_columns} - qualities)

    def quality_of(self, tag: str, columns: Container[str]) -> str | None:
        """Return the column of the qualities of a tag in the wide layout, where the file has one."""
        name = self.quality_column.replace("{tag}", tag)
        return name if self.quality_column and name in columns else None


class InvalidFile(Exception):
    """A file that does not match the settings. ``key`` is the setting to check."""

    def __init__(self, message: str, key: str = "path") -> None:
        super().__init__(message)
        self.key = key


class FileChanged(Exception):
    """The file was replaced since it was indexed."""


class Stopped(Exception):
    """The read was cancelled."""


class Span(NamedTuple):
    """Part of a file that is read in one piece, with its first and last time (ns, both inclusive)."""

    first: int
    last: int
    part: Any  #: private to the file: blocks, a row group


class Chunk(NamedTuple):
    """Readings of one tag from one span, in row order."""

    tag: str
    times: Times
    values: Values


class SensorFile(Protocol):
    """One file of readings. Methods block; `refresh` runs in one thread at a time, the others in several."""

    path: Path
    tag: str | None  #: whose readings it has, where its path says so: its columns are time, value and quality

    @property
    def tags(self) -> AbstractSet[str]:
        """The tags in the file, as of the last refresh."""

    @property
    def repeated(self) -> AbstractSet[str]:
        """The names of columns that occur twice, so that it is not known which one is meant."""

    @property
    def hours(self) -> AbstractSet[RepeatedHour]:
        """The repeated hours in which the file has rows."""

    @property
    def version(self) -> object:
        """What the file was at the last refresh, to be compared by identity."""

    def near(self, hour: RepeatedHour) -> NearRows | None:
        """Return the rows near a repeated hour, None if there are none; the same object while they are the same.

        Raises:
            OSError: the file cannot be read.
            FileChanged: it was replaced since the last refresh.
        """

    def place(self, placed: Mapping[RepeatedHour, tuple[NearRows, Runs]]) -> None:
        """Take the runs of rows in repeated hours, and use the index of the last refresh from now on.

        Until then a file with such rows is read by its index of before.
        """

    def refresh(self, stop: threading.Event) -> None:
        """Update the index; cheap when nothing has changed.

        Raises:
            OSError: the file cannot be read.
            InvalidFile: it does not match the settings.
            Stopped: the read was cancelled; the next refresh continues from here.
        """

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """Return the spans that may have readings with ``start <= t < end``, in file order."""

    def read(self, span: Span, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        """Return the readings of tags in a span and window, without missing ones.

        Raises:
            FileChanged: refresh, and take the spans anew.
            Failed: a cell cannot be read; names file, line or row, and column.
        """

    def describe(self, spans: Sequence[Span]) -> str:
        """Return a description of the spans for operators."""


@dataclass(slots=True)
class SeriesBuilder:
    """Builder of series from the chunks of several files, within a budget of bytes."""

    max_bytes: int
    chunks: dict[str, list[tuple[Times, Values]]]
    size: int = field(default=0)

    @classmethod
    def of(cls, tags: Sequence[str], max_bytes: int) -> "SeriesBuilder":
        return cls(max_bytes, {tag: [] for tag in tags})

    def add(self, chunk: Chunk) -> None:
        """Add a copy of the chunk, so that the block around it can be freed.

        Raises:
            TooLarge: the readings exceed the budget.
        """
        self.size += _READING_BYTES * len(chunk.times)
        if self.size > self.max_bytes:
            raise TooLarge(f"the readings take more than {self.max_bytes} bytes")
        self.chunks[chunk.tag].append((chunk.times.copy(), chunk.values.copy()))

    def series(self) -> dict[str, Series]:
        """Return each tag's readings in time order, those of equal times in the order of files and rows."""
        return {tag: _concatenated(chunks) for tag, chunks in self.chunks.items()}


def _concatenated(chunks: list[tuple[Times, Values]]) -> Series:
    if not chunks:
        return Series.empty()
    times = np.concatenate([times for times, _ in chunks]) if len(chunks) > 1 else chunks[0][0]
    values = np.concatenate([values for _, values in chunks]) if len(chunks) > 1 else chunks[0][1]
    if len(times) > 1 and (times[1:] < times[:-1]).any():
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
    return Series(times, values)


Selection = slice | npt.NDArray[np.bool_]


def rows_between(times: Times, start: int, end: int) -> Selection:
    """Return the rows of the window: a slice, which needs no copy, if times are in order."""
    if len(times) < 2 or (times[1:] >= times[:-1]).all():
        low, high = np.searchsorted(times, (start, end))
        return slice(int(low), int(high))
    return (times >= start) & (times < end)


def chunks_of_columns(tags: Sequence[str], times: Times, columns: Sequence[Values]) -> Iterator[Chunk]:
    """Return chunks of the wide layout: one column for each tag, NaN where there is no reading."""
    for tag, values in zip(tags, columns, strict=True):
        missing = np.isnan(values)
        if not missing.any():
            yield Chunk(tag, times, values)
        elif not missing.all():
            present = ~missing
            yield Chunk(tag, times[present], values[present])


def chunks_of_rows(tags: Sequence[str], codes: npt.NDArray[np.int32], times: Times, values: Values) -> Iterator[Chunk]:
    """Return chunks of the long layout: one row for each reading; ``codes`` are indexes into ``tags``."""
    present = ~np.isnan(values)
    codes, times, values = codes[present], times[present], values[present]
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(tags) + 1))
    for code, (low, high) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        if low < high:
            rows = order[low:high]
            yield Chunk(tags[code], times[rows], values[rows])
