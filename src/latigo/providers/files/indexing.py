"""The index of a CSV file: which times its blocks of rows have, and what of it is damaged as a whole."""

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from latigo.domain.bad_readings import Fault
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files.csv_block import Contents, CsvBlock, OtherHeader, Unit
from latigo.providers.files.header import Header, name_the_same
from latigo.providers.files.judging import excerpt_of
from latigo.providers.files.lines import RowForm, count_of, last_row_end, without_comments
from latigo.providers.files.ranges import MAX_TIME, MIN_TIME, Range, unknown
from latigo.providers.files.reading import FileChanged, Layout
from latigo.providers.files.repeated_hour import RepeatedHour, Runs
from latigo.providers.files.text import UTF_8, Text

MIN_BLOCK = 64 * 1024
MAX_LINE = 4 * 1024 * 1024
_MAX_BLOCKS = 16 * 1024  #: in one file, approximately: larger files have larger blocks
_PART = 1024 * 1024  #: of a longer line that is read at once
_MANY_NULS = b"\0" * 512  #: left by a power loss, in place of what was not written
_NULS = "NUL characters"


class Block(NamedTuple):
    """Complete rows of a file, with their times; or what is damaged as a whole and has no rows."""

    offset: int
    size: int
    line: int  #: number of the first line, from 1
    lines: int
    ranges: Sequence[Range]  #: of the times
    hours: Sequence[RepeatedHour]  #: to which rows belong; they may be in either run
    rows: int  #: without blank lines
    section: int  #: number of the header that the rows have
    damage: str = ""  #: description of it
    is_open: bool = False  #: a damaged line goes on after the block

    @property
    def key(self) -> Hashable:
        """What tells it from other blocks of the file, and from itself before it grew."""
        return self.offset, self.size

    @property
    def unit(self) -> Unit:
        """What is counted for itself."""
        return Unit(self.offset, self.rows)


