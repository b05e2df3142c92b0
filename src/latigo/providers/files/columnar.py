"""Parquet files: row-group statistics say where which times stand; only those groups and columns are read."""

import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from latigo.domain.errors import Failed
from latigo.domain.series import Values
from latigo.providers.files.reading import (
    MAX_TIME,
    MIN_TIME,
    BadFile,
    FileChanged,
    Layout,
    Piece,
    Span,
    Stopped,
    pieces_of_columns,
    pieces_of_rows,
    rows_between,
)
from latigo.providers.files.times import ClockState, ParsedTimes

_ROWS_AT_ONCE = 64 * 1024  #: of a row group, so that a group of a million rows does not take hundreds of megabytes
_DAMAGE = (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError)  #: what Arrow makes of it
_TICKS = {"milliseconds": 10**6, "microseconds": 10**3, "nanoseconds": 1}


class Group(NamedTuple):
    """A row group, and the first and last time in it."""

    number: int
    rows_before: int
    first: int
    last: int
    clock: ClockState  #: before the first row


@dataclass(frozen=True, slots=True)
class _Index:
    """What is known of a file. Never changed, only replaced, so that readers need no lock."""

    identity: tuple[int, int, int, int]
    metadata: Any
    leaves: dict[str, int]  #: columns that are not nested, and their place among the columns of the file
    groups: tuple[Group, ...]
    tags: frozenset[str]


