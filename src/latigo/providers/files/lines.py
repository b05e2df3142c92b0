"""Rows of CSV text, where quoted cells may contain line ends; pure.

A quote that is never closed would take the rows after it into its cell. So a cell goes on over line ends only if it is
closed as a quoted cell is, gives a row of the right width, and none of the lines within it is a row with a time by
itself. Otherwise the line with the open quote is damaged, and the lines after it are rows of their own.

Arrow parses the rows. It does not report their positions, and not the cells of a row that it rejects: both are found
here. A damaged line is rewritten so that Arrow rejects it and nothing else.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from latigo.providers.files.reading import Layout
from latigo.providers.files.times import TimeParser

_QUOTE = b'"'
_BLANK_LINES = re.compile(rb"^\r?\n", re.MULTILINE)
_DAMAGED = "\ufffdquote\ufffd"  #: the last cells of a rewritten line
_MOST_LINES = 1000  #: in one row


class Row(NamedTuple):
    """Lines that belong together, by their numbers from 0; ``after`` is the one after them."""

    first: int
    after: int
    is_damaged: bool = False
    is_comment: bool = False


@dataclass(frozen=True, slots=True)
class RowForm:
    """What a row of a file looks like.

    Args:
        separator: of cells, one ASCII character.
        width: the number of columns.
        time_places: of the columns that make the time.
        times: parser of times.
        comment: how comments begin, in the encoding of the data; empty if there are none.
    """

    separator: str
    width: int
    time_places: tuple[int, ...]
    times: TimeParser
    comment: bytes = b""

    @classmethod
    def of(cls, layout: Layout, columns: Sequence[str], encoding: str) -> "RowForm":
        """Return the form of the rows of a file with these columns, in an encoding."""
        places = tuple(columns.index(name) for name in layout.time_columns)
        return cls(layout.separator, len(columns), places, layout.times, layout.comment.encode(encoding, "replace"))

    def has_width(self, cells: Sequence[str]) -> bool:
        """Return whether there is a cell for each column, and no other one that is not empty."""
        return len(cells) >= self.width and not any(cell.strip() for cell in cells[self.width :])

    def has_time(self, cells: Sequence[str]) -> bool:
        """Return whether the time of a row can be read."""
        if max(self.time_places) >= len(cells):
            return False
        time = " ".join(cells[place] for place in self.time_places)
        return any(map(str.isdigit, time)) and bool(self.times.parse(pa.array([time])).readable[0])


def rows_in(lines: Sequence[bytes], form: RowForm, *, is_whole: bool) -> Iterator[Row]:
    """Yield the rows that begin with the first of some lines, without blank lines.

    Args:
        lines: with their line ends.
        form: of the rows.
        is_whole: there are no more lines; otherwise the last row may go on, and is left out.
    """
    patterns = _patterns(form.separator)
    closes = _Closings(lines, patterns)
    evidence = _RowLines(lines, form, patterns)
    number = 0
    while number < len(lines):
        line, first = lines[number], number
        number += 1
        if form.comment and line.startswith(form.comment):
            yield Row(first, number, is_comment=True)
        elif not line.strip(b"\r\n"):
            continue
        elif _QUOTE not in line or patterns.closed.fullmatch(line):
            yield Row(first, number)
        else:
            last = closes.after(first)
            if not evidence.is_between(first, min(last, len(lines) - 1)):
                if last == len(lines) < first + _MOST_LINES and not is_whole:
                    return
                if last < min(len(lines), first + _MOST_LINES):
                    text = b"".join(lines[first : last + 1])
                    if patterns.quoted.fullmatch(text) and form.has_width(cells_of_row(text, form.separator)):
                        number = last + 1
                        yield Row(first, number)
                        continue
            yield Row(first, number, is_damaged=True)


def without_damage(data: bytes, form: RowForm) -> bytes:
    """Return the same lines, with comments emptied and damaged lines rewritten; see `cells_of_damaged`."""
    lines = data.splitlines(keepends=True)
    rest = b"".join(form.separator.encode() + _DAMAGED.encode() for _ in range(form.width))
    for row in rows_in(lines, form, is_whole=True):
        if row.is_comment or row.is_damaged:
            text = lines[row.first].rstrip(b"\r\n")
            end = lines[row.first][len(text) :]
            lines[row.first] = (b"" if row.is_comment else _without_quotes(text, form) + rest) + end
    return b"".join(lines)


def _without_quotes(line: bytes, form: RowForm) -> bytes:
    """Return a line without its quotes, which is no comment for that."""
    bare = line.replace(_QUOTE, b"")
    return b" " + bare if form.comment and bare.startswith(form.comment) else bare


def cells_of_damaged(text: str, separator: str) -> list[str] | None:
    """Return the cells of a line with an open quote; None if the row is not one that was rewritten."""
    if not text.endswith(_DAMAGED):
        return None
    return text[: text.index(separator + _DAMAGED)].split(separator)


def may_have_open_quotes(data: bytes, separator: str, rows: int) -> bool:
    """Return whether a quote may have taken lines into its cell, by the number of rows that Arrow found."""
    if _QUOTE not in data:
        return False
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return True  # what a line is to Arrow is not counted as easily
    last = data[data.rfind(b"\n", 0, len(data) - 1) + 1 :]
    if _QUOTE in last and not _patterns(separator).closed.fullmatch(last):
        return True
    lines = count_of(b"\n", data) + (not data.endswith(b"\n"))
    return rows != lines and rows != lines - len(_BLANK_LINES.findall(data))


def count_of(character: bytes, data: bytes) -> int:
    """Return how often a character occurs; several times as fast as `bytes.count`, where it occurs often."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == character[0]))


