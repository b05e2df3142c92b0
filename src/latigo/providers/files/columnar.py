"""Parquet files: row-group statistics locate times; only the row groups and columns of a window are read."""

import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
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
from latigo.providers.bad_readings import BadReadings, Example
from latigo.providers.files.cells import Mask, NotText, as_text, tags_in
from latigo.providers.files.header import require_columns
from latigo.providers.files.judging import Judge, Quality, describe_no_time, excerpt_of, values_by_tag
from latigo.providers.files.ranges import MAX_TIME, MIN_TIME, Range, Ranges, ranges_of, unknown
from latigo.providers.files.reading import (
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
_LONG = 400 * 24 * 3600 * 10**9  #: ns between the times of a row group, from where one of them may be wild
_TICKS = {"milliseconds": 10**6, "microseconds": 10**3, "nanoseconds": 1}


class Group(NamedTuple):
    """A row group with its times."""

    number: int
    rows_before: int
    rows: int
    ranges: Sequence[Range]  #: of the times
    hours: frozenset[RepeatedHour] = frozenset()  #: to which rows belong; they may be in either run


@dataclass(frozen=True, slots=True)
class _Index:
    """The index of a file. Immutable and replaced as a whole, so that readers need no lock."""

    identity: tuple[int, int, int, int]
    metadata: Any
    leaves: dict[str, int]  #: columns that are not nested or repeated, and their indexes in the file
    repeated: frozenset[str]
    groups: tuple[Group, ...]
    ranges: Ranges  #: of the groups
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

    def check(self, stop: threading.Event) -> None:
        """Read the schema, and times until one can be read.

        Raises:
            OSError: the file cannot be read.
            InvalidFile: a column is missing, no row has a time, or the file is not a Parquet file, or incomplete.
            Stopped: the read was cancelled.
        """
        with self._opened() as file:
            self._index_groups(file, self._leaves(file)[0], stop, until_time=True)

    def refresh(self, stop: threading.Event) -> None:
        identity = _identity(self.path)
        if self._latest and self._latest.identity == identity:
            return
        with self._opened() as file:
            leaves, repeated = self._leaves(file)
            groups = self._index_groups(file, leaves, stop)
            tags = (
                self._tags_of_rows(file, leaves[self._layout.tag_column], stop)
                if self._layout.is_long and self.tag is None
                else self._layout.tags_of(leaves.keys())
            )
        hours = frozenset(hour for group in groups for hour in group.hours)
        ranges = Ranges.of(group.ranges for group in groups)
        self._latest = _Index(identity, file.metadata, leaves, repeated, groups, ranges, tags, hours)
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
        ranges = index.ranges

        def group_of(number: int) -> Group:
            return index.groups[int(ranges.owners[number])]

        parts = Parts(index, ranges.firsts, ranges.lasts, ranges.counts, lambda number: group_of(number).number)
        return self._evidence.near(
            hour, parts, lambda number, window: self._near(index, group_of(number), hour, window)
        )

    def place(self, placed: Mapping[RepeatedHour, tuple[NearRows, Runs]]) -> None:
        if self._latest:
            self._index = replace(self._latest, runs=runs_by_part(placed))
            for hour, (rows, runs) in placed.items():
                self._count_doubtful(self._index, hour, rows, runs)

    def _near(self, index: _Index, group: Group, hour: RepeatedHour, window: tuple[int, int]) -> PartRows:
        has_tags = self._layout.is_long and self.tag is None
        parts = []
        with self._handle(index) as file:
            names = (self._layout.tag_column,) if has_tags else ()
            for _, columns, parsed in self._unplaced(file, index.leaves, group, names):
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
                for row, columns, parsed in self._unplaced(file, index.leaves, group, ()):
                    found = parsed.rows_in(hour)
                    if number < len(found):
                        return self._two_times(row, int(found[number]), columns)
                    number -= len(found)
            raise FileChanged

        self._bad.record(str(self.path), hour, "", Fault.TWO_TIMES, len(doubtful), example)

    def _two_times(self, row: int, place: int, columns: Mapping[str, Any]) -> str:
        time = excerpt_of(self._time_cell(columns, place))
        return f"row {row + place}: {describe_doubt(time, self._layout.times.zone)}"

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """Return one span for each row group."""
        index = self._index
        if index is None:
            return []
        found = index.ranges.within(start, end)
        return [Span(first, last, (index, index.groups[number])) for number, (first, last) in found.items()]

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

        def record(rows: Any, tag: str, fault: Fault, example: Example) -> None:
            self._record(group, row, rows, tag, fault, example)

        times = parsed.times if parsed.readable.all() else np.where(parsed.readable, parsed.times, MAX_TIME)
        if self._layout.strict and len(doubtful := parsed.doubtful_between(start, end)):
            raise BadReading(f"{self.path}, {self._two_times(row, int(doubtful[0]), columns)}")
        unreadable = np.setdiff1d(np.flatnonzero(~parsed.readable), parsed.doubtful)
        if len(unreadable):
            problem = self._no_time(group, row, unreadable)
            if self._layout.strict:
                raise BadReading(f"{self.path}, {problem}")
            record(unreadable, "", Fault.TIME, problem)
        return Judge(self.path, self._layout, times, start, end, lambda place: f"row {row + place}", record)

    def _record(self, group: Group, row: int, rows: Any, tag: str, fault: Fault, example: Example) -> None:
        """Count rows of the batch that begins with a row."""
        self._bad.record(str(self.path), (group.number, row), tag, fault, len(rows), example)

    def _no_time(self, group: Group, row: int, unreadable: Any) -> str:
        names = " and ".join(map(repr, self._layout.time_columns))
        return f"row {row + int(unreadable[0])} (row group {group.number}): column {names} has no time"

    def _time_cell(self, columns: Mapping[str, Any], place: int) -> str:
        return " ".join(_cell(columns[name][place]) for name in self._layout.time_columns)

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
        for row, columns, parsed in self._unplaced(file, index.leaves, group, names):
            of_batch = {}
            for hour in parsed.hours:
                first, used[hour] = used[hour], used[hour] + len(parsed.rows_in(hour))
                of_batch[hour] = runs.get(hour, np.empty(0, np.int8))[first : used[hour]]
            yield row, columns, parsed.placed(of_batch)

    def _unplaced(
        self, file: Any, leaves: Mapping[str, int], group: Group, names: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Any], ParsedTimes]]:
        """Yield batches as `_batches` does, without the runs of rows in repeated hours.

        Columns are selected by index: by name, ``a`` would select ``a.b`` as well.
        """
        ordered = sorted({*self._layout.time_columns, *names}, key=leaves.__getitem__)
        indexes = [leaves[name] for name in ordered]
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

    def _index_groups(
        self, file: Any, leaves: Mapping[str, int], stop: threading.Event, *, until_time: bool = False
    ) -> tuple[Group, ...]:
        """Return row groups with their times, from statistics where these can be relied on, else from the column.

        Args:
            file: to read.
            leaves: its columns.
            stop: cancels it.
            until_time: end with the first group that has a time.

        Raises:
            InvalidFile: no row has a time.
            Stopped: it was cancelled.
        """
        columns = [leaves[name] for name in self._layout.time_columns]
        bounds = self._bounds(file, columns)
        groups: list[Group] = []
        example, row = "", 0
        for number, rows in enumerate(file.metadata.row_group(each).num_rows for each in range(len(bounds))):
            if stop.is_set():
                raise Stopped
            if known := bounds[number]:
                groups.append(Group(number, row, rows, (Range(*known, rows),)))
            elif rows:
                group, unreadable = self._group(file, leaves, number, row, stop)
                groups.append(group)
                example = example or unreadable
            row += rows
            if until_time and _has_time(groups[-1:]):
                break
        if example and not _has_time(groups):
            raise InvalidFile(describe_no_time(self.path, example, self._layout), "time_format")
        return tuple(groups)

    def _bounds(self, file: Any, columns: Sequence[int]) -> list[tuple[int, int] | None]:
        """Return first and last time of each row group by its statistics; None where these cannot be relied on.

        That is so where one wild time may stretch them: a group that reaches over others, or over years.
        """
        tick = self._tick(file, columns[0]) if len(columns) == 1 else 0
        found: list[tuple[int, int] | None] = []
        for number in range(file.metadata.num_row_groups):
            statistics = file.metadata.row_group(number).column(columns[0]).statistics if tick else None
            if statistics is not None and _are_complete(statistics):
                found.append((statistics.min_raw * tick, statistics.max_raw * tick))
            else:
                found.append(None)
        firsts = sorted(first for first, _ in filter(None, found))
        return [
            each
            if each
            and MIN_TIME <= each[0] <= each[1] <= MAX_TIME
            and each[1] - each[0] <= _LONG
            and bisect_left(firsts, each[1]) <= bisect_right(firsts, each[0])
            else None
            for each in found
        ]

    def _group(
        self, file: Any, leaves: Mapping[str, int], number: int, row: int, stop: threading.Event
    ) -> tuple[Group, str]:
        """Read the times of a row group; count the rows without one.

        Returns:
            the group, and an example of a time that cannot be read; empty if all can.
        """
        group = Group(number, row, file.metadata.row_group(number).num_rows, ())
        firsts, lasts, hours, example = [], [], set(), ""
        for first, columns, parsed in self._unplaced(file, leaves, group, ()):
            if stop.is_set():
                raise Stopped
            firsts.append(parsed.times[parsed.readable])
            lasts.append(parsed.second[parsed.readable])
            hours |= set(parsed.hours)
            if len(unreadable := np.flatnonzero(~parsed.readable)):
                example = example or self._time_cell(columns, int(unreadable[0]))
                self._record(group, first, unreadable, "", Fault.TIME, self._no_time(group, first, unreadable))
        ranges = ranges_of(np.concatenate(firsts), np.concatenate(lasts))
        if not ranges and self._layout.strict:
            ranges = unknown(group.rows)  # they may belong to any window
        return group._replace(ranges=ranges, hours=frozenset(hours)), example

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


def _has_time(groups: Sequence[Group]) -> bool:
    return any(group.ranges not in {(), unknown(group.rows)} for group in groups)


def _cell(scalar: Any) -> str:
    try:
        return str(scalar.as_py())
    except (ValueError, OverflowError):  # beyond the years of Python
        return str(scalar.value)


def _are_complete(statistics: Any) -> bool:
    """Return whether the statistics of a row group have all times."""
    return bool(statistics.has_min_max and statistics.has_null_count and not statistics.null_count)


def _is_os_error(error: Exception) -> bool:
    """Return whether an error is from the file system; Arrow's own, about the content, have no number."""
    return isinstance(error, OSError) and error.errno is not None


def _leaf_count(kind: Any) -> int:
    if not pa.types.is_nested(kind):
        return 1
    return sum(_leaf_count(kind.field(number).type) for number in range(kind.num_fields))
