"""The beginning of a CSV file: what its columns are called, and where its rows begin; pure.

Without settings the header is the first of a hundred lines that has the time column as a cell. What stands before it, a
row of units after it, comments and blank lines are skipped.
"""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from latigo.domain.names import nearest_name
from latigo.providers.files.lines import RowForm, rows_in
from latigo.providers.files.reading import InvalidFile, Layout
from latigo.runtime.redaction import excerpt

_MAX_LINES = 100  #: among which the header is looked for, after those that the settings skip
_MAX_COLUMNS = 200_000
_COMPARED_ROWS = 10  #: which show how many cells a row has
_LONGEST_LINE = 200  #: characters that a message shows
_SEPARATORS = (",", ";", "\t", "|")
_NAMED = {"\t": "\\t"}
_BLANK = "\r\n \t"
_NUMBER = re.compile(r"[0-9eE.,:+-]*[0-9][0-9eE.,:+-]*")


class Header(NamedTuple):
    """The beginning of a file."""

    data: bytes  #: everything before the first row of readings
    columns: tuple[str, ...]  #: empty where a column has no name, or one that is repeated
    repeated: frozenset[str]  #: names that occur twice
    layout: Layout  #: with the separator of this file


class _Line(NamedTuple):
    start: int  #: offset in the data
    end: int
    text: str


def find_header(
    path: Path, data: bytes, encoding: str, layout: Layout, tag: str | None, *, is_whole: bool, is_settled: bool
) -> Header | None:
    """Return the header of a file; None if more of the file has to be read or written.

    Args:
        path: for messages.
        data: the first bytes of the file, in an encoding where ASCII characters are one byte each.
        encoding: of the data.
        layout: how readings are written in the file.
        tag: whose readings it has, where its path says so.
        is_whole: the file has no more data.
        is_settled: and it is not being written to.

    Raises:
        InvalidFile: the header is not found, is not text, or lacks a column; the message names settings that help.
    """
    return _Search(path, data, encoding, layout, tag, is_whole=is_whole, is_settled=is_settled).header()


def names_other_columns(
    cells: Sequence[str], columns: Sequence[str], layout: Layout, following: Sequence[str] | None
) -> bool:
    """Return whether a row in the middle of a file, which has no time, is a header that gives rows another meaning.

    Args:
        cells: of the row, trimmed; the time may be written in another case.
        columns: of the rows before it; empty where any name will do.
        layout: how readings are written in the file.
        following: the cells of the next row, if it is at hand.
    """
    folded = {name.strip().casefold(): name.strip() for name in layout.time_columns}
    cells = [cell if cell in columns else folded.get(cell.casefold(), cell) for cell in cells]
    if name_the_same(columns, cells):
        return False
    cells, names = _without_empty_end(cells), _without_empty_end([name.strip() for name in columns])
    same = [name in {"", cell} for cell, name in zip(cells, names, strict=False)]
    times = {name.strip() for name in layout.time_columns}
    if not times <= set(cells):
        if (set(names) - times - {""}).isdisjoint(cells) or not all(cells) or any(map(_NUMBER.fullmatch, cells)):
            return False
        if len(cells) == len(names) and all(here or name in times for here, name in zip(same, names, strict=True)):
            return False
    if len(cells) != len(names) and all(same[:-1]) and _begin_alike(cells[len(same) - 1], names[len(same) - 1]):
        # It may be the same header, torn or joined with a row: then rows go on as before.
        return following is None or len(_without_empty_end(following)) > len(names) or len(following) < len(names)
    return True


def name_the_same(columns: Sequence[str], cells: Sequence[str]) -> bool:
    """Return whether cells are the names of columns; a column without a name may have any."""
    cells = _without_empty_end([cell.strip() for cell in cells])
    names = _without_empty_end([name.strip() for name in columns])
    return len(cells) == len(names) and all(name in {"", cell} for cell, name in zip(cells, names, strict=True))


def _without_empty_end(cells: Sequence[str]) -> Sequence[str]:
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _begin_alike(cell: str, other: str) -> bool:
    return cell.startswith(other) or other.startswith(cell)


class _Row(NamedTuple):
    first: int  #: number of its first line
    after: int  #: number of the line after it
    cells: list[str]
    is_damaged: bool = False


