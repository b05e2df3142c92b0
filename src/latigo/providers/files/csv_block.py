"""The CSV parser: complete rows of a file to times and numbers, by Arrow.

Arrow parses every cell. Columns of numbers are asked for as numbers; where a cell of them is none, the same rows are
parsed with these columns as text, and the number pattern takes for a number what Arrow does. So a bad cell is an error
for those alone who ask for it, and no cell is read in a second way.
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
    Layout,
    Piece,
    Selection,
    pieces_of_columns,
    pieces_of_rows,
    rows_between,
)
from latigo.providers.files.times import ClockState, ParsedTimes

_LONGEST_EXCERPT = 80


class Contents(NamedTuple):
    """What the index of a file holds about a block."""

    first: int  #: the first time in it; after ``last`` when there is none
    last: int
    tags: AbstractSet[str]  #: of the long layout
    clock: ClockState  #: after the last row


class _Malformed(NamedTuple):
    """A row with another number of cells than there are columns."""

    row: int  #: from 0; blank lines are no rows
    cells: int
    time: str | None


@dataclass(frozen=True, slots=True)
class _Parsed:
    """The rows of a block."""

    times: Times  #: of all rows, malformed ones included
    readable: npt.NDArray[np.bool_]  #: shape (rows,): the time could be read
    clock: ClockState
    cells: Any  #: Arrow table of the rows that are not malformed
    malformed: Sequence[_Malformed]

    @property
    def whole(self) -> npt.NDArray[np.bool_]:
        """The rows that are not malformed, shape (rows,)."""
        whole = np.ones(len(self.times), np.bool_)
        whole[[each.row for each in self.malformed]] = False
        return whole


@dataclass(frozen=True, slots=True)
class CsvBlock:
    """Complete rows of a file, header excluded."""

    path: Path
    layout: Layout
    columns: tuple[str, ...]
    data: bytes
    line: int  #: number of the first line, from 1
    clock: ClockState  #: before the first row

    def contents(self) -> Contents:
        """Return the first and last time, the tags of the long layout, and the clock after the last row."""
        tag = self.layout.tag_column
        parsed = self._parse({tag: pa.string()} if self.layout.is_long else {})
        tags = frozenset(pc.unique(parsed.cells[tag]).to_pylist()) - {""} if self.layout.is_long else frozenset()
        times = parsed.times if parsed.readable.all() else parsed.times[parsed.readable]
        if len(times):
            return Contents(int(times.min()), int(times.max()), tags, parsed.clock)
        if len(parsed.times):  # rows of any time, which nobody may pass over in silence
            return Contents(MIN_TIME, MAX_TIME, tags, parsed.clock)
        return Contents(MAX_TIME, MIN_TIME, tags, parsed.clock)

    def read(self, tags: AbstractSet[str], start: int, end: int) -> Iterator[Piece]:
        """Return the readings of these tags with ``start <= t < end``, without missing ones.

        Raises:
            Failed: a time, a row of the window or a number that was asked for cannot be read.
        """
        return self._read_long(tags, start, end) if self.layout.is_long else self._read_wide(tags, start, end)

    def _read_wide(self, tags: AbstractSet[str], start: int, end: int) -> Iterator[Piece]:
        wanted = [name for name in self.columns if name in tags]
        parsed = self._parse(dict.fromkeys(wanted, pa.float64()))
        times = self._times(parsed, start, end)
        rows = rows_between(times, start, end)
        yield from pieces_of_columns(wanted, times[rows], [self._numbers(parsed, tag, rows) for tag in wanted])

    def _read_long(self, tags: AbstractSet[str], start: int, end: int) -> Iterator[Piece]:
        wanted = sorted(tags)
        tag, value = self.layout.tag_column, self.layout.value_column
        parsed = self._parse({tag: pa.string(), value: pa.float64()})
        times = self._times(parsed, start, end)
        codes = pc.index_in(parsed.cells[tag], pa.array(wanted, pa.string())).fill_null(-1).to_numpy()
        rows = (codes >= 0) & (times >= start) & (times < end)
        yield from pieces_of_rows(wanted, codes[rows], times[rows], self._numbers(parsed, value, rows))

    def _parse(self, kinds: Mapping[str, Any]) -> _Parsed:
        """Parse the times and the columns of these kinds, as text where a cell is not of its column's kind."""
        data = self._utf8()
        try:
            table, malformed = self._table(data, kinds)
        except pa.ArrowInvalid:
            table, malformed = self._table(data, dict.fromkeys(kinds, pa.string()))
        parsed = self._parse_times(table[self.layout.time_column], malformed)
        return _Parsed(parsed.times, parsed.readable, parsed.state, table, malformed)

    def _utf8(self) -> bytes:
        """Return the data with U+FFFD for what is not UTF-8, which may stand in a column that nobody asks for."""
        try:
            self.data.decode()
        except UnicodeDecodeError:
            return self.data.decode(errors="replace").encode()
        return self.data

    def _table(self, data: bytes, kinds: Mapping[str, Any]) -> tuple[Any, Sequence[_Malformed]]:
        malformed: list[_Malformed] = []
        time, separator = self.columns.index(self.layout.time_column), self.layout.separator

        def keep_for_later(row: Any) -> str:
            cells = cells_of_row(row.text, separator)
            malformed.append(_Malformed(row.number - 1, row.actual_columns, cells[time] if time < len(cells) else None))
            return "skip"

        # By place: names may hold anything, and one without a name may stand there twice.
        kinds = {self.layout.time_column: pa.string(), **kinds}
        places = {str(self.columns.index(name)): name for name in kinds}
        table = pyarrow.csv.read_csv(
            pa.BufferReader(data),
            pyarrow.csv.ReadOptions(
                use_threads=False,  # so that rows have numbers, and because each reader is a thread already
                block_size=len(data) + 1,
                column_names=list(map(str, range(len(self.columns)))),
            ),
            pyarrow.csv.ParseOptions(delimiter=separator, invalid_row_handler=keep_for_later),
            pyarrow.csv.ConvertOptions(
                include_columns=list(places),
                column_types={place: kinds[name] for place, name in places.items()},
                null_values=self.layout.missing,
                decimal_point=self.layout.decimal_point,
            ),
        )
        return table.rename_columns(list(places.values())), malformed

    def _parse_times(self, column: Any, malformed: Sequence[_Malformed]) -> ParsedTimes:
        """Parse the times of all rows in order: which of two equal local times is meant depends on those before it."""
        if malformed:
            rows = np.insert(
                np.arange(len(column)),
                [each.row - nth for nth, each in enumerate(malformed)],
                len(column) + np.arange(len(malformed)),
            )
            others = pa.array([each.time for each in malformed], pa.string())
            column = pa.chunked_array([*column.chunks, others]).take(pa.array(rows))
        return self.layout.times.parse(column, self.clock)

    def _times(self, parsed: _Parsed, start: int, end: int) -> Times:
        """Return the times of the rows that are not malformed.

        Raises:
            Failed: the time of a row cannot be read, or a row of the window is malformed.
        """
        refused = [each.row for each in parsed.malformed if start <= parsed.times[each.row] < end]
        if not parsed.readable.all():
            refused.append(int(parsed.readable.argmin()))
        if not refused:
            return parsed.times[parsed.whole] if parsed.malformed else parsed.times
        row = min(refused)
        malformed = next((each for each in parsed.malformed if each.row == row), None)
        if parsed.readable[row] and malformed:
            raise self._failed(row, f"{malformed.cells} cells, not {len(self.columns)}")
        name = self.layout.time_column
        cell = malformed.time if malformed else parsed.cells[name][int(parsed.whole[:row].sum())].as_py()
        raise self._failed(row, f"{_excerpt(cell or '')} in column {name!r} is no time")

    def _numbers(self, parsed: _Parsed, name: str, rows: Selection) -> Values:
        """Return numbers of a column, NaN where a cell is missing.

        Args:
            parsed: the block.
            name: the column.
            rows: which of the rows that are not malformed.

        Raises:
            Failed: a cell of them is no number.
        """
        column = parsed.cells[name]
        if pa.types.is_string(column.type):
            return self._numbers_of_text(parsed, name, rows)
        numbers: Values = (column.fill_null(np.nan) if column.null_count else column).to_numpy()
        return numbers[rows]

    def _numbers_of_text(self, parsed: _Parsed, name: str, rows: Selection) -> Values:
        places = np.arange(len(parsed.cells))[rows]
        cells = pc.utf8_trim_whitespace(parsed.cells[name].take(pa.array(places)).combine_chunks())
        cells = pc.if_else(pc.is_in(cells, pa.array(self.layout.missing)), "nan", cells)
        readable = pc.match_substring_regex(cells, self.layout.number_pattern).to_numpy(zero_copy_only=False)
        if not readable.all():
            wrong = int(readable.argmin())
            row = int(parsed.whole.nonzero()[0][places[wrong]])
            raise self._failed(row, f"{_excerpt(cells[wrong].as_py())} in column {name!r} is no number")
        cells = pc.replace_substring(pc.utf8_ltrim(cells, "+"), self.layout.decimal_point, ".")
        numbers: Values = cells.cast(pa.float64()).to_numpy()
        return numbers

    def _failed(self, row: int, problem: str) -> Failed:
        line = self.line + line_of_row(self.data, self.layout.separator, row)
        return Failed(f"{self.path}, line {line}: {problem}")


def _excerpt(cell: str) -> str:
    return repr(cell[:_LONGEST_EXCERPT])
