"""CSV files: one streaming pass indexes the times of blocks, then only the blocks of a window are read."""

import csv
import io
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from latigo.domain.series import Times
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files.csv_block import CsvBlock
from latigo.providers.files.lines import first_row_end, last_row_end
from latigo.providers.files.reading import (
    Chunk,
    FileChanged,
    InvalidFile,
    Layout,
    Span,
    Stopped,
)
from latigo.providers.files.times import ClockState
from latigo.runtime.clock import Clock

_MIN_BLOCK = 64 * 1024
_MAX_BLOCKS = 16 * 1024  #: in one file, approximately: larger files have larger blocks
_MAX_READ = 1024 * 1024  #: adjacent blocks are read together up to this size
_MAX_COLUMNS = 200_000
_MAX_LINE = 4 * 1024 * 1024
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
    clock: ClockState  #: before the first row


class _Identity(NamedTuple):
    """Identity and extent of a file."""

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, stat: os.stat_result) -> "_Identity":
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """The index of a file. Immutable and replaced as a whole, so that readers need no lock."""

    identity: _Identity
    header: bytes
    columns: tuple[str, ...]
    blocks: tuple[Block, ...] = ()
    firsts: Times = field(default_factory=lambda: np.empty(0, np.int64))  #: of the blocks
    lasts: Times = field(default_factory=lambda: np.empty(0, np.int64))
    tags: frozenset[str] = frozenset()
    clock: ClockState = field(default_factory=ClockState)  #: after the last block
    fingerprint: bytes = b""
    finished: bool = False  #: the file was indexed to its end; a cancelled pass continues where it stopped
    tail: bool = False  #: a last line without its line end is not indexed yet

    @property
    def end(self) -> int:
        last = self.blocks[-1] if self.blocks else None
        return last.offset + last.size if last else len(self.header)


