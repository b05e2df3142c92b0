"""The CSV parser: times and readings from complete rows, by Arrow.

Columns are parsed as numbers. Where a column has a cell that is not a number, the rows are parsed again with that
column as text, see `latigo.providers.files.cells`. A row that cannot be read is skipped, or refused by strict settings;
so a reading that is damaged costs itself and no other.
"""

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from latigo.domain.bad_readings import Fault
from latigo.domain.errors import BadReading
from latigo.domain.series import Times, Values
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files.cells import Cells, Mask, as_text, tags_in
from latigo.providers.files.header import names_other_columns
from latigo.providers.files.judging import Judge, Quality, excerpt_of, values_by_tag
from latigo.providers.files.lines import (
    RowForm,
    cells_of_damaged,
    cells_of_row,
    line_of_row,
    lines_of_rows,
    may_have_open_quotes,
    without_damage,
)
from latigo.providers.files.ranges import MAX_TIME, Range, ranges_of, unknown
from latigo.providers.files.reading import (
    Chunk,
    Layout,
    chunks_of_columns,
    chunks_of_rows,
    rows_between,
)
from latigo.providers.files.repeated_hour import PartRows, RepeatedHour, Runs, describe_doubt
from latigo.providers.files.text import UTF_8
from latigo.providers.files.times import ParsedTimes, join_times

_NOT_A_NUMBER = re.compile(r"In CSV column #(\d+)")
_JOINT = re.compile(rb"^%b" % codecs.BOM_UTF8, re.MULTILINE)
_REPARSED = 3  #: columns that become text one by one; then all of them


class Unit(NamedTuple):
    """A part of the rows that is counted for itself: a block."""

    offset: int
    rows: int


class OtherHeader(NamedTuple):
    """A row in the middle of a file that names columns, and not those of the rows before it."""

    line: int
    lines: int  #: that it takes
    columns: tuple[str, ...]
    is_last: bool  #: what comes after it is not at hand


class Contents(NamedTuple):
    """Summary of a block for the index of its file."""

    ranges: Sequence[Range]  #: of the times
    tags: AbstractSet[str]  #: in the long layout
    hours: Sequence[RepeatedHour]  #: to which rows belong
    rows: int
    example: str  #: of a time that cannot be read; empty if all can
    header: OtherHeader | None  #: in the middle of the rows


class _Malformed(NamedTuple):
    """A row whose number of cells differs from the number of columns."""

    number: int  #: counted from 0, without blank lines
    cells: Sequence[str]
    has_open_quote: bool = False