class _Search:
    """One search for the header of a file; see `find_header`."""

    def __init__(
        self,
        path: Path,
        data: bytes,
        encoding: str,
        layout: Layout,
        tag: str | None,
        *,
        is_whole: bool,
        is_settled: bool,
    ) -> None:
        self._path = path
        self._data = data
        self._encoding = encoding
        self._layout = layout
        self._tag = tag
        self._is_whole = is_whole
        self._is_settled = is_settled
        self._lines = self._split(layout.skip_lines + 2 * _MAX_LINES)

    def header(self) -> Header | None:
        if b"\n" not in self._data and b"\r" in self._data[:-1]:
            raise InvalidFile(f"{self._path} has the line ends of old Macs (CR): convert them to LF or CR LF")
        self._set_separator()
        first = self._layout.skip_lines
        if len(self._lines) <= first:
            if self._is_whole and self._is_settled and self._data:
                raise InvalidFile(self._too_short(), "skip_lines" if self._layout.skip_lines else "path")
            return None
        if self._layout.columns:
            return self._header(first, self._layout.columns)
        numbers = range(first, min(first + _MAX_LINES, len(self._lines)))
        if row := self._row_with_time_columns(numbers):
            return self._header(row.after, row.cells, row.first)
        is_cut = len(numbers) < _MAX_LINES and self._lines[-1].end < len(self._data)
        is_open = is_cut and not self._is_settled and "\0" not in self._lines[first].text  # NUL: of another encoding
        if is_open or (len(numbers) < _MAX_LINES and not self._is_whole) or all(map(self._is_comment, numbers)):
            return None  # it may come
        raise self._not_found(numbers)

    def _row_with_time_columns(self, numbers: Sequence[int]) -> _Row | None:
        """Return the first row that has the time columns; if none has, a comment may."""
        for number in numbers:
            if self._is_comment(number) and not self._begins_with_time(number):
                continue
            row = next(self._rows(number, keep_comments=True), None)
            if row and row.first == number and self._has_time_columns(row.cells):
                return row
        for number in numbers if self._is_whole or len(numbers) == _MAX_LINES else ():
            cells = self._cells(self._lines[number].text.removeprefix(self._layout.comment), self._layout.separator)
            if self._is_comment(number) and self._has_time_columns(cells):
                return _Row(number, number + 1, cells)
        return None

    def _split(self, most: int) -> list[_Line]:
        """Return the first lines that are complete; the last one of a file that rests needs no line end."""
        start = len(codecs.BOM_UTF8) if self._data.startswith(codecs.BOM_UTF8) else 0
        lines: list[_Line] = []
        while len(lines) < most and start < len(self._data):
            end = self._data.find(b"\n", start) + 1
            if not end:
                if not (self._is_whole and self._is_settled and (lines or self._layout.columns)):
                    break
                end = len(self._data)
            lines.append(_Line(start, end, self._data[start:end].decode(self._encoding, "replace")))
            start = end
        return lines

    def _set_separator(self) -> None:
        """Take the separator that a first line such as ``sep=;`` names."""
        text = self._lines[0].text.strip(_BLANK.replace("\t", "")).strip('"') if self._lines else ""
        if text[:4].lower() == "sep=" and len(text) == len("sep=;"):
            self._layout = replace(self._layout, separator=text[-1])

    def _is_comment(self, number: int) -> bool:
        """Return whether a line is a comment, or blank."""
        text = self._lines[number].text
        return not text.strip(_BLANK) or bool(self._layout.comment and text.startswith(self._layout.comment))

    def _begins_with_time(self, number: int) -> bool:
        """Return whether a line that seems to be a comment begins with a time column whose name does, ``#time``."""
        return self._cells(self._lines[number].text, self._layout.separator)[:1] == [self._layout.time_column.strip()]

    def _has_time_columns(self, cells: Sequence[str]) -> bool:
        return {name.strip() for name in self._layout.time_columns} <= {cell.strip() for cell in cells}

    def _rows(self, number: int, *, keep_comments: bool = False) -> Iterator[_Row]:
        """Yield the complete rows from a line on, without comments and blank lines."""
        is_first, is_exhausted = True, False

        def read() -> Iterator[str]:
            nonlocal number, is_first, is_exhausted
            while number < len(self._lines):
                is_comment = is_first and not keep_comments and self._is_comment(number)
                is_first, number = False, number + 1
                yield "\n" if is_comment else self._lines[number - 1].text
            is_exhausted = True

        reader = self._reader(read(), self._layout.separator)
        while number < len(self._lines):
            is_first, first = True, number
            try:
                cells = next(reader, None)
            except csv.Error:
                continue
            if cells is None or (is_exhausted and not (self._is_whole and self._is_settled)):
                return
            if any(cell.strip() for cell in cells):
                yield _Row(first, number, cells)

    def _rows_of(self, columns: Sequence[str], after: int) -> Iterator[_Row]:
        """Yield the complete rows from a line on, without comments."""
        form = RowForm.of(self._layout, columns, self._encoding)
        lines = [self._data[line.start : line.end] for line in self._lines[after:]]
        for row in rows_in(lines, form, is_whole=self._is_whole and self._is_settled):
            text = "".join(line.text for line in self._lines[after + row.first : after + row.after])
            if not row.is_comment and any(cells := self._cells(text, self._layout.separator)):
                yield _Row(after + row.first, after + row.after, cells, row.is_damaged)

    def _header(self, after: int, names: Sequence[str], number: int | None = None) -> Header | None:
        """Return the header whose rows begin at the line ``after`` or later; it stands on the line ``number``."""
        if number is not None:
            self._require_text(self._data[self._lines[number].start : self._lines[after - 1].end])
        given = {name.strip(): name for _, name in self._layout.required(self._tag)}
        names = [given.get(name.strip(), name.strip()) for name in names]
        if len(names) > _MAX_COLUMNS:
            raise InvalidFile(f"{self._path} has {len(names)} columns, more than {_MAX_COLUMNS}")
        repeated = frozenset(name for name, count in Counter(names).items() if name and count > 1)
        require_columns(self._path, names, repeated, self._layout, self._tag)
        columns = ["" if name in repeated else name for name in names]
        rows = self._rows_of(columns, after)
        first, passed = self._first_with_time(rows, columns)
        self._refuse_other_names(passed, columns)
        if not (first or passed or self._is_whole) and len(self._lines) < after + _MAX_LINES:
            return None  # not even one row is at hand
        compared = [first, *islice(rows, _COMPARED_ROWS - 1)] if first else passed[:_COMPARED_ROWS]
        columns += [""] * self._surplus(len(columns), [row.cells for row in compared if not row.is_damaged])
        end = self._lines[first.first].start if first else self._end_of(after)
        return Header(self._data[:end], tuple(columns), repeated, self._layout)

    def _refuse_other_names(self, rows: Sequence[_Row], columns: Sequence[str]) -> None:
        """Check that no row before the first one with a time names a column in the place of another."""
        places = {name.strip(): place for place, name in enumerate(columns) if name}
        for row in rows:
            cells = _without_empty_end([cell.strip() for cell in row.cells])
            if len(cells) != len(columns) or all(places.get(cell, place) == place for place, cell in enumerate(cells)):
                continue
            key = "columns" if self._layout.columns else "skip_lines"
            raise InvalidFile(
                f"{self._path}, line {row.first + 1}: a header with other columns, {', '.join(cells)!r}, than"
                f" {_first_names(columns)}: check {key}",
                key,
            )

    def _end_of(self, lines: int) -> int:
        """Return the offset after so many lines."""
        return self._lines[lines - 1].end if lines else self._lines[0].start

    def _require_text(self, data: bytes) -> None:
        if "\ufffd" in data.decode(self._encoding, "replace"):
            raise InvalidFile(
                f"{self._path}: the header is not text in {self._encoding.upper()}: set the encoding, such as cp1252",
                "encoding",
            )

    def _first_with_time(self, rows: Iterator[_Row], columns: Sequence[str]) -> tuple[_Row | None, list[_Row]]:
        """Return the first row that has a time or is damaged, and the rows before it, such as units.

        Those are no readings.
        """
        indexes = [columns.index(name) for name in self._layout.time_columns]
        passed: list[_Row] = []
        for row in rows:
            if row.is_damaged:
                return row, passed
            cells = [row.cells[index] for index in indexes if index < len(row.cells)]
            if len(cells) == len(indexes) and self._layout.times.parse(pa.array([" ".join(cells)])).readable[0]:
                return row, passed
            passed.append(row)
        return None, passed

    def _surplus(self, expected: int, rows: Sequence[Sequence[str]]) -> int:
        """Return how many empty cells the rows have at their ends beyond the columns.

        Raises:
            InvalidFile: no row has as many cells as there are columns.
        """
        if not rows or any(len(row) == expected for row in rows):
            return 0
        usual = Counter(map(len, rows)).most_common(1)[0][0]
        if usual > expected and not any(any(cell.strip() for cell in row[expected:]) for row in rows):
            return usual - expected
        if self._layout.columns and (len(rows) > 1 or self._is_settled):
            raise InvalidFile(f"{self._path} has rows of {usual} cells, but columns has {expected} names", "columns")
        if len(rows) == _COMPARED_ROWS:
            raise InvalidFile(
                f"{self._path} has rows of {usual} cells, but its header has {expected}: check the separator, and"
                " whether it occurs in numbers",
                "separator",
            )
        return 0

    def _too_short(self) -> str:
        if not self._lines:
            return f"{self._path}: the first line has no line end (LF or CR LF); is this a CSV file?"
        return f"{self._path} has {len(self._lines)} lines, no more than are skipped"

    def _not_found(self, numbers: Sequence[int]) -> InvalidFile:
        """Return the error for a header that is not on the lines with these numbers, with what would help."""
        wanted = " and ".join(repr(name) for name in self._layout.time_columns)
        lines = [self._lines[number].text.rstrip(_BLANK) for number in numbers]
        shown = next(number for number in numbers if not self._is_comment(number))
        text = lines[shown - numbers[0]]
        problem = f"{self._path} has no column {wanted}; its line {shown + 1} is {excerpt(text, _LONGEST_LINE)!r}"
        if "\0" in text:
            order = "be" if self._data.startswith(b"\0") else "le"
            return InvalidFile(f'{problem}: set the encoding, such as "utf-16-{order}"', "encoding")
        if self._has_form_of_ncs(text):
            return InvalidFile(f'{problem}: set preset = "ncs" for rows of Sensor;Value;Time;Status', "preset")
        for separator in _SEPARATORS:
            if any(self._has_time_columns(self._cells(line, separator)) for line in lines):
                return InvalidFile(f'{problem}: set the separator to "{_NAMED.get(separator, separator)}"', "separator")
        names = {cell for line in lines for cell in self._cells(line, self._layout.separator)}
        return InvalidFile(
            f"{problem}{_like(self._layout.time_columns, names)}: set time_column; or skip_lines if the header comes"
            f" later, separator if it is not {self._layout.separator!r}, columns if there is no header",
            "time_column",
        )

    def _has_form_of_ncs(self, text: str) -> bool:
        """Return whether a line is a reading in the form of the preset ``ncs``: Sensor;Value;Time;Status."""
        cells = self._cells(text, ";")
        return (
            len(cells) == 4
            and cells[3].isdecimal()
            and bool(self._layout.times.parse(pa.array([cells[2]])).readable[0])
        )

    def _cells(self, text: str, separator: str) -> list[str]:
        """Return the trimmed cells of one line."""
        try:
            return [cell.strip() for cell in next(self._reader([text], separator), [])]
        except csv.Error:
            return []

    @staticmethod
    def _reader(lines: Iterator[str] | list[str], separator: str) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=separator, skipinitialspace=not separator.isspace())