class DelimitedFile:
    """One CSV file; it may grow, or be replaced.

    Args:
        path: of the file.
        layout: how readings are written in it.
        clock: for the age of the last write.
        bad: account of the readings that are skipped.
        tag: whose readings it has, where its path says so; otherwise columns or rows name their tags.
    """

    def __init__(self, path: Path, layout: Layout, clock: Clock, bad: BadReadings, *, tag: str | None = None) -> None:
        self.path = path
        self.tag = tag
        self._layout = layout
        self._bad = bad
        self._clock = clock
        self._index: _Index | None = None

    @property
    def tags(self) -> AbstractSet[str]:
        if self.tag is not None:
            return frozenset({self.tag})
        return self._index.tags if self._index else frozenset()

    def check_header(self) -> None:
        """Read the header.

        Raises:
            OSError: the file cannot be read.
            InvalidFile: a column is missing or repeated, or the header is not text.
        """
        with self.path.open("rb", buffering=0) as file:
            handle = file.fileno()
            self._columns(self._read_header(handle, settled=self._is_settled(os.fstat(handle))))

    def refresh(self, stop: threading.Event) -> None:
        with self.path.open("rb", buffering=0) as file:
            handle = file.fileno()
            stat = os.fstat(handle)
            identity, settled = _Identity.of(stat), self._is_settled(stat)
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
        data = self._read_bytes(index, blocks)
        rows = CsvBlock(self.path, self._layout, index.columns, data, blocks[0].line, blocks[0].clock)
        return rows.read(tags, start, end)

    def _read_bytes(self, index: "_Index", blocks: Sequence[Block]) -> bytes:
        size = _extent(blocks)
        with self.path.open("rb", buffering=0) as file:
            handle = file.fileno()
            identity = _Identity.of(os.fstat(handle))
            if identity != index.identity and not self._still_matches(handle, index, identity):
                raise FileChanged
            data = os.pread(handle, size, blocks[0].offset)
        if len(data) != size:
            raise FileChanged
        return data

    def _is_settled(self, stat: os.stat_result) -> bool:
        return self._clock.now().timestamp() - stat.st_mtime > _SETTLED_SECONDS

    def _read_header(self, handle: int, *, settled: bool) -> bytes:
        """Return the first row with its line end; empty while it is incomplete."""
        data = b""
        while len(data) < _MAX_LINE:
            more = os.pread(handle, max(_MIN_BLOCK, len(data)), len(data))  # doubles, since all of it is parsed again
            data += more
            if end := first_row_end(data, self._layout.separator):
                return data[:end]
            if not more:
                if data and settled:
                    break
                return b""
        raise InvalidFile(f"{self.path}: the first line has no line end (LF or CR LF); is this a CSV file?")

    def _columns(self, header: bytes) -> tuple[str, ...]:
        if not header:
            return ()
        try:
            text = header.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidFile(f"{self.path}: the first line is not UTF-8; convert the file: {error}") from error
        try:
            columns = tuple(next(csv.reader(io.StringIO(text, newline=""), delimiter=self._layout.separator), ()))
        except csv.Error as error:
            raise InvalidFile(f"{self.path}: the first line is not valid CSV: {error}") from error
        for key, name in self._layout.required(self.tag):
            if name not in columns:
                raise InvalidFile(f"{self.path} has no column {name!r}; its columns are {_first_names(columns)}", key)
        if len(columns) > _MAX_COLUMNS:
            raise InvalidFile(f"{self.path} has {len(columns)} columns, more than {_MAX_COLUMNS}")
        if repeated := [name for name, times in Counter(columns).items() if name and times > 1]:
            raise InvalidFile(f"{self.path} has two columns {repeated[0]!r}: rename one")
        return columns

    def _has_grown(self, handle: int, index: _Index, identity: _Identity) -> bool:
        """Return whether only the rest has to be indexed. A file that changed without growing was replaced."""
        unchanged = identity == index.identity
        return (unchanged or identity.size > index.identity.size) and self._still_matches(handle, index, identity)

    def _still_matches(self, handle: int, index: _Index, identity: _Identity) -> bool:
        """Return whether the indexed part is unchanged, judged by its beginning and end."""
        if identity[:2] != index.identity[:2] or identity.size < index.end or not index.header:
            return False
        head = os.pread(handle, len(index.header), 0)
        before = index.end - len(index.fingerprint)
        return head == index.header and os.pread(handle, len(index.fingerprint), before) == index.fingerprint

    def _indexed(self, handle: int, index: _Index, stop: threading.Event, *, settled: bool) -> _Index:
        """Index to the end, block by block. The last block is indexed again, since it may not have been full."""
        if not index.columns:
            return replace(index, finished=True, tail=index.identity.size > 0)
        index = _without_last_block(index)
        size = max(_MIN_BLOCK, index.identity.size // _MAX_BLOCKS)
        blocks, tags, offset, clock = list(index.blocks), set(index.tags), index.end, index.clock
        line = blocks[-1].line + blocks[-1].lines if blocks else 1 + index.header.count(b"\n")
        at_end, data = False, b""
        while offset < index.identity.size and not at_end and not stop.is_set():
            wanted = min(max(size, 2 * len(data)), index.identity.size - offset)
            data = os.pread(handle, wanted, offset)
            if len(data) != wanted:
                raise FileChanged
            at_end = offset + wanted == index.identity.size
            end = wanted if at_end and settled else last_row_end(data, self._layout.separator)
            if not end and wanted < _MAX_LINE:
                continue  # a row longer than a block: read more of it
            end = end or data.rfind(b"\n") + 1  # a quote that is never closed: cut at a line end
            if not end:
                raise InvalidFile(f"{self.path}: line {line} has no line end within {wanted} bytes")
            contents = CsvBlock(self.path, self._layout, index.columns, data[:end], line, clock).contents()
            blocks.append(Block(offset, end, line, data.count(b"\n", 0, end), contents.first, contents.last, clock))
            tags |= contents.tags
            clock, offset, line, data = contents.clock, offset + end, line + blocks[-1].lines, b""
        index = replace(index, blocks=tuple(blocks), tags=frozenset(tags), clock=clock)
        print_size = min(_FINGERPRINT, index.end)
        return replace(
            index,
            firsts=np.array([block.first for block in blocks], np.int64),
            lasts=np.array([block.last for block in blocks], np.int64),
            fingerprint=os.pread(handle, print_size, index.end - print_size),
            finished=at_end or offset == index.identity.size,
            tail=offset < index.identity.size,
        )


def _extent(blocks: Sequence[Block]) -> int:
    return blocks[-1].offset + blocks[-1].size - blocks[0].offset


def _without_last_block(index: _Index) -> _Index:
    if not index.blocks:
        return index
    return replace(index, blocks=index.blocks[:-1], clock=index.blocks[-1].clock)


def _first_names(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")