@dataclass(frozen=True, slots=True)
class _Parsed:
    """Parsed rows of a block."""

    data: bytes  #: in UTF-8, without damage that would spread
    of_rows: ParsedTimes  #: including malformed ones
    cells: Any  #: Arrow table, without the malformed rows
    malformed: Sequence[_Malformed]

    @property
    def times(self) -> Times:
        return self.of_rows.times

    @property
    def readable(self) -> Mask:
        return self.of_rows.readable

    @property
    def whole(self) -> Mask:
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
    runs: Mapping[RepeatedHour, Runs]  #: of the rows in repeated hours
    bad: BadReadings
    units: Sequence[Unit]
    tag: str | None = None  #: whose readings these are, if the path of the file says so
    is_refused: bool = False  #: only the times are read

    def contents(self) -> Contents:
        """Return the times, tags and repeated hours; count the rows that cannot be read.

        A row of a repeated hour may be in either run, and the times reach over both. Rows after a header with other
        columns are part of nothing, and not counted.
        """
        tag, has_tags = self.layout.tag_column, self._names_tags
        parsed = self._parse({tag: pa.string()} if has_tags else {})
        tags = tags_in(parsed.cells[tag]) if has_tags else frozenset()
        if header := self._other_header(parsed):
            return Contents((), frozenset(), (), 0, "", header)
        example = "" if self.is_refused else self._count_rows(parsed)
        first, last = parsed.times, parsed.of_rows.second
        if not parsed.readable.all():
            first, last = first[parsed.readable], last[parsed.readable]
        rows = len(parsed.times)
        ranges = ranges_of(first, last)
        if rows and not ranges and (self.layout.strict or self.is_refused):
            ranges = unknown(rows)  # they may belong to any window
        return Contents(ranges, tags, parsed.of_rows.hours, rows, example, None)

    def near(self, hour: RepeatedHour, window: tuple[int, int]) -> PartRows:
        """Return the rows that are within a window, as evidence for those of a repeated hour."""
        has_tags = self._names_tags
        parsed = self._parse({self.layout.tag_column: pa.string()} if has_tags else {})
        rows, tags = parsed.of_rows, None
        if self.is_refused and self.layout.is_long and self.tag is None:
            tags = pa.nulls(len(rows.times), pa.string())
        if has_tags:
            places = np.cumsum(parsed.whole) - 1  # malformed rows have no tag
            tags = pc.utf8_trim_whitespace(as_text(parsed.cells[self.layout.tag_column]))
            tags = tags.take(pa.array(places, mask=~parsed.whole))
        return PartRows.of(rows.times, rows.readable, rows.rows_in(hour), tags, length=hour.length, window=window)

    @property
    def _names_tags(self) -> bool:
        """Whether a column has the tags."""
        return self.layout.is_long and self.tag is None and not self.is_refused

    def describe_ambiguous(self, hour: RepeatedHour, number: int) -> str:
        """Return the line and the time of a row of a repeated hour, which are counted from 0."""
        parsed = self._parse({})
        row = int(parsed.of_rows.rows_in(hour)[number])
        return f"line {self._line_of(parsed, row)}: {self._two_times(parsed, row)}"

    def read(self, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        """Return the readings of tags with ``start <= t < end``, without missing and bad ones.

        Raises:
            BadReading: the settings refuse a row or cell of the window.
        """
        if self.tag is not None:
            return self._read_one(self.tag, start, end)
        return self._read_long(tags, start, end) if self.layout.is_long else self._read_wide(tags, start, end)

    def _read_one(self, tag: str, start: int, end: int) -> Iterator[Chunk]:
        layout, columns = self.layout, frozenset(self.columns)
        value, quality, named = layout.value_column, layout.quality_column, layout.tag_column
        texts = [name for name in (quality, named) if name in columns and name != value]
        parsed = self._parse({value: pa.float64(), **dict.fromkeys(texts, pa.string())})
        judge, among = self._judge(parsed, start, end), None
        if named in texts:
            among = pc.equal(pc.utf8_trim_whitespace(as_text(parsed.cells[named])), tag)
            among = among.fill_null(False).to_numpy(zero_copy_only=False)
            judge.count(~among, parsed.cells[named], named, "", Fault.ROW)
        rows = rows_between(judge.times, start, end)
        values = self._values(judge, parsed, value, tag, quality if quality in texts else "", among)
        yield from chunks_of_columns([tag], judge.times[rows], [values[rows]])

    def _read_wide(self, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        wanted = [name for name in self.columns if name in tags]
        columns = frozenset(self.columns)
        qualities = {tag: name for tag in wanted if (name := self.layout.quality_of(tag, columns))}
        parsed = self._parse({**dict.fromkeys(wanted, pa.float64()), **dict.fromkeys(qualities.values(), pa.string())})
        judge = self._judge(parsed, start, end)
        rows = rows_between(judge.times, start, end)
        values = [self._values(judge, parsed, tag, tag, qualities.get(tag, ""))[rows] for tag in wanted]
        yield from chunks_of_columns(wanted, judge.times[rows], values)

    def _read_long(self, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        wanted = sorted(tags)
        tag, value, quality = self.layout.tag_column, self.layout.value_column, self.layout.quality_column
        parsed = self._parse({tag: pa.string(), value: pa.float64(), **({quality: pa.string()} if quality else {})})
        judge = self._judge(parsed, start, end)
        names = pc.utf8_trim_whitespace(as_text(parsed.cells[tag]))
        codes = pc.index_in(names, pa.array(wanted, pa.string())).fill_null(-1).to_numpy(zero_copy_only=False)
        cells = self._cells(judge, parsed, value)
        values = values_by_tag(judge, cells, parsed.cells[value], value, wanted, codes, self._quality(parsed, quality))
        rows = (codes >= 0) & (judge.times >= start) & (judge.times < end)
        yield from chunks_of_rows(wanted, codes[rows], judge.times[rows], values[rows])

    def _judge(self, parsed: _Parsed, start: int, end: int) -> Judge:
        """Return the judge of the rows that are not malformed.

        Raises:
            BadReading: the settings are strict, and a time is invalid or a row of the window malformed.
        """
        numbers = np.flatnonzero(parsed.whole)
        parsed = replace(parsed, of_rows=parsed.of_rows.placed(self.runs))
        return Judge(
            self.path,
            self.layout,
            self._times(parsed, start, end),
            start,
            end,
            lambda row: f"line {self._line_of(parsed, int(numbers[row]))}",
            lambda rows, tag, fault, example: self._record(numbers[rows], tag, fault, example),
        )

    def _values(
        self, judge: Judge, parsed: _Parsed, name: str, tag: str, quality: str, among: Mask | None = None
    ) -> Values:
        cells = self._cells(judge, parsed, name)
        return judge.values(cells, parsed.cells[name], name, tag, self._quality(parsed, quality), among)

    def _cells(self, judge: Judge, parsed: _Parsed, name: str) -> Cells:
        column = parsed.cells[name]
        if pa.types.is_string(column.type):
            return judge.cells(column, name)
        values: Values = (column.fill_null(np.nan) if column.null_count else column).to_numpy()
        return Cells(self.layout.notation.without_missing(values))

    def _quality(self, parsed: _Parsed, name: str) -> Quality | None:
        return Quality(name, parsed.cells[name]) if name else None

    def _count_rows(self, parsed: _Parsed) -> str:
        """Count the rows that cannot be read; return an example of a time that cannot."""
        if not parsed.malformed and parsed.readable.all():
            return ""
        malformed = np.array([row.number for row in parsed.malformed], np.int64)
        if len(malformed):
            first = parsed.malformed[0]
            self._record(
                malformed, "", Fault.ROW, lambda: f"line {self._line_of(parsed, first.number)}: {self._cells_of(first)}"
            )
        unreadable = np.setdiff1d(np.flatnonzero(~parsed.readable), malformed)
        if not len(unreadable):
            return ""
        example = self._time_cell(parsed, int(unreadable[0]))
        self._record(
            unreadable,
            "",
            Fault.TIME,
            lambda: f"line {self._line_of(parsed, int(unreadable[0]))}: {self._no_time(example)}",
        )
        return example

    def _record(self, numbers: npt.NDArray[np.int64], tag: str, fault: Fault, example: Any) -> None:
        """Count rows, given by their numbers, in the unit that each belongs to."""
        bounds = np.cumsum([unit.rows for unit in self.units])[:-1]
        counts = np.bincount(np.searchsorted(bounds, numbers, side="right"), minlength=len(self.units))
        for unit, count in zip(self.units, counts.tolist(), strict=True):
            if count:
                self.bad.record(str(self.path), unit.offset, tag, fault, count, example)

    def _parse(self, kinds: Mapping[str, Any]) -> _Parsed:
        """Parse times and columns; damage that would spread is taken out."""
        data = self._utf8()
        parsed = self._parse_data(data, kinds)
        if may_have_open_quotes(data, self.layout.separator, len(parsed.times)):
            sound = without_damage(data, self._form)
            if sound != data:
                return self._parse_data(sound, kinds)
        return parsed

    @property
    def _form(self) -> RowForm:
        return RowForm.of(self.layout, self.columns, UTF_8)

    def _parse_data(self, data: bytes, kinds: Mapping[str, Any]) -> _Parsed:
        """Parse times and columns; a column becomes text if a cell is not a number."""
        kinds = dict(kinds)
        if self.layout.notation.point_of_parser is None:
            kinds = dict.fromkeys(kinds, pa.string())
        for attempt in range(_REPARSED + 2):
            try:
                table, malformed = self._table(data, kinds)
                break
            except pa.ArrowInvalid as error:
                found = _NOT_A_NUMBER.search(str(error))
                name = self._name_of(int(found[1])) if found and attempt < _REPARSED else ""
                kinds = {**kinds, name: pa.string()} if name in kinds else dict.fromkeys(kinds, pa.string())
        return _Parsed(data, self._parse_times(table, malformed), table, malformed)

    def _name_of(self, place: int) -> str:
        return self.columns[place] if place < len(self.columns) else ""

    def _utf8(self) -> bytes:
        """Return the data in UTF-8. Other bytes become U+FFFD, since they may be in a column that is not read.

        Lines lose the byte order marks with which they begin where files have been joined.
        """
        data = self.data
        if data.isascii():  # thirty times as fast as the search for a mark
            return data
        if codecs.BOM_UTF8 in data:
            data = _JOINT.sub(b"", data)
        try:
            data.decode()
        except UnicodeDecodeError:
            return data.decode(errors="replace").encode()
        return data

    def _table(self, data: bytes, kinds: Mapping[str, Any]) -> tuple[Any, list[_Malformed]]:
        malformed: list[_Malformed] = []
        places = {name: place for place, name in reversed(list(enumerate(self.columns)))}
        separator, expected = self.layout.separator, len(self.columns)

        def keep_for_later(row: Any) -> str:
            damaged = cells_of_damaged(row.text, separator)
            cells = cells_of_row(row.text, separator) if damaged is None else damaged
            malformed.append(_Malformed(row.number - 1, cells, damaged is not None))
            return "skip"

        # By index: names may contain anything, and unnamed columns may be repeated.
        kinds = {**dict.fromkeys(self.layout.time_columns, pa.string()), **kinds}
        indexes = {str(places[name]): name for name in kinds}
        options = pyarrow.csv.ConvertOptions(
            include_columns=list(indexes),
            column_types={index: kinds[name] for index, name in indexes.items()},
            null_values=self.layout.notation.nulls,
            decimal_point=self.layout.notation.point_of_parser or ".",
        )

        def read(content: bytes, handler: Any) -> Any:
            return pyarrow.csv.read_csv(
                pa.BufferReader(content),
                pyarrow.csv.ReadOptions(
                    use_threads=False,  # rows have numbers in one thread only
                    block_size=len(content) + 1,
                    column_names=list(map(str, range(expected))),
                ),
                pyarrow.csv.ParseOptions(delimiter=separator, invalid_row_handler=handler),
                options,
            )

        table = read(data, keep_for_later)
        if malformed and (usable := [row for row in malformed if _has_only_empty_surplus(row, expected)]):
            kept = {row.number for row in usable}
            malformed = [row for row in malformed if row.number not in kept]
            table = self._with_rows(table, usable, malformed)
        return table.rename_columns(list(indexes.values())), malformed

    def _with_rows(self, table: Any, added: Sequence[_Malformed], malformed: Sequence[_Malformed]) -> Any:
        """Return the table with those rows in their places whose surplus cells are empty.

        Raises:
            ArrowInvalid: a cell is not a number, as the parser would have said.
        """
        numbers = np.array([row.number for row in added])
        places = numbers - np.searchsorted([row.number for row in malformed], numbers)
        order = np.insert(np.arange(len(table)), places - np.arange(len(added)), len(table) + np.arange(len(added)))
        columns = {}
        for index in table.column_names:
            cells = pa.array([row.cells[int(index)] for row in added], pa.string())
            if table[index].type == pa.float64():
                found = self.layout.notation.numbers(cells)
                if found.texts is not None or found.others is not None:
                    raise pa.ArrowInvalid(f"In CSV column #{index}: not a number")
                cells = pa.array(found.values)
            columns[index] = pa.chunked_array([*table[index].chunks, cells]).take(pa.array(order))
        return pa.table(columns)

    def _parse_times(self, table: Any, malformed: Sequence[_Malformed]) -> ParsedTimes:
        """Parse the times of all rows in file order, by which those of a repeated hour are counted."""
        column = join_times([table[name] for name in self.layout.time_columns])
        if malformed:
            rows = np.insert(
                np.arange(len(column)),
                [row.number - before for before, row in enumerate(malformed)],
                len(column) + np.arange(len(malformed)),
            )
            others = pa.array([self._time_of(row.cells) for row in malformed], pa.string())
            column = pa.chunked_array([*column.chunks, others]).take(pa.array(rows))
        return self.layout.times.parse(column)

    def _time_of(self, cells: Sequence[str]) -> str | None:
        """Return the time of a malformed row, if it has those cells."""
        places = [self.columns.index(name) for name in self.layout.time_columns]
        return " ".join(cells[place] for place in places) if max(places) < len(cells) else None

    def _time_cell(self, parsed: _Parsed, row: int) -> str:
        place = int(parsed.whole[:row].sum())
        return " ".join(str(parsed.cells[name][place].as_py() or "") for name in self.layout.time_columns)

    def _times(self, parsed: _Parsed, start: int, end: int) -> Times:
        """Return the times of the rows that are not malformed; MAX_TIME where they cannot be read.

        Raises:
            BadReading: a time is invalid or a row of the window malformed, and the settings are strict.
        """
        if self.layout.strict:
            self._refuse_rows(parsed, start, end)
        times = parsed.times
        if not parsed.readable.all():
            times = np.where(parsed.readable, times, MAX_TIME)
        return times[parsed.whole] if parsed.malformed else times

    def _refuse_rows(self, parsed: _Parsed, start: int, end: int) -> None:
        invalid = [row.number for row in parsed.malformed if start <= parsed.times[row.number] < end]
        malformed = {row.number: row for row in parsed.malformed}
        unreadable = np.setdiff1d(np.flatnonzero(~parsed.readable), parsed.of_rows.doubtful)
        doubtful = parsed.of_rows.doubtful_between(start, end)
        invalid += [int(rows[0]) for rows in (unreadable, doubtful) if len(rows)]
        if not invalid:
            return
        row = min(invalid)
        if row in malformed:
            raise self._failed(parsed, row, self._cells_of(malformed[row]))
        if row in doubtful:
            raise self._failed(parsed, row, self._two_times(parsed, row))
        raise self._failed(parsed, row, self._no_time(self._time_cell(parsed, row)))

    def _cells_of(self, row: _Malformed) -> str:
        if row.has_open_quote:
            return "a quote is not closed"
        return f"{len(row.cells)} cells, not {len(self.columns)} as in the header"

    def _no_time(self, cell: str) -> str:
        names = " and ".join(map(repr, self.layout.time_columns))
        return f"{excerpt_of(cell)} in column {names} is not a time"

    def _two_times(self, parsed: _Parsed, row: int) -> str:
        return describe_doubt(excerpt_of(self._time_cell(parsed, row)), self.layout.times.zone)

    def _line_of(self, parsed: _Parsed, row: int) -> int:
        return self.line + line_of_row(parsed.data, self._form, row)

    def _failed(self, parsed: _Parsed, row: int, problem: str) -> BadReading:
        return BadReading(f"{self.path}, line {self._line_of(parsed, row)}: {problem}")

    def _trimmed(self, text: bytes) -> list[str]:
        return [cell.strip() for cell in cells_of_row(text.decode(), self.layout.separator)]

    def _other_header(self, parsed: _Parsed) -> OtherHeader | None:
        """Return the first row that names other columns; only rows without a time, or malformed ones, can."""
        if not parsed.malformed and parsed.readable.all():
            return None
        names = [name.strip().encode().lower() for name in self.columns if name.strip()]
        data = parsed.data.lower()
        if not any(name in data for name in names):
            return None
        suspects = ~parsed.readable
        suspects[[row.number for row in parsed.malformed]] = True
        rows = list(lines_of_rows(parsed.data, self._form))
        for number in np.flatnonzero(suspects).tolist():
            line, text = rows[number]
            if not any(name in text.lower() for name in names):
                continue
            after, following = line + 1, None
            if number + 1 < len(rows):
                after, following = rows[number + 1][0], self._trimmed(rows[number + 1][1])
            cells = self._trimmed(text)
            if names_other_columns(cells, self.columns, self.layout, following):
                return OtherHeader(self.line + line, after - line, tuple(cells), following is None)
        return None


def _has_only_empty_surplus(row: _Malformed, expected: int) -> bool:
    return (
        len(row.cells) > expected and not row.has_open_quote and not any(cell.strip() for cell in row.cells[expected:])
    )
