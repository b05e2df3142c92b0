"""The files of a path: which exist, which can be used, and the readings in them.

A file that cannot be opened or is invalid (a foreign file, a Parquet file still being written) is excluded until it
changes, with one warning, and the other files are read:

- A tag that is in no other file may be in the excluded one: reading it raises `PartlyDown` and not `UNKNOWN_SENSOR`.
- A tag that was in the file when it was last valid is not silent: reading it raises `PartlyDown` as well where the
  file had readings in the window that can no longer be read, or where no other file has any.
- Otherwise readings in the excluded file are late readings: the others are returned, and the ledger rechecks slots that
  are absent or short for that.

When no file can be used, the source is unavailable.

Where paths name the tags, only the files of the tags that are read are opened.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import ConfigurationError, PartlyDown, Reason, Rejected, Unavailable, describe_tags
from latigo.domain.series import Point, Readings
from latigo.domain.windows import from_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files.columnar import ColumnarFile
from latigo.providers.files.delimited import DelimitedFile
from latigo.providers.files.paths import NO_FILES, FoundFile, SensorPath, UnreadFiles
from latigo.providers.files.placing import Placer
from latigo.providers.files.ranges import MAX_TIME, MIN_TIME
from latigo.providers.files.reading import (
    Chunk,
    FileChanged,
    InvalidFile,
    Layout,
    SensorFile,
    SeriesBuilder,
    Span,
    Stopped,
)
from latigo.providers.files.text import Texts
from latigo.providers.protocols import SensorSample, SourceSample
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.settings import FileSensors as FileSensorsSettings

_log = get_logger(__name__)
_T = TypeVar("_T")

_MAX_NAMED = 3  #: files, in one message
_FAST_LISTING_S = 0.1  #: a listing that takes longer is made less often
_RAREST = 10.0  #: times the usual interval


@dataclass(frozen=True, slots=True)
class _Exclusion:
    """Reason why a file is excluded."""

    identity: tuple[int, int, int] | None  #: inode, size and time of change; None if they could not be read
    reason: str
    is_invalid: bool  #: by its content, until it is written to; otherwise it could not be read


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The files as of the last refresh. Immutable and replaced as a whole, so that readers need no lock."""

    downstream: str
    files: tuple[SensorFile, ...] = ()  #: with their indexes; an excluded file with its last valid one
    excluded: Mapping[Path, _Exclusion] = field(default_factory=dict)  #: files and folders
    by_tag: Mapping[str, Sequence[SensorFile]] | None = None  #: where paths name tags
    unread: UnreadFiles = NO_FILES

    def holds(self, tag: str) -> bool:
        return any(tag in file.tags for file in self.files) if self.by_tag is None else tag in self.by_tag

    def named(self, tags: AbstractSet[str]) -> Sequence[SensorFile]:
        """Return the files whose paths name one of the tags."""
        return [file for tag in sorted(tags) for file in self.by_tag.get(tag, ())] if self.by_tag else []

    def of(self, tags: AbstractSet[str]) -> Sequence[SensorFile]:
        """Return the files that have one of the tags."""
        if self.by_tag is not None:
            return self.named(tags)
        return [file for file in self.files if not tags.isdisjoint(file.tags)]

    def require_single(self, tags: AbstractSet[str], start: int, end: int) -> None:
        """Refuse tags whose name two columns of a file of this time have: which one is meant is not known."""
        for file in self.files if self.by_tag is None else ():
            if (repeated := tags & file.repeated) and (
                file.spans(start, end) or not all(self.holds(tag) for tag in repeated)
            ):
                raise Rejected(
                    f"two columns of {file.path} have the name {describe_tags(sorted(repeated))}: rename one",
                    reason=Reason.UNKNOWN_SENSOR,
                    tags=sorted(repeated),
                )

    def may_have_more(self, tag: str) -> bool:
        """Return whether an excluded file is known to have the tag."""
        return any(file.path in self.excluded for file in self.of({tag}))

    def read(self, file: SensorFile, span: Span, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        try:
            yield from file.read(span, tags, start, end)
        except (FileChanged, OSError, pa.ArrowException) as error:
            if exclusion := self.excluded.get(file.path):
                raise PartlyDown(f"sensor file {exclusion.reason}", downstream=self.downstream) from error
            raise

    @property
    def reasons(self) -> str:
        """The reasons of the first exclusions, for messages of limited length."""
        first = [exclusion.reason for exclusion in self.excluded.values()][:_MAX_NAMED]
        more = len(self.excluded) - len(first)
        return "; ".join(first) + (f"; and {more} more" if more else "")


class Folder:
    """The files of a path. Methods block; safe to call from several threads."""

    def __init__(self, settings: FileSensorsSettings, clock: Clock, bad: BadReadings, *, refresh: timedelta) -> None:
        self.downstream = circuit_name(System.SENSORS, settings.source_name)
        self._path = SensorPath(settings)
        self._layout = Layout.of(settings)
        self._clock = clock
        self._bad = bad
        self._texts = Texts()
        self._placers: defaultdict[str, Placer] = defaultdict(Placer)  #: by tag if paths name tags, otherwise one
        self._refresh = refresh.total_seconds()
        self._snapshot = _Snapshot(self.downstream)
        self._known: dict[Path, SensorFile] = {}  #: may not be indexed completely
        self._refreshed: dict[Path, float] = {}  #: when, where paths name tags; in other cases all at once
        self._fresh_until = 0.0
        self._indexed = False
        self._refreshing = threading.Lock()

    def check(self, stop: threading.Event) -> None:
        """See `FileSensors.check`."""
        try:
            listing = self._path.listing()
        except InvalidFile as error:
            raise ConfigurationError(f"sensors.{error.key}: {error}") from error
        if not listing.files:
            reason = "; ".join(islice(listing.refused.values(), _MAX_NAMED)) or (
                f"there is no file at {self._path}{self._path.expected_suffixes}"
            )
            raise ConfigurationError(f"sensors.path: {reason}{_describe_unread(listing.unread)}")
        invalid: list[InvalidFile] = []
        for found in listing.files:
            try:
                self._make(found).check(stop)
            except InvalidFile as error:
                invalid.append(error)
            else:
                return
        others = f" (and {len(invalid) - 1} more files that cannot be used)" if len(invalid) > 1 else ""
        raise ConfigurationError(f"sensors.{invalid[0].key}: {invalid[0]}{others}") from invalid[0]

    def unread(self) -> UnreadFiles:
        """Return the files below the path that are not read, as of the last refresh."""
        return self._snapshot.unread

    def remarks(self) -> str:
        """Return what is not read, as of the last refresh: clauses that begin with a semicolon."""
        excluded = f"; excluded: {self._snapshot.reasons}" if self._snapshot.excluded else ""
        return excluded + _describe_unread(self._snapshot.unread)

    def tags(self, stop: threading.Event) -> AbstractSet[str]:
        """Return the tags of all files."""
        snapshot = self._current(stop)
        if snapshot.by_tag is not None:
            return frozenset(snapshot.by_tag)
        return frozenset().union(*(file.tags for file in snapshot.files))

    def read(self, tags: Sequence[str], start: int, end: int, max_bytes: int, stop: threading.Event) -> Readings:
        """See `FileSensors.get_data_for_range`."""
        wanted = frozenset(tags)
        snapshot = self._current(stop, wanted)
        snapshot.require_single(wanted, start, end)
        if unknown := [tag for tag in dict.fromkeys(tags) if not snapshot.holds(tag)]:
            if snapshot.excluded:
                raise _partly_down("no usable sensor file has a column for", unknown, snapshot)
            raise Rejected(
                f"no sensor file has the tags {describe_tags(unknown)}", reason=Reason.UNKNOWN_SENSOR, tags=unknown
            )
        builder = SeriesBuilder.of(tags, max_bytes)
        for file in snapshot.of(wanted):
            for span in file.spans(start, end):
                _raise_if_stopped(stop)
                for chunk in snapshot.read(file, span, wanted & file.tags, start, end):
                    builder.add(chunk)
        if silent := [tag for tag, chunks in builder.chunks.items() if not chunks and snapshot.may_have_more(tag)]:
            raise _partly_down("no usable sensor file has readings of", silent, snapshot)
        return builder.series()

    def last_before(self, tags: Sequence[str], start: int, end: int, stop: threading.Event) -> dict[str, Point]:
        """See `FileSensors.get_last_before`. Reads the newest spans first, and as few as possible."""
        points: dict[str, Point] = {}
        wanted = frozenset(tags)
        snapshot = self._current(stop, wanted)
        snapshot.require_single(wanted, start, end)
        spans = [(file, span) for file in snapshot.of(wanted) for span in file.spans(start, end)]
        spans.sort(key=lambda pair: pair[1].last)
        for file, span in reversed(spans):  # of equal times the later file wins, as in a series
            _raise_if_stopped(stop)
            open_tags = {tag for tag in wanted & file.tags if tag not in points or points[tag].time < span.last}
            if open_tags:
                for chunk in snapshot.read(file, span, open_tags, start, end):
                    _keep_newer(points, chunk)
        return points

    def sample(self, tags: Sequence[str], stop: threading.Event) -> SourceSample:
        """See `FileSensors.sample`."""
        snapshot = self._current(stop, frozenset(tags))
        found = []
        for tag in tags:
            files = snapshot.of({tag})
            spans = {file.path: file.spans(MIN_TIME, MAX_TIME) for file in files}
            known = [span for each in spans.values() for span in each if span.first > MIN_TIME]
            readings = 0
            for file in _ends_and_middle(files):
                for span in _ends_and_middle(spans[file.path]):
                    _raise_if_stopped(stop)
                    for chunk in snapshot.read(file, span, frozenset({tag}), MIN_TIME, MAX_TIME):
                        readings += len(chunk.times)
            first, last = min((span.first for span in known), default=None), max((s.last for s in known), default=None)
            found.append(SensorSample(tag, readings, _datetime(first), _datetime(last)))
        return SourceSample(found, tuple(islice(self._qualities(snapshot), 1)))

    def _qualities(self, snapshot: _Snapshot) -> Iterator[str]:
        """Yield a note on each file that seems to have qualities, where the settings say nothing about them."""
        for file in snapshot.files:
            if file.tag is None and (name := self._layout.seeming_quality(file.tags | file.repeated)):
                yield (
                    f"{file.path}: column {name!r} seems to have qualities, and readings are used whatever it has"
                    ' (sensors.quality_column, such as {tag}.status; "" if there are none)'
                )

    def describe(self, start: int, end: int, tag: str | None) -> str:
        """Describe the parts of the files that a read would use; reads nothing."""
        parts = [
            file.describe(spans)
            for file in (self._snapshot.files if tag is None else self._snapshot.of({tag}))
            if (spans := file.spans(start, end))
        ]
        return "; ".join(parts) or f"{self._path} (nothing indexed yet)"

    def expire(self) -> None:
        """Check all files for changes before the next read."""
        self._fresh_until = 0.0
        self._indexed = False
        self._refreshed = {}

    def _current(self, stop: threading.Event, tags: AbstractSet[str] = frozenset()) -> _Snapshot:
        """Return the files as of at most ``refresh`` ago; those with the tags if paths name tags, otherwise all."""
        if self._clock.monotonic() < self._fresh_until and not self._stale(tags):
            return self._snapshot
        can_wait = self._indexed and all(file.path in self._refreshed for file in self._snapshot.named(tags))
        if not self._refreshing.acquire(blocking=not can_wait):
            return self._snapshot  # another thread is refreshing: the last snapshot is recent enough
        try:
            if self._clock.monotonic() >= self._fresh_until:
                self._refresh_files(stop)
            stale = self._stale(tags)
            for file in stale:
                self._refresh_named(file, stop)
            for tag in {file.tag or "" for file in stale}:
                self._placers[tag].place(self._snapshot.named({tag}))
        finally:
            self._refreshing.release()
        return self._snapshot

    def _stale(self, tags: AbstractSet[str]) -> Sequence[SensorFile]:
        """Return the files whose paths name one of the tags and that were not checked for changes of late."""
        due = self._clock.monotonic() - self._refresh
        return [file for file in self._snapshot.named(tags) if self._refreshed.get(file.path, due) <= due]

    def _refresh_files(self, stop: threading.Event) -> None:
        started = self._clock.monotonic()
        listing = self._path.listing()
        took = self._clock.monotonic() - started
        if not listing.files and not listing.refused:
            raise Unavailable(f"sensor files: there is no file at {self._path} any more", downstream=self.downstream)
        self._known = {found.path: self._known.get(found.path) or self._make(found) for found in listing.files}
        excluded = {
            path: self._exclusion(path, None, reason, is_invalid=True) for path, reason in listing.refused.items()
        }
        if self._path.names_tags:
            self._refreshed = {path: at for path, at in self._refreshed.items() if path in self._known}
            before = self._snapshot.excluded
            excluded |= {path: exclusion for path, exclusion in before.items() if path in self._known}
        else:
            refreshed = {file.path: self._refresh_file(file, stop) for file in self._known.values()}
            excluded |= {path: exclusion for path, exclusion in refreshed.items() if exclusion is not None}
            self._placers[""].place(list(self._known.values()))
        if listing.unread.number and not self._snapshot.unread.number:
            _log.info("sensor_files.unread", count=listing.unread.number, first=list(map(str, listing.unread.first)))
        files = tuple(self._known.values())
        self._snapshot = _Snapshot(self.downstream, files, excluded, self._by_tag(), listing.unread)
        if not self._known or (not self._path.names_tags and self._known.keys() <= excluded.keys()):
            raise Unavailable(
                f"sensor files: no file can be used: {self._snapshot.reasons}",
                downstream=self.downstream,
                alarm=all(exclusion.is_invalid for exclusion in excluded.values()),
            )
        interval = self._refresh * min(max(1.0, took / _FAST_LISTING_S), _RAREST)
        self._fresh_until, self._indexed = started + interval, True

    def _by_tag(self) -> Mapping[str, Sequence[SensorFile]] | None:
        if not self._path.names_tags:
            return None
        by_tag: dict[str, list[SensorFile]] = {}
        for file in self._known.values():
            by_tag.setdefault(file.tag or "", []).append(file)
        return by_tag

    def _refresh_named(self, file: SensorFile, stop: threading.Event) -> None:
        started = self._clock.monotonic()
        exclusion = self._refresh_file(file, stop)
        excluded = {path: other for path, other in self._snapshot.excluded.items() if path != file.path}
        if exclusion is not None:
            excluded[file.path] = exclusion
        self._snapshot = replace(self._snapshot, excluded=excluded)
        self._refreshed[file.path] = started

    def _refresh_file(self, file: SensorFile, stop: threading.Event) -> _Exclusion | None:
        """Update the index of a file. Return why it is excluded, if it is."""
        before, identity = self._snapshot.excluded.get(file.path), None
        try:
            stat = file.path.stat()
            identity = stat.st_ino, stat.st_size, stat.st_mtime_ns
            if before is not None and before.is_invalid and before.identity == identity:
                return before
            file.refresh(stop)
        except FileNotFoundError:  # deleted since the listing
            return None
        except InvalidFile as error:
            return self._exclusion(file.path, identity, str(error), is_invalid=True)
        except (OSError, pa.ArrowException) as error:
            return self._exclusion(file.path, identity, f"{file.path}: {error}")
        return None

    def _exclusion(
        self, path: Path, identity: tuple[int, int, int] | None, reason: str, *, is_invalid: bool = False
    ) -> _Exclusion:
        """Return the exclusion of a file or folder, logged once: an invalid file may grow."""
        before = self._snapshot.excluded.get(path)
        if before is None or before.reason != reason:
            _log.warning("sensor_file.excluded", path=str(path), reason=reason)
        return _Exclusion(identity, reason, is_invalid)

    def _make(self, found: FoundFile) -> "ColumnarFile | DelimitedFile":
        if found.kind == "parquet":
            return ColumnarFile(found.path, self._layout, self._bad, tag=found.tag)
        return DelimitedFile(found.path, self._layout, self._clock, self._bad, tag=found.tag, texts=self._texts)


def _describe_unread(unread: UnreadFiles) -> str:
    if not unread.number:
        return ""
    names = ", ".join(path.name for path in unread.first)
    return f"; not read, since they are of no known kind: {unread.number} files, such as {names}"


def _raise_if_stopped(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped


def _ends_and_middle(items: Sequence[_T]) -> list[_T]:
    return [items[place] for place in sorted({0, len(items) // 2, len(items) - 1})] if items else []


def _datetime(time: int | None) -> datetime | None:
    return None if time is None else from_ns(time)


def _partly_down(problem: str, tags: Sequence[str], snapshot: _Snapshot) -> PartlyDown:
    return PartlyDown(f"{problem} {describe_tags(tags)}; excluded: {snapshot.reasons}", downstream=snapshot.downstream)


def _keep_newer(points: dict[str, Point], chunk: Chunk) -> None:
    finite = np.isfinite(chunk.values)
    if not finite.any():
        return
    times, values = chunk.times[finite], chunk.values[finite]
    newest = len(times) - 1 - int(np.argmax(times[::-1]))  # the last one of equal times
    if chunk.tag not in points or times[newest] > points[chunk.tag].time:
        points[chunk.tag] = Point(int(times[newest]), float(values[newest]))
