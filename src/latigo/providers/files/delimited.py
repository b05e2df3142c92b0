"""CSV files: one streaming pass indexes the times of blocks, then only the blocks of a window are read."""

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from latigo.domain.bad_readings import Fault
from latigo.domain.series import Times
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files.csv_block import CsvBlock, Unit
from latigo.providers.files.header import Header, blank_comments, find_header
from latigo.providers.files.judging import excerpt_of
from latigo.providers.files.lines import last_row_end
from latigo.providers.files.reading import (
    MAX_TIME,
    MIN_TIME,
    Chunk,
    FileChanged,
    InvalidFile,
    Layout,
    Span,
    Stopped,
)
from latigo.providers.files.repeated_hour import (
    Evidence,
    NearRows,
    Parts,
    RepeatedHour,
    Run,
    Runs,
    joined_runs,
    runs_by_part,
)
from latigo.providers.files.text import UTF_8, Identity, OpenFile, Text, Texts
from latigo.runtime.clock import Clock
from latigo.runtime.time_formats import suggest_format

_MIN_BLOCK = 64 * 1024
_MAX_BLOCKS = 16 * 1024  #: in one file, approximately: larger files have larger blocks
_MAX_READ = 1024 * 1024  #: adjacent blocks are read together up to this size
_MAX_LINE = 4 * 1024 * 1024
_MANY_NULS = 512  #: left by a power loss, in place of what was not written
_ENOUGH_ROWS = 10  #: without a single time, to judge a file that is being written
_FINGERPRINT = 64  #: bytes at the end of the indexed part, which show that a file has grown and was not replaced
_SETTLED_SECONDS = 10.0  #: after this long without a write, a last line without its line end is complete