def last_row_end(data: bytes, form: RowForm) -> int:
    """Return the offset just after the last complete row; 0 if there is none."""
    end = data.rfind(b"\n") + 1
    quotes = count_of(_QUOTE, data[:end]) if _QUOTE in data else 0
    if quotes % 2 == 0 and not (quotes and _has_comments(data, form)):
        return end
    # A cell continues on the next line, or its quote is never closed, or it is literal, as in 5" pipe.
    lines = data[:end].splitlines(keepends=True)
    after = 0
    for row in rows_in(lines, form, is_whole=False):
        if lines[row.after - 1].endswith(b"\n"):
            after = row.after
    return sum(map(len, lines[:after]))


def without_comments(data: bytes, form: RowForm) -> bytes:
    """Empty the lines that are comments, keeping their line ends; costs nothing to speak of if there are none."""
    if not _has_comments(data, form):
        return data
    if _QUOTE in data:
        return without_damage(data, form)
    return b"\n".join(b"" if line.startswith(form.comment) else line for line in data.split(b"\n"))


def _has_comments(data: bytes, form: RowForm) -> bool:
    comment = form.comment
    return comment[:1] in data and bool(comment) and (data.startswith(comment) or b"\n" + comment in data)


def lines_of_rows(data: bytes, form: RowForm) -> Iterator[tuple[int, bytes]]:
    """Yield the number of the line on which each row begins, counted from 0, and its text; without blank lines."""
    lines = data.splitlines(keepends=True)
    number = counted = 0
    for row in rows_in(lines, form, is_whole=True):
        number += sum(line.endswith(b"\n") for line in lines[counted : row.first])
        counted = row.first
        yield number, b"".join(lines[row.first : row.after])


def line_of_row(data: bytes, form: RowForm, row: int) -> int:
    """Return the line on which a row begins; both are counted from 0, rows without blank lines."""
    line = 0
    for line, _ in lines_of_rows(data, form):
        if not row:
            return line
        row -= 1
    return line + row


def cells_of_row(text: str | bytes, separator: str) -> list[str]:
    """Return the cells of one row; none if a cell has no limit."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")  # in which every byte is one character
    with suppress(csv.Error):
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    return []


class _Patterns(NamedTuple):
    """What lines and rows look like; quantifiers are possessive, so that each takes linear time."""

    closed: re.Pattern[bytes]  #: a line without an open quote
    closing: re.Pattern[bytes]  #: a line that begins in a quoted cell and does not end in one
    quoted: re.Pattern[bytes]  #: a row whose quoted cells end where a cell ends
    clean: re.Pattern[bytes]  #: a line without quotes within cells


@lru_cache(maxsize=16)
def _patterns(separator: str) -> _Patterns:
    cut = re.escape(separator).encode()
    end = rb"(?:\r\n|\n|\r|)"
    inside, over_lines = rb'(?:[^"\r\n]++|"")*+"', rb'(?:[^"]++|"")*+"'
    plain = rb'(?:[^%b"\r\n][^%b\r\n]*+)?+' % (cut, cut)
    cell = rb'(?:"%b[^%b\r\n]*+|%b)' % (inside, cut, plain)
    quoted = rb'(?:"%b *+|%b)' % (over_lines, plain)
    clean = rb'(?:"%b *+|[^%b"\r\n]*+)' % (inside, cut)
    unclosed = rb'"(?:[^"\r\n]++|"")*+'
    return _Patterns(
        re.compile(rb"%b(?:%b%b)*+%b" % (cell, cut, cell, end)),
        re.compile(rb"%b[^%b\r\n]*+(?:%b%b)*+%b" % (inside, cut, cut, cell, end)),
        re.compile(rb"%b(?:%b%b)*+%b" % (quoted, cut, quoted, end)),
        re.compile(rb"(?:%b%b)*+(?:%b|%b)%b" % (clean, cut, clean, unclosed, end)),
    )


class _Closings:
    """Where cells that are open at the end of a line are closed, found for all lines at once when it is asked."""

    def __init__(self, lines: Sequence[bytes], patterns: _Patterns) -> None:
        self._lines = lines
        self._patterns = patterns
        self._last: list[int] = []

    def after(self, number: int) -> int:
        """Return the line in which a cell that is open after a line is closed; the number of lines if in none."""
        if not self._last:
            last = len(self._lines)
            self._last = [last] * (last + 1)
            for place in range(len(self._lines) - 1, -1, -1):
                line = self._lines[place]
                if _QUOTE in line and self._patterns.closing.fullmatch(line):
                    last = place
                self._last[place] = last
        return self._last[number + 1]


class _RowLines:
    """Which lines are rows by themselves; each is judged once at most."""

    def __init__(self, lines: Sequence[bytes], form: RowForm, patterns: _Patterns) -> None:
        self._lines = lines
        self._form = form
        self._patterns = patterns
        self._separator = form.separator.encode()
        self._next = 0  #: the first row from where it was looked for, if it is before ``_seen``
        self._seen = 0

    def is_between(self, first: int, last: int) -> bool:
        """Return whether there is one after a line, up to another line; ``first`` never decreases."""
        if self._next <= first:
            self._next = max(self._seen, first + 1)
        while self._next >= self._seen and self._next <= last:
            self._seen = self._next + 1
            if not self._is_row(self._lines[self._next]):
                self._next += 1
        return self._next <= last and self._next < self._seen

    def _is_row(self, line: bytes) -> bool:
        form = self._form
        if line.count(self._separator) < form.width - 1 or (form.comment and line.startswith(form.comment)):
            return False
        if not self._patterns.clean.fullmatch(line):
            return False
        cells = cells_of_row(line, form.separator)
        return form.has_width(cells) and form.has_time(cells)
