"""CSV files: one streaming pass makes an index of where which times stand, then only those bytes are read."""

import csv
import io
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from latigo.domain.errors import Failed
from latigo.domain.series import Times, Values
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

_SMALLEST_BLOCK = 64 * 1024
_MOST_BLOCKS = 16 * 1024  #: of one file, more or less: larger files have larger blocks
_LARGEST_READ = 1024 * 1024  #: neighbouring blocks are read together up to this
_LONGEST_LINE = 4 * 1024 * 1024
_FINGERPRINT = 64  #: bytes before the end of what is indexed, to tell a file that grew from one written anew
_SETTLED_SECONDS = 10.0  #: a last line without a line end counts once nobody has touched the file for this long
_MISSING = ("", "NaN", "nan", "NAN", "-nan", "-NaN", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "None")
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity)", re.ASCII | re.IGNORECASE)


class Block(NamedTuple):
    """Whole lines of a file, and the first and last time in them."""

    offset: int
    size: int
    line: int  #: number of the first line, from 1
    lines: int
    first: int
    last: int
    clock: ClockState  #: before the first row


class _Identity(NamedTuple):
    """Which file it was, and how far it had been written."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, found: os.stat_result) -> "_Identity":
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """What is known of a file. Never changed, only replaced, so that readers need no lock."""

    identity: _Identity
    header: bytes
    columns: tuple[str, ...]
    blocks: tuple[Block, ...] = ()
    firsts: Times = field(default_factory=lambda: np.empty(0, np.int64))  #: of the blocks
    lasts: Times = field(default_factory=lambda: np.empty(0, np.int64))
    tags: frozenset[str] = frozenset()
    clock: ClockState = field(default_factory=ClockState)  #: after the last whole block
    fingerprint: bytes = b""
    finished: bool = False  #: all that was there has been seen; a pass that was stopped goes on where it was
    tail: bool = False  #: a last line without its end was left for later

    @property
    def end(self) -> int:
        last = self.blocks[-1] if self.blocks else None
        return last.offset + last.size if last else len(self.header)


class DelimitedFile:
    """One CSV file, which may grow."""

    def __init__(self, path: Path, layout: Layout, *, wall_clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._layout = layout
        self._wall_clock = wall_clock  # only to compare with the file system's own stamps
        self._index: _Index | None = None

    @property
    def tags(self) -> AbstractSet[str]:
        return self._index.tags if self._index else frozenset()

    def check_header(self) -> None:
        """Read the first line alone.

        Raises:
            OSError: it cannot be read.
            BadFile: a column is missing, stands twice, or this is no text.
        """
        with self.path.open("rb", buffering=0) as file:
            handle = file.fileno()
            self._columns(self._read_header(handle, settled=self._is_settled(os.fstat(handle))))

    def refresh(self, stop: threading.Event) -> None:
        with self.path.open("rb", buffering=0) as file:
            handle = file.fileno()
            found = os.fstat(handle)
            identity, settled = _Identity.of(found), self._is_settled(found)
            index = self._index
            if index and index.identity == identity and index.finished and not (index.tail and settled):
                return
            if not (index and self._has_grown(handle, index, identity)):
                header = self._read_header(handle, settled=settled)
                columns = self._columns(header)
                tags = frozenset() if self._layout.is_long else frozenset(columns) - {self._layout.time_column, ""}
                index = _Index(identity, header, columns, tags=tags)
            self._index = self._indexed(
                handle, replace(index, identity=identity, finished=False), stop, settled=settled
            )
            if not self._index.finished:
                raise Stopped

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """Neighbouring blocks as one span, up to a size."""
        index = self._index
        if index is None:
            return []
        runs: list[list[Block]] = []
        for number in np.flatnonzero((index.lasts >= start) & (index.firsts < end)).tolist():
            block, run = index.blocks[number], runs[-1] if runs else None
            if run and run[-1].offset + run[-1].size == block.offset and _extent(run) + block.size <= _LARGEST_READ:
                run.append(block)
            else:
                runs.append([block])
        return [Span(min(b.first for b in run), max(b.last for b in run), (index, run)) for run in runs]

    def describe(self, spans: Sequence[Span]) -> str:
        runs = [span.part[1] for span in spans]
        parts = [f"{run[0].offset}-{run[-1].offset + run[-1].size - 1}" for run in runs]
        return f"{self.path} bytes {', '.join(parts)}"

    def read(self, span: Span, tags: AbstractSet[str], start: int, end: int) -> Iterator[Piece]:
        index, blocks = span.part
        data = self._read_bytes(index, blocks)
        rows = _Rows(self.path, self._layout, index.columns, blocks[0])
        if self._layout.is_long:
            yield from rows.long(data, tags, start, end)
        else:
            yield from rows.wide(data, [name for name in index.columns if name in tags], start, end)

    def _read_bytes(self, index: "_Index", blocks: Sequence[Block]) -> bytes:
        size = _extent(blocks)
        with self.path.open("rb", buffering=0) as file:
            handle = file.fileno()
            identity = _Identity.of(os.fstat(handle))
            if identity != index.identity and not self._still_holds(handle, index, identity):
                raise FileChanged
            data = os.pread(handle, size, blocks[0].offset)
        if len(data) != size:
            raise FileChanged
        return data

    def _is_settled(self, found: os.stat_result) -> bool:
        return self._wall_clock() - found.st_mtime > _SETTLED_SECONDS

    def _read_header(self, handle: int, *, settled: bool) -> bytes:
        """The first line with its end; empty while it is not written to its end."""
        data = b""
        while len(data) < _LONGEST_LINE:
            more = os.pread(handle, _SMALLEST_BLOCK, len(data))
            data += more
            if end := _first_line_end(data, self._layout.separator):
                return data[:end]
            if not more:
                if data and settled:
                    break
                return b""
        raise BadFile(f"{self.path}: the first line has no end: no CSV file, or another kind of line end")

    def _columns(self, header: bytes) -> tuple[str, ...]:
        if not header:
            return ()
        try:
            text = header.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadFile(f"{self.path}: the first line is not UTF-8: {error}") from error
        try:
            columns = tuple(next(csv.reader(io.StringIO(text, newline=""), delimiter=self._layout.separator), ()))
        except csv.Error as error:
            raise BadFile(f"{self.path}: the first line cannot be read: {error}") from error
        for key, name in self._layout.needed:
            if name not in columns:
                raise BadFile(f"{self.path} has no column {name!r}; it has {_few(columns)}", key)
        if twice := [name for name in dict.fromkeys(columns) if name and columns.count(name) > 1]:
            raise BadFile(f"{self.path} has two columns {twice[0]!r}")
        return columns

    def _has_grown(self, handle: int, index: _Index, identity: _Identity) -> bool:
        """Whether only the rest has to be looked at. A file that was touched and has not grown was written anew."""
        unchanged = identity == index.identity
        return (unchanged or identity.size > index.identity.size) and self._still_holds(handle, index, identity)

    def _still_holds(self, handle: int, index: _Index, identity: _Identity) -> bool:
        """Whether what was indexed still stands where it stood, as far as its edges tell."""
        if identity[:2] != index.identity[:2] or identity.size < index.end or not index.header:
            return False
        head = os.pread(handle, len(index.header), 0)
        before = index.end - len(index.fingerprint)
        return head == index.header and os.pread(handle, len(index.fingerprint), before) == index.fingerprint

    def _indexed(self, handle: int, index: _Index, stop: threading.Event, *, settled: bool) -> _Index:
        """Index to the end, block by block. The last block of before is done again: it may not have been full."""
        if not index.columns:
            return replace(index, finished=True, tail=index.identity.size > 0)
        index = _without_last_block(index)
        size = max(_SMALLEST_BLOCK, index.identity.size // _MOST_BLOCKS)
        blocks, tags, offset, clock = list(index.blocks), set(index.tags), index.end, index.clock
        line = blocks[-1].line + blocks[-1].lines if blocks else 1 + index.header.count(b"\n")
        at_end, data = False, b""
        while offset < index.identity.size and not at_end and not stop.is_set():
            wanted = min(max(size, 2 * len(data)), index.identity.size - offset)
            data = os.pread(handle, wanted, offset)
            if len(data) != wanted:
                raise FileChanged
            at_end = offset + wanted == index.identity.size
            end = wanted if at_end and settled else _last_line_end(data, self._layout.separator)
            if not end and wanted < _LONGEST_LINE:
                continue  # a line longer than a block: read more of it
            end = end or data.rfind(b"\n") + 1  # a quote that is never closed: lines are what they look like
            if not end:
                raise BadFile(f"{self.path}: line {line} has no end within {wanted} bytes")
            block = Block(offset, end, line, data.count(b"\n", 0, end), MIN_TIME, MAX_TIME, clock)
            seen = _Rows(self.path, self._layout, index.columns, block).look(data[:end])
            blocks.append(block._replace(first=seen.first, last=seen.last))
            tags |= seen.tags
            clock, offset, line, data = seen.clock, offset + end, line + block.lines, b""
        made = replace(index, blocks=tuple(blocks), tags=frozenset(tags), clock=clock)
        print_size = min(_FINGERPRINT, made.end)
        return replace(
            made,
            firsts=np.array([block.first for block in blocks], np.int64),
            lasts=np.array([block.last for block in blocks], np.int64),
            fingerprint=os.pread(handle, print_size, made.end - print_size),
            finished=at_end or offset == index.identity.size,
            tail=offset < index.identity.size,
        )


class _Seen(NamedTuple):
    """What the index has to know of a block."""

    first: int
    last: int
    tags: AbstractSet[str]
    clock: ClockState


@dataclass(frozen=True, slots=True)
class _Rows:
    """The lines of a block or of several neighbours.

    All goes through Arrow at once. When it stumbles, the lines are read again one by one, to find readings that Arrow
    is too strict for and to name the line that nobody can read. Such a line hurts only those who ask for its time
    and its column.
    """

    path: Path
    layout: Layout
    columns: tuple[str, ...]
    block: Block

    def look(self, data: bytes) -> _Seen:
        """The first and last time, the tags of a long file, and the clock after the last row."""
        names = [self.layout.tag_column] if self.layout.is_long else []
        if (at_once := self._at_once(data, dict.fromkeys(names, pa.string()))) is None:
            return self._look_slowly(data)
        table, parsed = at_once
        tags = pc.unique(table[self.layout.tag_column]).drop_null().to_pylist() if self.layout.is_long else ()
        if not len(parsed.times):
            return _Seen(MAX_TIME, MIN_TIME, frozenset(tags), parsed.state)
        return _Seen(int(parsed.times.min()), int(parsed.times.max()), frozenset(tags), parsed.state)

    def wide(self, data: bytes, tags: Sequence[str], start: int, end: int) -> Iterator[Piece]:
        """A column a tag."""
        if (at_once := self._at_once(data, dict.fromkeys(tags, pa.float64()))) is None:
            times, columns = self._wide_slowly(data, tags, start, end)
        else:
            table, parsed = at_once
            rows = rows_between(parsed.times, start, end)
            times, columns = parsed.times[rows], [_numbers(table[tag])[rows] for tag in tags]
        yield from pieces_of_columns(tags, times, columns)

    def long(self, data: bytes, tags: AbstractSet[str], start: int, end: int) -> Iterator[Piece]:
        """A row a reading."""
        wanted = sorted(tags)
        tag_name, value_name = self.layout.tag_column, self.layout.value_column
        if (at_once := self._at_once(data, {tag_name: pa.string(), value_name: pa.float64()})) is None:
            codes, times, values = self._long_slowly(data, wanted, start, end)
        else:
            table, parsed = at_once
            codes = pc.index_in(table[tag_name], pa.array(wanted, pa.string())).fill_null(-1).to_numpy()
            mine = (codes >= 0) & (parsed.times >= start) & (parsed.times < end)
            codes, times, values = codes[mine], parsed.times[mine], _numbers(table[value_name])[mine]
        yield from pieces_of_rows(wanted, codes, times, values)

    def _at_once(self, data: bytes, kinds: Mapping[str, Any]) -> tuple[Any, ParsedTimes] | None:
        """The columns of these kinds and the times; None when something is not as Arrow wants it."""
        table = self._table(data, {self.layout.time_column: pa.string(), **kinds})
        if table is None:
            return None
        parsed = self.layout.times.parse(table[self.layout.time_column], self.block.clock)
        return (table, parsed) if parsed.readable.all() else None

    def _table(self, data: bytes, kinds: Mapping[str, Any]) -> Any | None:
        """The columns of these kinds; None when a line or a number is not as Arrow wants it."""
        strange: list[Any] = []

        def pass_over(row: Any) -> str:
            strange.append(row)
            return "skip"

        # By place: names may hold anything, and one without a name may stand there twice.
        places = {str(self.columns.index(name)): name for name in kinds}
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(data),
                pyarrow.csv.ReadOptions(
                    use_threads=False, block_size=len(data) + 1, column_names=list(map(str, range(len(self.columns))))
                ),
                pyarrow.csv.ParseOptions(delimiter=self.layout.separator, invalid_row_handler=pass_over),
                pyarrow.csv.ConvertOptions(
                    include_columns=list(places),
                    column_types={place: kinds[name] for place, name in places.items()},
                    null_values=_MISSING,
                    decimal_point=self.layout.decimal_point,
                ),
            )
        except pa.ArrowInvalid:
            return None
        return None if strange else table.rename_columns(list(places.values()))

    def _look_slowly(self, data: bytes) -> _Seen:
        lines = self._lines(data)
        tag_place = self.columns.index(self.layout.tag_column) if self.layout.is_long else None
        tags = {line.cells[tag_place] for line in lines if tag_place is not None and line.is_whole} - {""}
        clock = lines[-1].clock if lines else self.block.clock
        times = [line.time for line in lines if line.time is not None]
        if not times and lines:
            return _Seen(MIN_TIME, MAX_TIME, tags, clock)  # in the way of everybody: it may be anyone's
        return _Seen(min(times, default=MAX_TIME), max(times, default=MIN_TIME), tags, clock)

    def _wide_slowly(self, data: bytes, tags: Sequence[str], start: int, end: int) -> tuple[Times, list[Values]]:
        places = [self.columns.index(tag) for tag in tags]
        lines = self._lines_between(data, start, end)
        values = [[self._number(line, place) for line in lines] for place in places]
        times = np.array([line.time for line in lines], np.int64)
        return times, [np.array(column, np.float64) for column in values]

    def _long_slowly(
        self, data: bytes, wanted: Sequence[str], start: int, end: int
    ) -> tuple[npt.NDArray[np.int32], Times, Values]:
        code_of = {tag: code for code, tag in enumerate(wanted)}
        tag, value = self.columns.index(self.layout.tag_column), self.columns.index(self.layout.value_column)
        lines = [line for line in self._lines_between(data, start, end) if line.cells[tag] in code_of]
        codes = np.array([code_of[line.cells[tag]] for line in lines], np.int32)
        times = np.array([line.time for line in lines], np.int64)
        return codes, times, np.array([self._number(line, value) for line in lines], np.float64)

    def _lines_between(self, data: bytes, start: int, end: int) -> list["_Line"]:
        """The lines in the window; a line that may be in it and cannot be read is an error."""
        chosen: list[_Line] = []
        for line in self._lines(data):
            if line.time is None:
                cell = self._time_cell(line)
                raise Failed(
                    f"{self.path}, line {line.number}: {cell!r} in column {self.layout.time_column!r} is no time"
                )
            if not start <= line.time < end:
                continue
            if not line.is_whole:
                raise Failed(f"{self.path}, line {line.number}: {len(line.cells)} cells, not {len(self.columns)}")
            chosen.append(line)
        return chosen

    def _number(self, line: "_Line", place: int) -> float:
        cell = line.cells[place].strip()
        if cell in _MISSING:
            return np.nan
        text = cell.replace(self.layout.decimal_point, ".")
        if not _NUMBER.fullmatch(text):
            raise Failed(
                f"{self.path}, line {line.number}: {cell[:80]!r} in column {self.columns[place]!r} is no number"
            )
        return float(text)

    def _time_cell(self, line: "_Line") -> str:
        place = self.columns.index(self.layout.time_column)
        return line.cells[place][:80] if place < len(line.cells) else ""

    def _lines(self, data: bytes) -> list["_Line"]:
        reader = csv.reader(
            io.StringIO(data.decode("utf-8", errors="replace"), newline=""), delimiter=self.layout.separator
        )
        place = self.columns.index(self.layout.time_column)
        found: list[tuple[int, list[str]]] = []
        line = self.block.line
        try:
            for cells in reader:
                if cells:
                    found.append((line, cells))
                line = self.block.line + reader.line_num
        except csv.Error as error:
            found.append((line, [str(error)]))
        cells_of_time = [cells[place] if place < len(cells) else None for _, cells in found]
        parsed = self.layout.times.parse(pa.array(cells_of_time, pa.string()), self.block.clock)
        return [
            _Line(number, cells, int(time) if readable else None, len(cells) == len(self.columns), parsed.state)
            for (number, cells), time, readable in zip(found, parsed.times, parsed.readable, strict=True)
        ]


class _Line(NamedTuple):
    """One line, read on its own."""

    number: int
    cells: list[str]
    time: int | None
    is_whole: bool  #: has as many cells as there are columns
    clock: ClockState  #: after the last line of all


def _numbers(column: Any) -> Values:
    numbers: Values = (column.fill_null(np.nan) if column.null_count else column).to_numpy()
    return numbers


def _extent(blocks: Sequence[Block]) -> int:
    return blocks[-1].offset + blocks[-1].size - blocks[0].offset


def _without_last_block(index: _Index) -> _Index:
    if not index.blocks:
        return index
    return replace(index, blocks=index.blocks[:-1], clock=index.blocks[-1].clock)


def _first_line_end(data: bytes, separator: str) -> int:
    """Just behind the first line; 0 when its end is not there."""
    return next(_line_ends(data, separator), 0)


def _last_line_end(data: bytes, separator: str) -> int:
    """Just behind the last whole line; 0 when there is none."""
    end = data.rfind(b"\n") + 1
    if data.count(b'"', 0, end) % 2 == 0:
        return end
    # Either a cell goes on behind its line's end, or a quote stands alone, as in 5" pipe: only a reader can tell.
    return max(_line_ends(data[:end], separator), default=0)


def _line_ends(data: bytes, separator: str) -> Iterator[int]:
    """Just behind each line, where a quoted cell may hold line ends. In Latin-1 every byte is one character."""
    parts = data.decode("latin-1").split("\n")
    ends = list(accumulate(len(part) + 1 for part in parts[:-1]))
    reader = csv.reader((part + "\n" for part in parts[:-1]), delimiter=separator)
    with suppress(csv.Error):  # a cell beyond all measure, because a quote is never closed
        for cells in reader:
            if not (cells and cells[-1].endswith("\n")):  # or it was open at the end of the data
                yield ends[reader.line_num - 1]


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")