class Section(NamedTuple):
    """Rows of a file that have the same header."""

    columns: tuple[str, ...]
    line: int = 0  #: of a header that is in the middle of the file
    is_refused: bool = False  #: it gives the rows another meaning than the first header does


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows of a file are read."""

    path: Path
    layout: Layout
    bad: BadReadings
    tag: str | None

    def block(
        self,
        section: Section,
        data: bytes,
        encoding: str,
        line: int,
        units: Sequence[Unit],
        runs: Mapping[RepeatedHour, Runs],
    ) -> CsvBlock:
        """Return complete rows in UTF-8, without comments."""
        if encoding != UTF_8:
            data = data.decode(encoding, "replace").encode()
        data = without_comments(data, RowForm.of(self.layout, section.columns, UTF_8))
        columns, is_refused = section.columns, section.is_refused
        return CsvBlock(self.path, self.layout, columns, data, line, runs, self.bad, units, self.tag, is_refused)

    def lose(self, line: int, damage: str) -> None:
        """Count what is damaged as a whole."""
        self.bad.record(str(self.path), ("line", line), "", Fault.ROW, 1, f"line {line}: {damage}")


@dataclass(frozen=True, slots=True)
class Source:
    """The text that is indexed."""

    text: Text
    size: int
    is_settled: bool  #: it is not being written to


class Indexing:
    """One reading of the rows of a file. The last block is indexed again, since it may not have been full.

    Args:
        rows: how they are read.
        source: the text.
        header: of the file.
        blocks: which are indexed already.
        sections: the same.
        tags: in them.
    """

    def __init__(
        self,
        rows: Rows,
        source: Source,
        header: Header,
        blocks: Sequence[Block],
        sections: Sequence[Section],
        tags: AbstractSet[str],
    ) -> None:
        self._rows = rows
        self._text = source.text
        self._size = source.size
        self._is_settled = source.is_settled
        self._header = header
        self.blocks = list(blocks if blocks and blocks[-1].is_open else blocks[:-1])
        last = self.blocks[-1] if self.blocks else None
        self.sections = list(sections[: last.section + 1 if last else 1])
        self.tags = set(tags)
        self.example = ""  #: of a time that cannot be read
        self._end = last.offset + last.size if last else len(header.data)
        self._line = last.line + last.lines if last else 1 + header.data.count(b"\n")
        self._usual = max(MIN_BLOCK, self._size // _MAX_BLOCKS)
        self._at_end = False

    @property
    def is_finished(self) -> bool:
        """Whether the rest, if there is one, is a line that is still being written."""
        return self._at_end or self._end == self._size

    def run(self, stop: threading.Event, *, until_time: bool) -> None:
        """Index to the end of the file, or to the first block that has a time.

        Args:
            stop: ends this early.
            until_time: see above.

        Raises:
            FileChanged: the file has become shorter.
        """
        least = 0
        while not self.is_finished and not stop.is_set():
            if self.blocks and self.blocks[-1].is_open:
                self._extend_line()
                continue
            wanted = min(max(self._usual, least), self._size - self._end)
            least = 0 if self._add_from(wanted) else 2 * wanted
            if until_time and self.blocks and self.blocks[-1].ranges:
                return

    def _add_from(self, wanted: int) -> bool:
        """Add a block from so many bytes; return whether they were enough."""
        data = self._read(wanted)
        if nuls := self._nuls_before(data):
            self._lose(_NULS, nuls, 0)
            return True
        reaches_end = self._end + wanted == self._size
        is_cut = (nuls := data.find(b"\n" + _MANY_NULS) if b"\0" in data else -1) >= 0
        data = data[: nuls + 1] if is_cut else data
        section = self.sections[-1]
        form = RowForm.of(self._header.layout, section.columns, self._text.encoding)
        is_whole = is_cut or (reaches_end and self._is_settled)
        end = len(data) if is_whole else last_row_end(data, form)
        if not end and wanted < MAX_LINE:  # a row longer than a block
            self._at_end = reaches_end
            return False
        end = end or data.rfind(b"\n") + 1  # a quote that is never closed: cut at a line end
        if not end:
            self._lose(f"the line has more than {MAX_LINE} bytes", wanted, 0, is_open=True)
            return True
        contents = self._contents(data[:end])
        if contents.header is None:
            self._add(data[:end], contents)
        elif contents.header.is_last and not (reaches_end or is_cut) and wanted < MAX_LINE:
            return False  # what comes after it shows what it is
        else:
            self._add_section(data, contents.header)
            return True
        self._at_end = reaches_end and not is_cut
        return True

    def _read(self, wanted: int) -> bytes:
        data = self._text.read(wanted, self._end)
        if len(data) != wanted:
            raise FileChanged
        return data

    def _nuls_before(self, data: bytes) -> int:
        """Return how many NUL characters data begins with; a few are part of a row, if not the rest of many."""
        if not data.startswith(b"\0"):
            return 0
        nuls = len(data) - len(data.lstrip(b"\0"))
        is_more = bool(self.blocks) and self.blocks[-1].damage == _NULS
        return nuls if nuls >= len(_MANY_NULS) or is_more else 0

    def _contents(self, data: bytes) -> Contents:
        units = [Unit(self._end, 0)]
        return self._rows.block(self.sections[-1], data, self._text.encoding, self._line, units, {}).contents()

    def _add(self, data: bytes, contents: Contents) -> None:
        lines, section = count_of(b"\n", data), len(self.sections) - 1
        ranges, hours, rows = contents.ranges, contents.hours, contents.rows
        self.blocks.append(Block(self._end, len(data), self._line, lines, ranges, hours, rows, section))
        self.tags |= contents.tags
        self.example = self.example or contents.example
        self._advance(len(data), lines)

    def _lose(self, damage: str, size: int, lines: int, *, is_open: bool = False) -> None:
        """Add a block that has no rows, since it is damaged, and count it."""
        self._rows.lose(self._line, damage)
        section = len(self.sections) - 1
        self.blocks.append(Block(self._end, size, self._line, lines, (), (), 0, section, damage, is_open))
        self._advance(size, lines)

    def _extend_line(self) -> None:
        """Go on with a line that is too long."""
        data = self._read(min(_PART, self._size - self._end))
        last, end = self.blocks[-1], data.find(b"\n") + 1
        size, lines = (end, 1) if end else (len(data), 0)
        self.blocks[-1] = last._replace(size=last.size + size, lines=lines, is_open=not end)
        self._advance(size, lines)

    def _add_section(self, data: bytes, other: OtherHeader) -> None:
        """Add the rows before a header in the middle of the file, and the header."""
        before = _lines_end(data, other.line - self._line)
        after = _lines_end(data, other.line - self._line + other.lines)
        if before:
            contents = self._contents(data[:before])
            if contents.header is not None:  # in the last row, now that nothing comes after it
                self._add_section(data[:before], contents.header)
                return
            self._add(data[:before], contents)
        self.sections.append(self._section(other))
        self._lose(describe_header(other.columns), after - before, data.count(b"\n", before, after))

    def _section(self, other: OtherHeader) -> Section:
        """Return the rows after a header in the middle of the file."""
        columns, first = list(other.columns), self._header.columns
        for name in self._rows.layout.time_columns:
            place = self.sections[-1].columns.index(name)
            columns = [name if column == name.strip() else column for column in columns]
            if name not in columns and place < len(columns):
                columns[place] = name  # the time in the words of another program
        if name_the_same(first, columns):
            return Section(first, other.line)
        return Section(tuple(columns), other.line, is_refused=True)

    def _advance(self, size: int, lines: int) -> None:
        self._end += size
        self._line += lines


def with_damage(blocks: Sequence[Block]) -> Iterator[Sequence[Range]]:
    """Yield the ranges of blocks; damage may be from any time between those of the blocks around it."""
    before, rest = MIN_TIME, MAX_TIME
    following: list[int] = []
    for block in reversed(blocks):
        following.append(rest)
        rest = _usual(block.ranges).first if block.ranges else rest
    for block, after in zip(blocks, reversed(following), strict=True):
        if block.damage:
            yield (Range(before, after, 0),) if before <= after else unknown(0)
        else:
            yield block.ranges
            before = _usual(block.ranges).last if block.ranges else before


def describe_header(columns: Sequence[str]) -> str:
    """Return what a header in the middle of a file does."""
    names = excerpt_of(", ".join(columns))
    return f"a header with other columns, {names}, gives the rows after it another meaning: divide the file there"


def _usual(ranges: Sequence[Range]) -> Range:
    return max(ranges, key=lambda each: each.rows)


def _lines_end(data: bytes, lines: int) -> int:
    """Return the offset after so many lines, at most that of the end."""
    end = 0
    for _ in range(lines):
        end = data.find(b"\n", end) + 1
        if not end:
            return len(data)
    return end