class ColumnarFile:
    """One Parquet file; written once, or replaced as a whole."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path = path
        self._layout = layout
        self._index: _Index | None = None

    @property
    def tags(self) -> AbstractSet[str]:
        return self._index.tags if self._index else frozenset()

    def check_header(self) -> None:
        """Read the schema alone.

        Raises:
            OSError: it cannot be read.
            BadFile: a column is missing, or this is no Parquet file, or not one that was written to its end.
        """
        with self._opened() as file:
            self._leaves(file)

    def refresh(self, stop: threading.Event) -> None:
        identity = _identity(self.path)
        if self._index and self._index.identity == identity:
            return
        with self._opened() as file:
            leaves = self._leaves(file)
            groups = tuple(self._groups(file, leaves[self._layout.time_column], stop))
            tags = (
                self._tags_of_rows(file, leaves[self._layout.tag_column], stop)
                if self._layout.is_long
                else frozenset(leaves) - {self._layout.time_column}
            )
            self._index = _Index(identity, file.metadata, leaves, groups, tags)

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """One span a row group."""
        index = self._index
        return [
            Span(group.first, group.last, (index, group))
            for group in (index.groups if index else ())
            if group.last >= start and group.first < end
        ]

    def describe(self, spans: Sequence[Span]) -> str:
        return f"{self.path} row groups {', '.join(str(span.part[1].number) for span in spans)}"

    def read(self, span: Span, tags: AbstractSet[str], start: int, end: int) -> Iterator[Piece]:
        index, group = span.part
        with self._handle(index) as file:
            if self._layout.is_long:
                yield from self._read_long(file, index, group, sorted(tags), start=start, end=end)
            else:
                wanted = [name for name in index.leaves if name in tags]
                yield from self._read_wide(file, index, group, wanted, start=start, end=end)

    def _read_wide(
        self, file: Any, index: _Index, group: Group, tags: Sequence[str], *, start: int, end: int
    ) -> Iterator[Piece]:
        for row, columns, parsed in self._batches(file, index, group, (self._layout.time_column, *tags)):
            self._refuse_unreadable(group, row, parsed)
            rows = rows_between(parsed.times, start, end)
            times = parsed.times[rows]
            if len(times):
                yield from pieces_of_columns(tags, times, [self._numbers(columns[tag], rows, tag) for tag in tags])

    def _read_long(
        self, file: Any, index: _Index, group: Group, tags: Sequence[str], *, start: int, end: int
    ) -> Iterator[Piece]:
        time, tag, value = self._layout.time_column, self._layout.tag_column, self._layout.value_column
        for row, columns, parsed in self._batches(file, index, group, (time, tag, value)):
            self._refuse_unreadable(group, row, parsed)
            names = columns[tag].cast(pa.string())
            codes = pc.index_in(names, pa.array(tags, pa.string())).fill_null(-1).to_numpy(zero_copy_only=False)
            mine = (codes >= 0) & (parsed.times >= start) & (parsed.times < end)
            if mine.any():
                values = self._numbers(columns[value], mine, value)
                yield from pieces_of_rows(tags, codes[mine], parsed.times[mine], values)

    def _batches(
        self, file: Any, index: _Index, group: Group, names: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Any], ParsedTimes]]:
        """Pages of a row group: number of the first row, columns by name, times.

        Columns are asked for by place: by name, ``a`` would bring ``a.b`` along.
        """
        ordered = sorted(set(names), key=index.leaves.__getitem__)
        places = [index.leaves[name] for name in ordered]
        row, clock = group.rows_before, group.clock
        for batch in file.reader.iter_batches(
            _ROWS_AT_ONCE, row_groups=[group.number], column_indices=places, use_threads=False
        ):
            columns = dict(zip(ordered, batch.columns, strict=True))
            parsed = self._layout.times.parse(columns[self._layout.time_column], clock)
            yield row, columns, parsed
            row, clock = row + batch.num_rows, parsed.state

    def _refuse_unreadable(self, group: Group, row: int, parsed: ParsedTimes) -> None:
        if not parsed.readable.all():
            wrong = row + int(np.argmin(parsed.readable))
            column = self._layout.time_column
            raise Failed(f"{self.path}, row {wrong} (row group {group.number}): no time in column {column!r}")

    def _numbers(self, column: Any, rows: Any, name: str) -> Values:
        chosen = column[rows.start : rows.stop] if isinstance(rows, slice) else column.filter(pa.array(rows))
        if pa.types.is_dictionary(chosen.type):
            chosen = chosen.dictionary_decode()
        try:
            numbers = chosen if chosen.type == pa.float64() else chosen.cast(pa.float64(), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise Failed(f"{self.path}: column {name!r} holds something that is no number: {error}") from error
        values: Values = numbers.to_numpy(zero_copy_only=False)  # nulls become NaN
        return values

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """To look at what it says of itself; what cannot be understood of that is `BadFile`."""
        try:
            with pq.ParquetFile(self.path) as file:
                yield file
        except _DAMAGE as error:
            if _is_of_the_system(error):
                raise
            raise BadFile(f"{self.path} is no Parquet file, or not written to its end: {error}") from error

    @contextmanager
    def _handle(self, index: _Index) -> Iterator[Any]:
        """The file that was indexed. One reader serves one thread, and with known metadata it opens in 0.06 ms."""
        try:
            with pq.ParquetFile(self.path, metadata=index.metadata) as file:
                if _identity(self.path) != index.identity:
                    raise FileChanged
                yield file
        except _DAMAGE as error:
            if _is_of_the_system(error):
                raise
            raise Failed(f"{self.path} is damaged, or is being written anew: {error}") from error

    def _leaves(self, file: Any) -> dict[str, int]:
        leaves: dict[str, int] = {}
        place = 0
        for field in file.schema_arrow:
            if not pa.types.is_nested(field.type):
                if field.name in leaves:
                    raise BadFile(f"{self.path} has two columns {field.name!r}")
                leaves[field.name] = place
            place += _leaf_count(field.type)
        for key, name in self._layout.needed:
            if name not in leaves:
                raise BadFile(f"{self.path} has no column {name!r}; it has {', '.join(map(repr, leaves))}", key)
        return leaves

    def _groups(self, file: Any, place: int, stop: threading.Event) -> Iterator[Group]:
        """Times of the groups from their statistics; where there are none, or they say nothing, from the column."""
        row, clock = 0, ClockState()
        tick = self._tick(file, place)
        for number in range(file.metadata.num_row_groups):
            if stop.is_set():
                raise Stopped
            described = file.metadata.row_group(number)
            found = described.column(place).statistics
            if tick and found is not None and found.has_min_max and found.has_null_count and not found.null_count:
                yield Group(number, row, found.min_raw * tick, found.max_raw * tick, clock)
            elif described.num_rows:
                table = file.reader.read_row_group(number, column_indices=[place], use_threads=False)
                parsed = self._layout.times.parse(table.column(0), clock)
                known = parsed.times[parsed.readable]
                bounds = (int(known.min()), int(known.max())) if len(known) else (MIN_TIME, MAX_TIME)
                yield Group(number, row, *bounds, clock)
                clock = parsed.state
            row += described.num_rows

    def _tick(self, file: Any, place: int) -> int:
        """Nanoseconds to one of the column's raw values, when these are instants; else 0."""
        logical = orjson.loads(file.schema.column(place).logical_type.to_json())
        if logical.get("Type") != "Timestamp" or not (logical.get("isAdjustedToUTC") or self._layout.times.is_utc):
            return 0
        return _TICKS.get(logical.get("timeUnit", ""), 0)

    def _tags_of_rows(self, file: Any, place: int, stop: threading.Event) -> frozenset[str]:
        tags: set[str] = set()
        for batch in file.reader.iter_batches(
            _ROWS_AT_ONCE,
            row_groups=list(range(file.metadata.num_row_groups)),
            column_indices=[place],
            use_threads=False,
        ):
            if stop.is_set():
                raise Stopped
            tags.update(pc.unique(batch.column(0)).cast(pa.string()).drop_null().to_pylist())
        return frozenset(tags)


def _identity(path: Path) -> tuple[int, int, int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _is_of_the_system(error: Exception) -> bool:
    """Whether an error is the file system's; those of Arrow's own, of what stands in the file, have no number."""
    return isinstance(error, OSError) and error.errno is not None


def _leaf_count(kind: Any) -> int:
    if not pa.types.is_nested(kind):
        return 1
    return sum(_leaf_count(kind.field(number).type) for number in range(kind.num_fields))