class Block(NamedTuple):
    """Complete rows of a file, with their first and last time."""

    offset: int
    size: int
    line: int  #: number of the first line, from 1
    lines: int
    first: int
    last: int
    hours: Sequence[RepeatedHour]  #: to which rows belong; they may be in either run
    rows: int  #: without blank lines

    @property
    def key(self) -> Hashable:
        """What tells it from other blocks of the file, and from itself before it grew."""
        return self.offset, self.size

    @property
    def unit(self) -> Unit:
        """What is counted for itself."""
        return Unit(self.offset, self.rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """The index of a file. Immutable and replaced as a whole, so that readers need no lock."""

    identity: Identity
    size: int  #: of the text, in bytes
    header: Header | None  #: None while it is incomplete
    blocks: tuple[Block, ...] = ()
    firsts: Times = field(default_factory=lambda: np.empty(0, np.int64))  #: of the blocks
    lasts: Times = field(default_factory=lambda: np.empty(0, np.int64))
    counts: Times = field(default_factory=lambda: np.empty(0, np.int64))  #: of rows
    tags: frozenset[str] = frozenset()
    hours: frozenset[RepeatedHour] = frozenset()  #: to which rows belong
    runs: Mapping[Hashable, Mapping[RepeatedHour, Runs]] = field(default_factory=dict)  #: by the keys of blocks
    origin: object = field(default_factory=object)  #: the same while the file grows, another if it is replaced
    fingerprint: bytes = b""
    finished: bool = False  #: the file was indexed to its end; a cancelled pass continues where it stopped
    tail: bool = False  #: a last line without its line end is not indexed yet

    @property
    def end(self) -> int:
        last = self.blocks[-1] if self.blocks else None
        if last:
            return last.offset + last.size
        return len(self.header.data) if self.header else 0

    @property
    def may_have_more_header(self) -> bool:
        """Return whether no row has a time so far: such rows may be units, which the rows to come will show."""
        has_times = ((self.firsts > MIN_TIME) & (self.firsts < MAX_TIME)).any()
        return self.header is None or (self.end <= _MIN_BLOCK and not has_times)


class DelimitedFile:
    """One CSV file; it may grow, or be replaced.

    Args:
        path: of the file.
        layout: how readings are written in it.
        clock: for the age of the last write.
        bad: account of the readings that are skipped.
        tag: whose readings it has, where its path says so; otherwise columns or rows name their tags.
        texts: temporary files that are shared with other files, for those that have to be decoded.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        clock: Clock,
        bad: BadReadings,
        *,
        tag: str | None = None,
        texts: Texts | None = None,
    ) -> None:
        self.path = path
        self.tag = tag
        self._layout = layout
        self._bad = bad
        self._clock = clock
        self._texts = texts or Texts()
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
        return self._latest.header.repeated if self._latest and self._latest.header else frozenset()

    def check_header(self) -> None:
        """Read the header.

        Raises:
            OSError: the file cannot be read.
            InvalidFile: a column is missing or repeated, or the header is not text.
        """
        with self._opened() as file:
            self._read_header(file.text(), settled=self._is_settled(file))

    def refresh(self, stop: threading.Event) -> None:
        with self._opened() as file:
            settled = self._is_settled(file)
            index = self._latest
            if index and index.identity == file.identity and index.finished and not (index.tail and settled):
                return
            text = file.text(stop)
            if not (index and self._has_grown(file, text, index)):
                header = self._read_header(text, settled=settled)
                index = _Index(file.identity, text.size, header, tags=self._tags_of_columns(header))
            index = replace(index, identity=file.identity, size=text.size, finished=False)
            self._latest = self._indexed(text, index, stop, settled=settled)
            if not self._latest.hours:
                self._index = self._latest
            if not self._latest.finished:
                raise Stopped

    @property
    def hours(self) -> AbstractSet[RepeatedHour]:
        return self._latest.hours if self._latest else frozenset()

    @property
    def version(self) -> object:
        return self._latest

    def near(self, hour: RepeatedHour) -> NearRows | None:
        if (index := self._latest) is None:
            return None
        parts = Parts(index.origin, index.firsts, index.lasts, index.counts, lambda number: index.blocks[number].key)
        return self._evidence.near(
            hour, parts, lambda number, window: self._block(index, [index.blocks[number]]).near(hour, window)
        )

    def place(self, placed: Mapping[RepeatedHour, tuple[NearRows, Runs]]) -> None:
        if self._latest:
            self._index = replace(self._latest, runs=runs_by_part(placed))
            for hour, (rows, runs) in placed.items():
                self._count_doubtful(self._index, hour, rows, runs)

    def _count_doubtful(self, index: _Index, hour: RepeatedHour, rows: NearRows, runs: Runs) -> None:
        doubtful = np.flatnonzero(runs == Run.DOUBTFUL)

        def example() -> str:
            key, number = rows.part_of(int(doubtful[0]))
            block = next(block for block in index.blocks if block.key == key)
            return self._block(index, [block]).describe_ambiguous(hour, number)

        self._bad.record(str(self.path), hour, "", Fault.TWO_TIMES, len(doubtful), example)

    def spans(self, start: int, end: int) -> Sequence[Span]:
        """Return spans of adjacent blocks, up to a size."""
        index = self._index
        if index is None:
            return []
        runs: list[list[Block]] = []
        for number in np.flatnonzero((index.lasts >= start) & (index.firsts < end)).tolist():
            block, run = index.blocks[number], runs[-1] if runs else None
            if run and run[-1].offset + run[-1].size == block.offset and _extent(run) + block.size <= _MAX_READ:
                run.append(block)
            else:
                runs.append([block])
        return [Span(min(b.first for b in run), max(b.last for b in run), (index, run)) for run in runs]

    def describe(self, spans: Sequence[Span]) -> str:
        runs = [span.part[1] for span in spans]
        parts = [f"{run[0].offset}-{run[-1].offset + run[-1].size - 1}" for run in runs]
        return f"{self.path} bytes {', '.join(parts)}"

    def read(self, span: Span, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        index, blocks = span.part
        return self._block(index, blocks).read(tags, start, end)

    def _block(self, index: _Index, blocks: Sequence[Block]) -> CsvBlock:
        """Read adjacent blocks.

        Raises:
            OSError: the file cannot be read.
            FileChanged: it was replaced since it was indexed.
        """
        with self._opened() as file:
            text = file.text()
            if file.identity != index.identity and not self._still_matches(file, text, index):
                raise FileChanged
            size = _extent(blocks)
            data = text.read(size, blocks[0].offset)
            encoding = text.encoding
        if len(data) != size or index.header is None:
            raise FileChanged
        runs = joined_runs(index.runs.get(block.key, {}) for block in blocks)
        units = [block.unit for block in blocks]
        return self._rows(index.header, data, encoding, blocks[0].line, units, runs)

    def _opened(self) -> AbstractContextManager[OpenFile]:
        return self._texts.opened(self.path, self._layout.encoding)

    def _rows(
        self,
        header: Header,
        data: bytes,
        encoding: str,
        line: int,
        units: Sequence[Unit],
        runs: Mapping[RepeatedHour, Runs],
    ) -> CsvBlock:
        """Return complete rows in UTF-8, without comments."""
        comment = self._layout.comment.encode(encoding, "replace")
        data = blank_comments(data, comment, header.layout.separator)
        if encoding != UTF_8:
            data = data.decode(encoding, "replace").encode()
        return CsvBlock(self.path, header.layout, header.columns, data, line, runs, self._bad, units, self.tag)

    def _is_settled(self, file: OpenFile) -> bool:
        return self._clock.now().timestamp() - file.identity.modified / 1e9 > _SETTLED_SECONDS

    def _read_header(self, text: Text, *, settled: bool) -> Header | None:
        """Return the header; None while it is incomplete."""
        data = b""
        while True:
            more = text.read(max(_MIN_BLOCK, len(data)), len(data))  # doubles, since all of it is parsed again
            data += more
            is_whole = not more or len(data) >= min(text.size, _MAX_LINE)
            header = find_header(
                self.path, data, text.encoding, self._layout, self.tag, is_whole=is_whole, is_settled=settled
            )
            if header or is_whole:
                return header

    def _tags_of_columns(self, header: Header | None) -> frozenset[str]:
        if header is None or self._layout.is_long or self.tag is not None:
            return frozenset()
        return self._layout.tags_of(frozenset(header.columns))

    def _no_time(self, example: str) -> str:
        names = " and ".join(map(repr, self._layout.time_columns))
        form = suggest_format([example]) or "such as %d.%m.%Y %H:%M:%S"
        return (
            f"{self.path}: no row has a time that can be read, such as {excerpt_of(example)} in column {names}:"
            f" set time_format, {form}; or check time_column"
        )

    def _has_grown(self, file: OpenFile, text: Text, index: _Index) -> bool:
        """Return whether only the rest has to be indexed. A file that changed without growing was replaced."""
        unchanged = file.identity == index.identity
        if index.may_have_more_header and not unchanged:
            return False
        return (unchanged or text.size > index.size) and self._still_matches(file, text, index)

    def _still_matches(self, file: OpenFile, text: Text, index: _Index) -> bool:
        """Return whether the indexed part is unchanged, judged by its beginning and end."""
        if file.identity[:2] != index.identity[:2] or text.size < index.end or not index.header:
            return False
        before = index.end - len(index.fingerprint)
        head = index.header.data
        return text.read(len(head), 0) == head and text.read(len(index.fingerprint), before) == index.fingerprint

    def _indexed(self, text: Text, index: _Index, stop: threading.Event, *, settled: bool) -> _Index:
        """Index to the end, block by block. The last block is indexed again, since it may not have been full."""
        if not (header := index.header):
            return replace(index, finished=True, tail=index.size > 0)
        index = _without_last_block(index)
        separator, comment = header.layout.separator, self._layout.comment.encode(text.encoding, "replace")
        size = max(_MIN_BLOCK, index.size // _MAX_BLOCKS)
        blocks, tags, offset = list(index.blocks), set(index.tags), index.end
        line = blocks[-1].line + blocks[-1].lines if blocks else 1 + header.data.count(b"\n")
        at_end, data, example = False, b"", ""
        while offset < index.size and not at_end and not stop.is_set():
            wanted = min(max(size, 2 * len(data)), index.size - offset)
            data = text.read(wanted, offset)
            if len(data) != wanted:
                raise FileChanged
            at_end = offset + wanted == index.size
            if nuls := _nuls_before(data):
                self._bad.record(str(self.path), ("nul", line), "", Fault.ROW, 1, f"line {line}: NUL characters")
                blocks.append(Block(offset, nuls, line, 0, MAX_TIME, MIN_TIME, (), 0))
                offset, data, at_end = offset + nuls, b"", offset + nuls == index.size
                continue
            ends = blank_comments(data, comment, separator, b"\r")  # in which there may be quotes
            end = wanted if at_end and settled else last_row_end(ends, separator)
            if not end and wanted < _MAX_LINE:
                continue  # a row longer than a block: read more of it
            end = end or data.rfind(b"\n") + 1  # a quote that is never closed: cut at a line end
            if not end:
                raise InvalidFile(f"{self.path}: line {line} has no line end within {wanted} bytes")
            contents = self._rows(header, data[:end], text.encoding, line, [Unit(offset, 0)], {}).contents()
            lines = data.count(b"\n", 0, end)
            blocks.append(Block(offset, end, line, lines, contents.first, contents.last, contents.hours, contents.rows))
            tags |= contents.tags
            example = example or contents.example
            offset, line, data = offset + end, line + blocks[-1].lines, b""
        is_long = settled or sum(block.rows for block in blocks) >= _ENOUGH_ROWS
        if example and is_long and all(block.first > block.last for block in blocks):
            raise InvalidFile(self._no_time(example), "time_format")
        index = replace(index, blocks=tuple(blocks), tags=frozenset(tags))
        print_size = min(_FINGERPRINT, index.end)
        return replace(
            index,
            firsts=np.array([block.first for block in blocks], np.int64),
            lasts=np.array([block.last for block in blocks], np.int64),
            counts=np.array([block.rows for block in blocks], np.int64),
            hours=frozenset(hour for block in blocks for hour in block.hours),
            fingerprint=text.read(print_size, index.end - print_size),
            finished=at_end or offset == index.size,
            tail=offset < index.size,
        )


def _nuls_before(data: bytes) -> int:
    """Return how many NUL characters data begins with; a few are part of a row."""
    nuls = len(data) - len(data.lstrip(b"\0"))
    return nuls if nuls >= _MANY_NULS else 0


def _extent(blocks: Sequence[Block]) -> int:
    return blocks[-1].offset + blocks[-1].size - blocks[0].offset


def _without_last_block(index: _Index) -> _Index:
    if not index.blocks:
        return index
    return replace(index, blocks=index.blocks[:-1])
