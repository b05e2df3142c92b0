"""CSV files: one streaming pass makes an index of where which times stand, then only those bytes are read."""

import csv
import io
import os
import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from latigo.domain.series import Times
from latigo.providers.files.csv_block import CsvBlock
from latigo.providers.files.lines import first_row_end, last_row_end
from latigo.providers.files.reading import (
    BadFile,
    FileChanged,
    Layout,
    Piece,
    Span,
    Stopped,
)
from latigo.providers.files.times import ClockState
from latigo.runtime.clock import Clock

_SMALLEST_BLOCK = 64 * 1024
_MOST_BLOCKS = 16 * 1024  #: of one file, more or less: larger files have larger blocks
_LARGEST_READ = 1024 * 1024  #: neighbouring blocks are read together up to this
_LONGEST_LINE = 4 * 1024 * 1024
_FINGERPRINT = 64  #: bytes before the end of what is indexed, to tell a file that grew from one written anew
_SETTLED_SECONDS = 10.0  #: a last line without a line end counts once nobody has touched the file for this long


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

    def __init__(self, path: Path, layout: Layout, clock: Clock) -> None:
        self.path = path
        self._layout = layout
        self._clock = clock
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
        rows = CsvBlock(self.path, self._layout, index.columns, data, blocks[0].line, blocks[0].clock)
        return rows.read(tags, start, end)

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
        return self._clock.now().timestamp() - found.st_mtime > _SETTLED_SECONDS

    def _read_header(self, handle: int, *, settled: bool) -> bytes:
        """The first line with its end; empty while it is not written to its end."""
        data = b""
        while len(data) < _LONGEST_LINE:
            more = os.pread(handle, _SMALLEST_BLOCK, len(data))
            data += more
            if end := first_row_end(data, self._layout.separator):
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
            end = wanted if at_end and settled else last_row_end(data, self._layout.separator)
            if not end and wanted < _LONGEST_LINE:
                continue  # a line longer than a block: read more of it
            end = end or data.rfind(b"\n") + 1  # a quote that is never closed: lines are what they look like
            if not end:
                raise BadFile(f"{self.path}: line {line} has no end within {wanted} bytes")
            held = CsvBlock(self.path, self._layout, index.columns, data[:end], line, clock).contents()
            blocks.append(Block(offset, end, line, data.count(b"\n", 0, end), held.first, held.last, clock))
            tags |= held.tags
            clock, offset, line, data = held.clock, offset + end, line + blocks[-1].lines, b""
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


def _extent(blocks: Sequence[Block]) -> int:
    return blocks[-1].offset + blocks[-1].size - blocks[0].offset


def _without_last_block(index: _Index) -> _Index:
    if not index.blocks:
        return index
    return replace(index, blocks=index.blocks[:-1], clock=index.blocks[-1].clock)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")
