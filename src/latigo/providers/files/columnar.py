"""Parquet files: row-group statistics locate times; only the row groups and columns of a window are read."""

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
from latigo.providers.files.judging import Judge, Quality, excerpt_of, values_by_tag
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
from latigo.providers.files.repeated_hour import (
    Evidence,
    NearRows,
    PartRows,
    Parts,
    RepeatedHour,
    Run,
    Runs,
    describe_doubt,
    runs_by_part,
)
from latigo.providers.files.times import ParsedTimes, join_times

_BATCH_ROWS = 64 * 1024  #: rows read at a time: a row group may hold millions
_FILE_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError)  #: of invalid content too
_TICKS = {"milliseconds": 10**6, "microseconds": 10**3, "nanoseconds": 1}


class Group(NamedTuple):
    """A row group with its first and last time."""

    number: int
    rows_before: int
    first: int
    last: int
    rows: int
    hours: frozenset[RepeatedHour] = frozenset()  #: to which rows belong; they may be in either run


@dataclass(frozen=True, slots=True)
class _Index:
    """The index of a file. Immutable and replaced as a whole, so that readers need no lock."""

    identity: tuple[int, int, int, int]
    metadata: Any
    leaves: dict[str, int]  #: columns that are not nested or repeated, and their indexes in the file
    repeated: frozenset[str]
    groups: tuple[Group, ...]
    tags: frozenset[str]
    hours: frozenset[RepeatedHour]
    runs: Mapping[Hashable, Mapping[RepeatedHour, Runs]] = field(default_factory=dict)  #: by the numbers of groups


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
        self._latest: _Index | None = None
        self._index: _Index | None = None  #: the one that is read by, see `SensorFile.place`
        self._evidence = Evidence()

    @property
    def tags(self) -> AbstractSet[str]:
        if self.tag is not None:
            return frozenset({self.tag})
        return self._latest.tags if self._latest else frozenset()

    @property
    def repeated(self) -> AbstractSet[str]:
        """The names of columns that occur twice, so that it is not known which one is meant."""
        return self._latest.repeated if self._latest else frozenset()

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
        if self._latest and self._latest.identity == identity:
            return
        with self._opened() as file:
            leaves, repeated = self._leaves(file)
            groups = tuple(self._groups(file, leaves, stop))
            tags = (
                self._tags_of_rows(file, leaves[self._layout.tag_column], stop)
                if self._layout.is_long and self.tag is None
                else self._layout.tags_of(leaves.keys())
            )
        hours = frozenset(hour for group in groups for hour in group.hours)
        self._latest = _Index(identity, file.metadata, leaves, repeated, groups, tags, hours)
        if not hours:
            self._index = self._latest

    @property
    def hours(self) -> AbstractSet[RepeatedHour]:
        return self._latest.hours if self._latest else frozenset()

    @property
    def version(self) -> object:
        return self._latest

    def near(self, hour: RepeatedHour) -> NearRows | None:
        if (index := self._latest) is None:
            return None
        bounds = np.array([(group.first, group.last, group.rows) for group in index.groups], np.int64).reshape(-1, 3)
        firsts, lasts, counts = bounds.T
        parts = Parts(index, firsts, lasts, counts, lambda number: index.groups[number].number)
        return self._evidence.near(hour, parts, lambda number, window: self._near(index, number, hour, window))

    def place(self, placed: Mapping[RepeatedHour, tuple[NearRows, Runs]]) -> None:
        if self._latest:
            self._index = replace(self._latest, runs=runs_by_part(placed))
            for hour, (rows, runs) in placed.items():
                self._count_doubtful(self._index, hour, rows, runs)

    def _near(self, index: _Index, number: int, hour: RepeatedHour, window: tuple[int, int]) -> PartRows:
        has_tags = self._layout.is_long and self.tag is None
        parts = []
        with self._handle(index) as file:
            names = (self._layout.tag_column,) if has_tags else ()
            for _, columns, parsed in self._unplaced(file, index, index.groups[number], names):
                tags = pc.utf8_trim_whitespace(as_text(columns[self._layout.tag_column])) if has_tags else None
                ambiguous = parsed.rows_in(hour)
                parts.append(
                    PartRows.of(parsed.times, parsed.readable, ambiguous, tags, length=hour.length, window=window)
                )
        return PartRows.joined(parts)

    def _count_doubtful(self, index: _Index, hour: RepeatedHour, rows: NearRows, runs: Runs) -> None:
        doubtful = np.flatnonzero(runs == Run.DOUBTFUL)

        def example() -> str:
            key, number = rows.part_of(int(doubtful[0]))
            group = next(group for group in index.groups if group.number == key)
            with self._handle(index) as file:
                for row, columns, parsed in self._unplaced(file, index, group, ()):
                    found = parsed.rows_in(hour)
                    if number < len(found):
                        return self._two_times(row, int(found[number]), columns)
                    number -= len(found)
            raise FileChanged

        self._bad.record(str(self.path), hour, "", Fault.TWO_TIMES, len(doubtful), example)

    def _two_times(self, row: int, place: int, columns: Mapping[str, Any]) -> str:
        time = " ".join(str(columns[name][place].as_py()) for name in self._layout.time_columns)
        return f"row {row + place}: {describe_doubt(excerpt_of(time), self._layout.times.zone)}"

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
            judge, among = self._judge(group, row, columns, parsed, start, end), None
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
            judge = self._judge(group, row, columns, parsed, start, end)
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
            judge = self._judge(group, row, columns, parsed, start, end)
            names = pc.utf8_trim_whitespace(as_text(columns[tag]))
            codes = pc.index_in(names, pa.array(tags, pa.string())).fill_null(-1).to_numpy(zero_copy_only=False)
            rows = (codes >= 0) & (judge.times >= start) & (judge.times < end)
            if rows.any():
                found = Quality(quality, columns[quality]) if quality else None
                cells = judge.cells(columns[value], value)
                values = values_by_tag(judge, cells, columns[value], value, tags, codes, found)
                yield from chunks_of_rows(tags, codes[rows], judge.times[rows], values[rows])

    def _judge(
        self, group: Group, row: int, columns: Mapping[str, Any], parsed: ParsedTimes, start: int, end: int
    ) -> Judge:
        """Return the judge of a batch whose first row has this number; count the rows without a time.

        Raises:
            BadReading: the settings are strict, and a time is invalid.
        """

        def record(rows: Any, tag: str, fault: Fault, example: Callable[[], str]) -> None:
            self._bad.record(str(self.path), (group.number, row), tag, fault, len(rows), example)

        times = parsed.times if parsed.readable.all() else np.where(parsed.readable, parsed.times, MAX_TIME)
        if self._layout.strict and len(doubtful := parsed.doubtful_between(start, end)):
            raise BadReading(f"{self.path}, {self._two_times(row, int(doubtful[0]), columns)}")
        unreadable = np.setdiff1d(np.flatnonzero(~parsed.readable), parsed.doubtful)
        if len(unreadable):
            names = " and ".join(map(repr, self._layout.time_columns))
            problem = f"row {row + int(unreadable[0])} (row group {group.number}): column {names} has no time"
            if self._layout.strict:
                raise BadReading(f"{self.path}, {problem}")
            record(unreadable, "", Fault.TIME, lambda: problem)
        return Judge(self.path, self._layout, times, start, end, lambda place: f"row {row + place}", record)

    def _values(
        self, judge: Judge, columns: Mapping[str, Any], name: str, tag: str, quality: str, among: Mask | None = None
    ) -> Values:
        found = Quality(quality, columns[quality]) if quality else None
        return judge.values(judge.cells(columns[name], name), columns[name], name, tag, found, among)

    def _batches(
        self, file: Any, index: _Index, group: Group, names: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Any], ParsedTimes]]:
        """Yield batches of a row group: number of the first row, columns by name, times."""
        runs, used = index.runs.get(group.number, {}), Counter[RepeatedHour]()
        for row, columns, parsed in self._unplaced(file, index, group, names):
            of_batch = {}
            for hour in parsed.hours:
                first, used[hour] = used[hour], used[hour] + len(parsed.rows_in(hour))
                of_batch[hour] = runs.get(hour, np.empty(0, np.int8))[first : used[hour]]
            yield row, columns, parsed.placed(of_batch)

    def _unplaced(
        self, file: Any, index: _Index, group: Group, names: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Any], ParsedTimes]]:
        """Yield batches as `_batches` does, without the runs of rows in repeated hours.

        Columns are selected by index: by name, ``a`` would select ``a.b`` as well.
        """
        ordered = sorted({*self._layout.time_columns, *names}, key=index.leaves.__getitem__)
        indexes = [index.leaves[name] for name in ordered]
        row = group.rows_before
        for batch in file.reader.iter_batches(
            _BATCH_ROWS, row_groups=[group.number], column_indices=indexes, use_threads=False
        ):
            columns = dict(zip(ordered, batch.columns, strict=True))
            times = join_times([columns[name] for name in self._layout.time_columns])
            yield row, columns, self._layout.times.parse(times)
            row += batch.num_rows

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
        for column in file.schema_arrow:
            if not pa.types.is_nested(column.type):
                leaves.setdefault(column.name, position)
            position += _leaf_count(column.type)
        repeated = frozenset(name for name, count in Counter(file.schema_arrow.names).items() if count > 1)
        require_columns(self.path, list(leaves), repeated, self._layout, self.tag)
        return {name: position for name, position in leaves.items() if name not in repeated}, repeated

    def _groups(self, file: Any, leaves: Mapping[str, int], stop: threading.Event) -> Iterator[Group]:
        """Yield row groups with their times, from statistics where these are usable, else from the column."""
        row = 0
        columns = [leaves[name] for name in self._layout.time_columns]
        tick = self._tick(file, columns[0]) if len(columns) == 1 else 0
        for number in range(file.metadata.num_row_groups):
            if stop.is_set():
                raise Stopped
            metadata = file.metadata.row_group(number)
            statistics = metadata.column(columns[0]).statistics
            if tick and _are_complete(statistics):
                first, last = statistics.min_raw * tick, statistics.max_raw * tick
                yield Group(number, row, max(first, MIN_TIME), min(last, MAX_TIME), metadata.num_rows)
            elif metadata.num_rows:
                table = file.reader.read_row_group(number, column_indices=sorted(columns), use_threads=False)
                parsed = self._layout.times.parse(join_times([table[name] for name in self._layout.time_columns]))
                firsts, lasts = parsed.times[parsed.readable], parsed.second[parsed.readable]
                bounds = (int(firsts.min()), int(lasts.max())) if len(firsts) else (MIN_TIME, MAX_TIME)
                yield Group(number, row, *bounds, metadata.num_rows, frozenset(parsed.hours))
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
