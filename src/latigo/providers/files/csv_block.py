"""The CSV parser: times and numbers from complete rows, by Arrow.

Columns are parsed as numbers. If a cell is not a number, the same rows are parsed again with these columns as text,
where the number pattern accepts what Arrow does. So an invalid cell fails only the reads that need it, and no cell has
two meanings.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from latigo.domain.errors import Failed
from latigo.domain.series import Times, Values
from latigo.providers.files.lines import cells_of_row, line_of_row
from latigo.providers.files.reading import (
    MAX_TIME,
    MIN_TIME,
    Chunk,
    Layout,
    Selection,
    chunks_of_columns,
    chunks_of_rows,
    rows_between,
)
from latigo.providers.files.times import ClockState, ParsedTimes

_MAX_EXCERPT = 80


class Contents(NamedTuple):
    """Summary of a block for the index of its file."""

    first: int  #: greater than ``last`` if the block has no rows
    last: int
    tags: AbstractSet[str]  #: in the long layout
    clock: ClockState  #: after the last row


class _Malformed(NamedTuple):
    """A row whose number of cells differs from the number of columns."""

    number: int  #: counted from 0, without blank lines
    cells: int
    time: str | None  #: its time, if it has that cell


@dataclass(frozen=True, slots=True)
class _Parsed:
    """Parsed rows of a block."""

    times: Times  #: of all rows, including malformed ones
    readable: npt.NDArray[np.bool_]  #: shape (rows,): the time is valid
    clock: ClockState
    cells: Any  #: Arrow table, without the malformed rows
    malformed: Sequence[_Malformed]

    @property
    def whole(self) -> npt.NDArray[np.bool_]:
        """The rows that are not malformed, shape (rows,)."""
        whole = np.ones(len(self.times), np.bool_)
        whole[[row.number for row in self.malformed]] = False
        return whole


@dataclass(frozen=True, slots=True)
class CsvBlock:
    """Complete rows of a file, without the header."""

    path: Path
    layout: Layout
    columns: tuple[str, ...]
    data: bytes
    line: int  #: number of the first line, counted from 1
    clock: ClockState  #: before the first row
    tag: str | None = None  #: whose readings these are, if the path of the file says so

    def contents(self) -> Contents:
        """Return first and last time, tags, and the clock after the last row."""
        tag, has_tags = self.layout.tag_column, self.layout.is_long and self.tag is None
        parsed = self._parse({tag: pa.string()} if has_tags else {})
        tags = frozenset(pc.unique(parsed.cells[tag]).to_pylist()) - {""} if has_tags else frozenset()
        times = parsed.times if parsed.readable.all() else parsed.times[parsed.readable]
        if len(times):
            return Contents(int(times.min()), int(times.max()), tags, parsed.clock)
        if len(parsed.times):  # no time is valid: the rows may belong to any window
            return Contents(MIN_TIME, MAX_TIME, tags, parsed.clock)
        return Contents(MAX_TIME, MIN_TIME, tags, parsed.clock)

    def read(self, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        """Return the readings of tags with ``start <= t < end``, without missing ones.

        Raises:
            Failed: a time of the block, a row of the window or a number in it is invalid.
        """
        if self.tag is not None:
            return self._read_one(self.tag, start, end)
        return self._read_long(tags, start, end) if self.layout.is_long else self._read_wide(tags, start, end)

    def _read_one(self, tag: str, start: int, end: int) -> Iterator[Chunk]:
        value = self.layout.value_column
        parsed = self._parse({value: pa.float64()})
        times = self._times(parsed, start, end)
        rows = rows_between(times, start, end)
        yield from chunks_of_columns([tag], times[rows], [self._numbers(parsed, value, rows)])

    def _read_wide(self, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        wanted = [name for name in self.columns if name in tags]
        parsed = self._parse(dict.fromkeys(wanted, pa.float64()))
        times = self._times(parsed, start, end)
        rows = rows_between(times, start, end)
        yield from chunks_of_columns(wanted, times[rows], [self._numbers(parsed, tag, rows) for tag in wanted])

    def _read_long(self, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        wanted = sorted(tags)
        tag, value = self.layout.tag_column, self.layout.value_column
        parsed = self._parse({tag: pa.string(), value: pa.float64()})
        times = self._times(parsed, start, end)
        codes = pc.index_in(parsed.cells[tag], pa.array(wanted, pa.string())).fill_null(-1).to_numpy()
        rows = (codes >= 0) & (times >= start) & (times < end)
        yield from chunks_of_rows(wanted, codes[rows], times[rows], self._numbers(parsed, value, rows))

    def _parse(self, kinds: Mapping[str, Any]) -> _Parsed:
        """Parse times and columns; columns become text if a cell is not of its column's kind."""
        data = self._utf8()
        try:
            table, malformed = self._table(data, kinds)
        except pa.ArrowInvalid:
            table, malformed = self._table(data, dict.fromkeys(kinds, pa.string()))
        parsed = self._parse_times(table[self.layout.time_column], malformed)
        return _Parsed(parsed.times, parsed.readable, parsed.state, table, malformed)

    def _utf8(self) -> bytes:
        """Return the data in UTF-8. Other bytes become U+FFFD, since they may be in a column that is not read."""
        try:
            self.data.decode()
        except UnicodeDecodeError:
            return self.data.decode(errors="replace").encode()
        return self.data

    def _table(self, data: bytes, kinds: Mapping[str, Any]) -> tuple[Any, Sequence[_Malformed]]:
        malformed: list[_Malformed] = []
        places = {name: place for place, name in reversed(list(enumerate(self.columns)))}
        time, separator = places[self.layout.time_column], self.layout.separator

        def keep_for_later(row: Any) -> str:
            cells = cells_of_row(row.text, separator)
            malformed.append(_Malformed(row.number - 1, row.actual_columns, cells[time] if time < len(cells) else None))
            return "skip"

        # By index: names may contain anything, and unnamed columns may be repeated.
        kinds = {self.layout.time_column: pa.string(), **kinds}
        indexes = {str(places[name]): name for name in kinds}
        table = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            pyarrow.csv.ReadOptions(
                use_threads=False,  # rows have numbers in one thread only
                block_size=len(data) + 1,
                column_names=list(map(str, range(len(self.columns)))),
            ),
            pyarrow.csv.ParseOptions(delimiter=separator, invalid_row_handler=keep_for_later),
            pyarrow.csv.ConvertOptions(
                include_columns=list(indexes),
                column_types={index: kinds[name] for index, name in indexes.items()},
                null_values=self.layout.missing,
                decimal_point=self.layout.decimal_point,
            ),
        )
        return table.rename_columns(list(indexes.values())), malformed

    def _parse_times(self, column: Any, malformed: Sequence[_Malformed]) -> ParsedTimes:
        """Parse the times of all rows in file order, on which the meaning of a repeated local hour depends."""
        if malformed:
            rows = np.insert(
                np.arange(len(column)),
                [row.number - before for before, row in enumerate(malformed)],
                len(column) + np.arange(len(malformed)),
            )
            others = pa.array([row.time for row in malformed], pa.string())
            column = pa.chunked_array([*column.chunks, others]).take(pa.array(rows))
        return self.layout.times.parse(column, self.clock)

    def _times(self, parsed: _Parsed, start: int, end: int) -> Times:
        """Return the times of the rows that are not malformed.

        Raises:
            Failed: a time is invalid, or a row of the window is malformed.
        """
        invalid = [row.number for row in parsed.malformed if start <= parsed.times[row.number] < end]
        if not parsed.readable.all():
            invalid.append(int(parsed.readable.argmin()))
        if not invalid:
            return parsed.times[parsed.whole] if parsed.malformed else parsed.times
        row = min(invalid)
        malformed = next((other for other in parsed.malformed if other.number == row), None)
        if parsed.readable[row] and malformed:
            raise self._failed(row, f"{malformed.cells} cells, not {len(self.columns)} as in the header")
        name = self.layout.time_column
        cell = malformed.time if malformed else parsed.cells[name][int(parsed.whole[:row].sum())].as_py()
        raise self._failed(row, f"{_excerpt(cell or '')} in column {name!r} is not a time")

    def _numbers(self, parsed: _Parsed, name: str, rows: Selection) -> Values:
        """Return numbers of a column, NaN where a cell is missing.

        Args:
            parsed: the rows of the block.
            name: the column.
            rows: selection among the rows that are not malformed.

        Raises:
            Failed: a selected cell is not a number.
        """
        column = parsed.cells[name]
        if pa.types.is_string(column.type):
            return self._numbers_of_text(parsed, name, rows)
        numbers: Values = (column.fill_null(np.nan) if column.null_count else column).to_numpy()
        return numbers[rows]

    def _numbers_of_text(self, parsed: _Parsed, name: str, rows: Selection) -> Values:
        selected = np.arange(len(parsed.cells))[rows]
        cells = pc.utf8_trim_whitespace(parsed.cells[name].take(pa.array(selected)).combine_chunks())
        cells = pc.if_else(pc.is_in(cells, pa.array(self.layout.missing)), "nan", cells)
        readable = pc.match_substring_regex(cells, self.layout.number_pattern).to_numpy(zero_copy_only=False)
        if not readable.all():
            invalid = int(readable.argmin())
            row = int(parsed.whole.nonzero()[0][selected[invalid]])
            raise self._failed(row, f"{_excerpt(cells[invalid].as_py())} in column {name!r} is not a number")
        cells = pc.replace_substring(pc.utf8_ltrim(cells, "+"), self.layout.decimal_point, ".")
        numbers: Values = cells.cast(pa.float64()).to_numpy()
        return numbers

    def _failed(self, row: int, problem: str) -> Failed:
        line = self.line + line_of_row(self.data, self.layout.separator, row)
        return Failed(f"{self.path}, line {line}: {problem}")


def _excerpt(cell: str) -> str:
    return repr(cell[:_MAX_EXCERPT])
