"""Parquet files: row-group statistics locate times; only the row groups and columns of a window are read."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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

from latigo.domain.bad_readings import Fault
from latigo.domain.errors import BadReading, Failed
from latigo.domain.series import Values
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files.cells import Mask, NotText, as_text, tags_in
from latigo.providers.files.header import require_columns
from latigo.providers.files.judging import Judge, Quality, values_by_tag
from latigo.providers.files.reading import (
    MAX_TIME,
    MIN_TIME,
    Chunk,
    FileChanged,
    InvalidFile,
    Layout,
    Span,
    Stopped,
    chunks_of_columns,
    chunks_of_rows,
    rows_between,
)
from latigo.providers.files.times import ClockState, ParsedTimes

_BATCH_ROWS = 64 * 1024  #: rows read at a time: a row group may hold millions
_FILE_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError)  #: of invalid content too
_TICKS = {"milliseconds": 10**6, "microseconds": 10**3, "nanoseconds": 1}


class Group(NamedTuple):
    """A row group with its first and last time."""

    number: int
    rows_before: int
    first: int
    last: int
    clock: ClockState  #: before the first row


@dataclass(frozen=True, slots=True)
class _Index:
    """The index of a file. Immutable and replaced as a whole, so that readers need no lock."""

    identity: tuple[int, int, int, int]
    metadata: Any
    leaves: dict[str, int]  #: columns that are not nested or repeated, and their indexes in the file
    repeated: frozenset[str]
    groups: tuple[Group, ...]
    tags: frozenset[str]


class ColumnarFile:
    """One Parquet file; never appended to, only replaced.

    Args:
        path: of the file.
        layout: how readings are written in it.
        bad: account of the readings that are skipped.
        tag: whose readings it has, where its path says so; otherwise columns or rows name their tags.
    """

    def __init__(self, path: Path, layout: Layout, bad: BadReadings, *, tag: str | None = None) -> None:
        self.path = path
        self.tag = tag
        self._layout = layout
        self._bad = bad
        self._index: _Index | None = None

    @property
    def tags(self) -> AbstractSet[str]:
        if self.tag is not None:
            return frozenset({self.tag})
        return self._index.tags if self._index else frozenset()

    @property
    def repeated(self) -> AbstractSet[str]:
        """The names of columns that occur twice, so that nobody knows which one is meant."""
        return self._index.repeated if self._index else frozenset()

    def check_header(self) -> None:
        """Read the schema.

        Raises:
            OSError: the file cannot be read.
            InvalidFile: a column is missing, or the file is not a Parquet file, or incomplete.
        """
        with self._opened() as file:
            self._leaves(file)

    def refresh(self, stop: threading.Event) -> None:
        identity = _identity(self.path)
        if self._index and self._index.identity == identity:
            return
        with self._opened() as file:
            leaves, repeated = self._leaves(file)
            groups = tuple(self._groups(file, leaves[self._layout.time_column], stop))
            tags = (
                self._tags_of_rows(file, leaves[self._layout.tag_column], stop)
                if self._layout.is_long and self.tag is None
                else frozenset(leaves) - {self._layout.time_column}
            )
            self._index = _Index(identity, file.metadata, leaves, repeated, groups, tags)

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """Return one span for each row group."""
        index = self._index
        return [
            Span(group.first, group.last, (index, group))
            for group in (index.groups if index else ())
            if group.last >= start and group.first < end
        ]

    def describe(self, spans: Sequence[Span]) -> str:
        return f"{self.path} row groups {', '.join(str(span.part[1].number) for span in spans)}"

    def read(self, span: Span, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        index, group = span.part
        with self._handle(index) as file:
            if self.tag is not None:
                yield from self._read_one(file, index, group, self.tag, start=start, end=end)
            elif self._layout.is_long:
                yield from self._read_long(file, index, group, sorted(tags), start=start, end=end)
            else:
                wanted = [name for name in index.leaves if name in tags]
                yield from self._read_wide(file, index, group, wanted, start=start, end=end)

    def _read_one(self, file: Any, index: _Index, group: Group, tag: str, *, start: int, end: int) -> Iterator[Chunk]:
        value, quality, named = self._layout.value_column, self._layout.quality_column, self._layout.tag_column
        more = [name for name in (quality, named) if name in index.leaves and name != value]
        for row, columns, parsed in self._batches(file, index, group, (value, *more)):
            judge, among = self._judge(group, row, parsed, start, end), None
            if named in more:
                among = pc.equal(pc.utf8_trim_whitespace(as_text(columns[named])), tag)
                among = among.fill_null(False).to_numpy(zero_copy_only=False)
                judge.count(~among, columns[named], named, "", Fault.ROW)
            values = self._values(judge, columns, value, tag, quality if quality in more else "", among)
            rows = rows_between(judge.times, start, end)
            yield from chunks_of_columns([tag], judge.times[rows], [values[rows]])

    def _read_wide(
        self, file: Any, index: _Index, group: Group, tags: Sequence[str], *, start: int, end: int
    ) -> Iterator[Chunk]:
        qualities = {tag: name for tag in tags if (name := self._layout.quality_of(tag, index.leaves))}
        for row, columns, parsed in self._batches(file, index, group, (*tags, *qualities.values())):
            judge = self._judge(group, row, parsed, start, end)
            rows = rows_between(judge.times, start, end)
            times = judge.times[rows]
            if len(times):
                values = [self._values(judge, columns, tag, tag, qualities.get(tag, ""))[rows] for tag in tags]
                yield from chunks_of_columns(tags, times, values)

    def _read_long(
        self, file: Any, index: _Index, group: Group, tags: Sequence[str], *, start: int, end: int
    ) -> Iterator[Chunk]:
        tag, value, quality = self._layout.tag_column, self._layout.value_column, self._layout.quality_column
        more = (quality,) if quality else ()
        for row, columns, parsed in self._batches(file, index, group, (tag, value, *more)):
            judge = self._judge(group, row, parsed, start, end)
            names = pc.utf8_trim_whitespace(as_text(columns[tag]))
            codes = pc.index_in(names, pa.array(tags, pa.string())).fill_null(-1).to_numpy(zero_copy_only=False)
            rows = (codes >= 0) & (judge.times >= start) & (judge.times < end)
            if rows.any():
                found = Quality(quality, columns[quality]) if quality else None
                cells = judge.cells(columns[value], value)
                values = values_by_tag(judge, cells, columns[value], value, tags, codes, found)
                yield from chunks_of_rows(tags, codes[rows], judge.times[rows], values[rows])

    def _judge(self, group: Group, row: int, parsed: ParsedTimes, start: int, end: int) -> Judge:
        """Return the judge of a batch whose first row has this number; count the rows without a time.

        Raises:
            BadReading: the settings are strict, and a time is invalid.
        """

        def record(rows: Any, tag: str, fault: Fault, example: Callable[[], str]) -> None:
            self._bad.record(str(self.path), (group.number, row), tag, fault, len(rows), example)

        times = parsed.times
        if not parsed.readable.all():
            unreadable = np.flatnonzero(~parsed.readable)
            names = " and ".join(map(repr, self._layout.time_columns))
            problem = f"row {row + int(unreadable[0])} (row group {group.number}): column {names} has no time"
            if self._layout.strict:
                raise BadReading(f"{self.path}, {problem}")
            record(unreadable, "", Fault.TIME, lambda: problem)
            times = np.where(parsed.readable, times, MAX_TIME)
        return Judge(self.path, self._layout, times, start, end, lambda place: f"row {row + place}", record)

    def _values(
        self, judge: Judge, columns: Mapping[str, Any], name: str, tag: str, quality: str, among: Mask | None = None
    ) -> Values:
        found = Quality(quality, columns[quality]) if quality else None
        return judge.values(judge.cells(columns[name], name), columns[name], name, tag, found, among)

    def _batches(
        self, file: Any, index: _Index, group: Group, names: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Any], ParsedTimes]]:
        """Yield batches of a row group: number of the first row, columns by name, times.

        Columns are selected by index: by name, ``a`` would select ``a.b`` as well.
        """
        ordered = sorted({*self._layout.time_columns, *names}, key=index.leaves.__getitem__)
        indexes = [index.leaves[name] for name in ordered]
        row, clock = group.rows_before, group.clock
        for batch in file.reader.iter_batches(
            _BATCH_ROWS, row_groups=[group.number], column_indices=indexes, use_threads=False
        ):
            columns = dict(zip(ordered, batch.columns, strict=True))
            parsed = self._layout.times.parse(self._joined(columns), clock)
            yield row, columns, parsed
            row, clock = row + batch.num_rows, parsed.state

    def _joined(self, columns: Mapping[str, Any]) -> Any:
        """Return times as one column: date and time of day are joined by a space."""
        parts = [columns[name] for name in self._layout.time_columns]
        return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*map(as_text, parts), " ")

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """Open the file for its metadata; raises `InvalidFile` if it is invalid."""
        try:
            with pq.ParquetFile(self.path) as file:
                yield file
        except _FILE_ERRORS as error:
            if _is_os_error(error):
                raise
            raise InvalidFile(f"{self.path} is not a Parquet file, or is incomplete: {error}") from error

    @contextmanager
    def _handle(self, index: _Index) -> Iterator[Any]:
        """Open the indexed file. A reader serves one thread; with known metadata it opens in 0.06 ms."""
        try:
            with pq.ParquetFile(self.path, metadata=index.metadata) as file:
                if _identity(self.path) != index.identity:
                    raise FileChanged
                yield file
        except _FILE_ERRORS as error:
            if _is_os_error(error):
                raise
            raise Failed(f"{self.path} is damaged, or is being replaced: {error}") from error

    def _leaves(self, file: Any) -> tuple[dict[str, int], frozenset[str]]:
        """Return the columns that can be read, with their indexes, and the names that occur twice."""
        leaves: dict[str, int] = {}
        position = 0
        for field in file.schema_arrow:
            if not pa.types.is_nested(field.type):
                leaves.setdefault(field.name, position)
            position += _leaf_count(field.type)
        repeated = frozenset(name for name, count in Counter(file.schema_arrow.names).items() if count > 1)
        require_columns(self.path, list(leaves), repeated, self._layout, self.tag)
        return {name: position for name, position in leaves.items() if name not in repeated}, repeated

    def _groups(self, file: Any, time_index: int, stop: threading.Event) -> Iterator[Group]:
        """Yield row groups with their times, from statistics where these are usable, else from the column."""
        row, clock = 0, ClockState()
        tick = self._tick(file, time_index)
        for number in range(file.metadata.num_row_groups):
            if stop.is_set():
                raise Stopped
            metadata = file.metadata.row_group(number)
            statistics = metadata.column(time_index).statistics
            if tick and _are_complete(statistics):
                yield Group(number, row, statistics.min_raw * tick, statistics.max_raw * tick, clock)
            elif metadata.num_rows:
                table = file.reader.read_row_group(number, column_indices=[time_index], use_threads=False)
                parsed = self._layout.times.parse(table.column(0), clock)
                known = parsed.times[parsed.readable]
                bounds = (int(known.min()), int(known.max())) if len(known) else (MIN_TIME, MAX_TIME)
                yield Group(number, row, *bounds, clock)
                clock = parsed.state
            row += metadata.num_rows

    def _tick(self, file: Any, time_index: int) -> int:
        """Return the unit of the column's raw values in ns; 0 if they are not instants."""
        logical = orjson.loads(file.schema.column(time_index).logical_type.to_json())
        if logical.get("Type") != "Timestamp" or not (logical.get("isAdjustedToUTC") or self._layout.times.is_utc):
            return 0
        return _TICKS.get(logical.get("timeUnit", ""), 0)

    def _tags_of_rows(self, file: Any, tag_index: int, stop: threading.Event) -> frozenset[str]:
        tags: set[str] = set()
        for batch in file.reader.iter_batches(
            _BATCH_ROWS,
            row_groups=list(range(file.metadata.num_row_groups)),
            column_indices=[tag_index],
            use_threads=False,
        ):
            if stop.is_set():
                raise Stopped
            try:
                tags |= tags_in(batch.column(0))
            except NotText as error:
                raise InvalidFile(
                    f"{self.path}: column {self._layout.tag_column!r} holds {error}", "tag_column"
                ) from error
        return frozenset(tags)


def _identity(path: Path) -> tuple[int, int, int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _are_complete(statistics: Any) -> bool:
    """Return whether the statistics of a row group have all times."""
    return bool(
        statistics is not None and statistics.has_min_max and statistics.has_null_count and not statistics.null_count
    )


def _is_os_error(error: Exception) -> bool:
    """Return whether an error is from the file system; Arrow's own, about the content, have no number."""
    return isinstance(error, OSError) and error.errno is not None


def _leaf_count(kind: Any) -> int:
    if not pa.types.is_nested(kind):
        return 1
    return sum(_leaf_count(kind.field(number).type) for number in range(kind.num_fields))
