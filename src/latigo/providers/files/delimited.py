"""CSV files: one streaming pass indexes the times of blocks, then only the blocks of a window are read."""

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from latigo.domain.bad_readings import Fault
from latigo.domain.errors import BadReading
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files import indexing
from latigo.providers.files.csv_block import CsvBlock
from latigo.providers.files.header import Header, find_header
from latigo.providers.files.indexing import Block, Indexing, Rows, Section, Source, describe_header, with_damage
from latigo.providers.files.judging import describe_no_time
from latigo.providers.files.ranges import Ranges
from latigo.providers.files.reading import (
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
from latigo.providers.files.text import Identity, OpenFile, Text, Texts
from latigo.runtime.clock import Clock

_MAX_READ = 1024 * 1024  #: adjacent blocks are read together up to this size
_ENOUGH_ROWS = 10  #: without a single time, to judge a file that is being written
_FINGERPRINT = 64  #: bytes at the end of the indexed part, which show that a file has grown and was not replaced
_SETTLED_SECONDS = 10.0  #: after this long without a write, a last line without its line end is complete


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """The index of a file. Immutable and replaced as a whole, so that readers need no lock."""

    identity: Identity
    size: int  #: of the text, in bytes
    header: Header | None  #: None while it is incomplete
    blocks: tuple[Block, ...] = ()
    ranges: Ranges = field(default_factory=Ranges)  #: of the times of the blocks
    sections: tuple[Section, ...] = ()
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
        return self.header is None or (self.end <= indexing.MIN_BLOCK and not self.ranges.are_known)


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

    def check(self, stop: threading.Event) -> None:
        """Read the header, and rows until one has a time.

        Raises:
            OSError: the file cannot be read.
            InvalidFile: a column is missing or repeated, the header is not text, or no row has a time.
            Stopped: the read was cancelled.
        """
        with self._opened() as file:
            text, settled = file.text(stop), self._is_settled(file)
            index = self._begun(file, text, settled=settled)
            self._indexed(text, index, stop, settled=settled, until_time=True)

    def refresh(self, stop: threading.Event) -> None:
        with self._opened() as file:
            settled = self._is_settled(file)
            index = self._latest
            if index and index.identity == file.identity and index.finished and not (index.tail and settled):
                return
            text = file.text(stop)
            if not (index and self._has_grown(file, text, index)):
                index = self._begun(file, text, settled=settled)
            index = replace(index, identity=file.identity, size=text.size, finished=False)
            self._latest = self._indexed(text, index, stop, settled=settled)
            if not self._latest.hours:
                self._index = self._latest
            if not self._latest.finished:
                raise Stopped

    def _begun(self, file: OpenFile, text: Text, *, settled: bool) -> _Index:
        header = self._read_header(text, settled=settled)
        sections = (Section(header.columns),) if header else ()
        return _Index(file.identity, text.size, header, sections=sections, tags=self._tags_of_columns(header))

    @property
    def hours(self) -> AbstractSet[RepeatedHour]:
        return self._latest.hours if self._latest else frozenset()

    @property
    def version(self) -> object:
        return self._latest

    def near(self, hour: RepeatedHour) -> NearRows | None:
        if (index := self._latest) is None:
            return None
        ranges = index.ranges

        def block_of(number: int) -> Block:
            return index.blocks[int(ranges.owners[number])]

        parts = Parts(index.origin, ranges.firsts, ranges.lasts, ranges.counts, lambda number: block_of(number).key)
        return self._evidence.near(
            hour, parts, lambda number, window: self._block(index, [block_of(number)]).near(hour, window)
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
        found = index.ranges.within(start, end)
        for number in found:
            block, run = index.blocks[number], runs[-1] if runs else None
            if run and _follows(run, block):
                run.append(block)
            else:
                runs.append([block])
        bounds = iter(found.values())
        spans = []
        for run in runs:
            firsts, lasts = zip(*islice(bounds, len(run)), strict=True)
            spans.append(Span(min(firsts), max(lasts), (index, run)))
        return spans

    def describe(self, spans: Sequence[Span]) -> str:
        runs = [span.part[1] for span in spans]
        parts = [f"{run[0].offset}-{run[-1].offset + run[-1].size - 1}" for run in runs]
        return f"{self.path} bytes {', '.join(parts)}"

    def read(self, span: Span, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        index, blocks = span.part
        section = index.sections[blocks[0].section]
        if blocks[0].damage:
            raise BadReading(f"{self.path}, line {blocks[0].line}: {blocks[0].damage}")
        if section.is_refused:
            raise BadReading(f"{self.path}, line {section.line}: {describe_header(section.columns)}")
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
        section = index.sections[blocks[0].section]
        return self._rows_of(index.header).block(section, data, encoding, blocks[0].line, units, runs)

    def _opened(self) -> AbstractContextManager[OpenFile]:
        return self._texts.opened(self.path, self._layout.encoding)

    def _is_settled(self, file: OpenFile) -> bool:
        return self._clock.now().timestamp() - file.identity.modified / 1e9 > _SETTLED_SECONDS

    def _read_header(self, text: Text, *, settled: bool) -> Header | None:
        """Return the header; None while it is incomplete."""
        data = b""
        while True:
            more = text.read(max(indexing.MIN_BLOCK, len(data)), len(data))  # doubles, since all of it is parsed again
            data += more
            is_whole = not more or len(data) >= min(text.size, indexing.MAX_LINE)
            header = find_header(
                self.path, data, text.encoding, self._layout, self.tag, is_whole=is_whole, is_settled=settled
            )
            if header or is_whole:
                return header

    def _tags_of_columns(self, header: Header | None) -> frozenset[str]:
        if header is None or self._layout.is_long or self.tag is not None:
            return frozenset()
        return self._layout.tags_of(frozenset(header.columns))

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

    def _indexed(
        self, text: Text, index: _Index, stop: threading.Event, *, settled: bool, until_time: bool = False
    ) -> _Index:
        """Index to the end, or to the first block that has a time."""
        if not index.header:
            return replace(index, finished=True, tail=index.size > 0)
        rows = self._rows_of(index.header)
        source = Source(text, index.size, settled)
        growing = Indexing(rows, source, index.header, index.blocks, index.sections, index.tags)
        growing.run(stop, until_time=until_time)
        example, blocks = growing.example, growing.blocks
        ranges = Ranges.of([block.ranges for block in blocks])
        is_long = settled or sum(block.rows for block in blocks) >= _ENOUGH_ROWS
        if example and is_long and not ranges.are_known:
            raise InvalidFile(describe_no_time(self.path, example, self._layout), "time_format")
        if self._layout.strict:
            ranges = Ranges.of(with_damage(blocks))
        index = replace(index, blocks=tuple(blocks), sections=tuple(growing.sections), tags=frozenset(growing.tags))
        print_size = min(_FINGERPRINT, index.end)
        return replace(
            index,
            ranges=ranges,
            hours=frozenset(hour for block in blocks for hour in block.hours),
            fingerprint=text.read(print_size, index.end - print_size),
            finished=growing.is_finished,
            tail=index.end < index.size,
        )

    def _rows_of(self, header: Header) -> Rows:
        return Rows(self.path, header.layout, self._bad, self.tag)


def _follows(run: Sequence[Block], block: Block) -> bool:
    """Return whether a block is read together with those before it."""
    last = run[-1]
    return (
        last.offset + last.size == block.offset
        and last.section == block.section
        and not (last.damage or block.damage)
        and _extent(run) + block.size <= _MAX_READ
    )


def _extent(blocks: Sequence[Block]) -> int:
    return blocks[-1].offset + blocks[-1].size - blocks[0].offset