def require_columns(
    path: Path, names: Sequence[str], repeated: frozenset[str], layout: Layout, tag: str | None
) -> None:
    """Check that a file has the columns that the settings name, and has those once that readings depend on.

    Raises:
        InvalidFile: it has not; ``key`` is the setting.
    """
    known = set(names)
    for key, name in layout.required(tag):
        if name in repeated:
            raise InvalidFile(f"{path} has two columns {name!r}: rename one", key)
        if name not in known:
            hint = "; or name the tag in the path, such as {tag}.csv or tag={tag}/*" if key == "tag_column" else ""
            raise InvalidFile(
                f"{path} has no column {name!r}; its columns are {_first_names(names)}{_like([name], known)}{hint}", key
            )
    if unused := layout.unused_quality(tag, names):
        raise InvalidFile(
            f"{path} has a column {unused!r}, and it is not known which readings are good: set quality_column and good,"
            ' or quality_column = "" to read them whatever it has',
            "quality_column",
        )
    if tag is None and not layout.is_long and layout.quality_column:
        qualities = {layout.quality_column.replace("{tag}", name) for name in known}
        if qualities.isdisjoint(known):
            raise InvalidFile(
                f"{path} has no column {layout.quality_column!r} for any tag; its columns are {_first_names(names)}",
                "quality_column",
            )
        for name in sorted(repeated & qualities):
            raise InvalidFile(f"{path} has two columns {name!r}, of a quality: rename one", "quality_column")


def _like(wanted: Sequence[str], known: set[str]) -> str:
    """Return a clause with the known names that are most like those wanted, if they are: in another case, say."""
    near = [
        repr(nearest)
        for name in wanted
        if name not in known and (nearest := nearest_name(name, known))
        if get_close_matches(_folded(name), [_folded(nearest)], 1)
    ]
    return f"; the nearest name is {' and '.join(near)}" if near else ""


def _folded(name: str) -> str:
    return "".join(name.split())[:100].casefold()


def _first_names(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")
