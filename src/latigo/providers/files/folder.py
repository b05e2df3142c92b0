"""The files of a path: which exist, which can be used, and the readings in them.

A file that cannot be opened or is invalid (a foreign file, a Parquet file still being written) is excluded until it
changes, with one warning, and the other files are read:

- A tag that is in no other file may be in the excluded one: reading it raises `PartlyDown` and not `UNKNOWN_SENSOR`.
- A tag that was in the file when it was last valid is not silent: reading it raises `PartlyDown` as well where the
  file had readings in the window that can no longer be read, or where no other file has any.
- Otherwise readings in the excluded file are late readings: the others are returned, and the ledger rechecks slots that
  are absent or short for that.

When no file can be used, the source is unavailable.
"""

import glob
import threading
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
import structlog

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import ConfigurationError, PartlyDown, Reason, Rejected, Unavailable, describe_tags
from latigo.domain.series import Point, Readings
from latigo.domain.windows import from_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files.columnar import ColumnarFile
from latigo.providers.files.delimited import DelimitedFile
from latigo.providers.files.reading import (
    MAX_TIME,
    MIN_TIME,
    Chunk,
    FileChanged,
    InvalidFile,
    Layout,
    SensorFile,
    SeriesBuilder,
    Span,
    Stopped,
)
from latigo.providers.protocols import SensorSample, SourceSample
from latigo.runtime.clock import Clock
from latigo.settings import FileSensors as FileSensorsSettings

_log = structlog.get_logger()
_T = TypeVar("_T")

DOWNSTREAM = circuit_name(System.SENSORS, "files")
_SUFFIXES: Mapping[str, Literal["csv", "parquet"]] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_MAX_NAMED = 3  #: files, in one message


@dataclass(frozen=True, slots=True)
class _Exclusion:
    """Reason why a file is excluded."""

    identity: tuple[int, int, int] | None  #: inode, size and time of change; None if they could not be read
    reason: str
    is_invalid: bool  #: by its content, until it is written to; otherwise it could not be read


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The files as of the last refresh. Immutable and replaced as a whole, so that readers need no lock."""

    files: tuple[SensorFile, ...] = ()  #: with their indexes; an excluded file with its last valid one
    excluded: Mapping[Path, _Exclusion] = field(default_factory=dict)

    def holds(self, tag: str) -> bool:
        return any(tag in file.tags for file in self.files)

    def may_have_more(self, tag: str) -> bool:
        """Return whether an excluded file is known to have the tag."""
        return any(tag in file.tags for file in self.files if file.path in self.excluded)

    def read(self, file: SensorFile, span: Span, tags: AbstractSet[str], start: int, end: int) -> Iterator[Chunk]:
        try:
            yield from file.read(span, tags, start, end)
        except (FileChanged, OSError, pa.ArrowException) as error:
            if exclusion := self.excluded.get(file.path):
                raise PartlyDown(f"sensor file {exclusion.reason}", downstream=DOWNSTREAM) from error
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
        self._path = str(settings.path)
        self._format = settings.format
        self._layout = Layout.of(settings)
        self._clock = clock
        self._bad = bad
        self._refresh = refresh.total_seconds()
        self._snapshot = _Snapshot()
        self._known: dict[Path, SensorFile] = {}  #: may not be indexed completely
        self._fresh_until = 0.0
        self._indexed = False
        self._refreshing = threading.Lock()

    def check(self) -> None:
        """See `FileSensors.check`."""
        try:
            paths = self._paths()
        except InvalidFile as error:
            raise ConfigurationError(f"sensors.{error.key}: {error}") from error
        if not paths:
            raise ConfigurationError(f"sensors.path: there is no file at {self._path}{self._expected_suffixes()}")
        invalid: list[InvalidFile] = []
        for path in paths:
            try:
                self._make(path).check_header()
            except InvalidFile as error:
                invalid.append(error)
            else:
                return
        others = f" (and {len(invalid) - 1} more files that cannot be used)" if len(invalid) > 1 else ""
        raise ConfigurationError(f"sensors.{invalid[0].key}: {invalid[0]}{others}") from invalid[0]

    def tags(self, stop: threading.Event) -> AbstractSet[str]:
        """Return the tags of all files."""
        return frozenset().union(*(file.tags for file in self._current(stop).files))

    def read(self, tags: Sequence[str], start: int, end: int, max_bytes: int, stop: threading.Event) -> Readings:
        """See `FileSensors.get_data_for_range`."""
        snapshot = self._current(stop)
        wanted = frozenset(tags)
        if unknown := [tag for tag in dict.fromkeys(tags) if not snapshot.holds(tag)]:
            if snapshot.excluded:
                raise _partly_down("no usable sensor file has a column for", unknown, snapshot)
            raise Rejected(f"no sensor file has the tags {describe_tags(unknown)}", reason=Reason.UNKNOWN_SENSOR)
        builder = SeriesBuilder.of(tags, max_bytes)
        for file in snapshot.files:
            if present := wanted & file.tags:
                for span in file.spans(start, end):
                    _raise_if_stopped(stop)
                    for chunk in snapshot.read(file, span, present, start, end):
                        builder.add(chunk)
        if silent := [tag for tag, chunks in builder.chunks.items() if not chunks and snapshot.may_have_more(tag)]:
            raise _partly_down("no usable sensor file has readings of", silent, snapshot)
        return builder.series()

    def last_before(self, tags: Sequence[str], start: int, end: int, stop: threading.Event) -> dict[str, Point]:
        """See `FileSensors.get_last_before`. Reads the newest spans first, and as few as possible."""
        points: dict[str, Point] = {}
        wanted = frozenset(tags)
        snapshot = self._current(stop)
        spans = [(file, span) for file in snapshot.files for span in file.spans(start, end)]
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
        snapshot = self._current(stop)
        found = []
        for tag in tags:
            files = [file for file in snapshot.files if tag in file.tags]
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
        return SourceSample(found)

    def describe(self, start: int, end: int, tag: str | None) -> str:
        """Describe the parts of the files that a read would use; reads nothing."""
        parts = [
            file.describe(spans)
            for file in self._snapshot.files
            if tag is None or tag in file.tags
            if (spans := file.spans(start, end))
        ]
        return "; ".join(parts) or f"{self._path} (nothing indexed yet)"

    def expire(self) -> None:
        """Check all files for changes before the next read."""
        self._fresh_until = 0.0
        self._indexed = False

    def _current(self, stop: threading.Event) -> _Snapshot:
        """Return the files as of at most ``refresh`` ago."""
        if self._clock.monotonic() < self._fresh_until:
            return self._snapshot
        if not self._refreshing.acquire(blocking=not self._indexed):
            return self._snapshot  # another thread is refreshing: the last snapshot is recent enough
        try:
            if self._clock.monotonic() >= self._fresh_until:
                self._refresh_files(stop)
        finally:
            self._refreshing.release()
        return self._snapshot

    def _refresh_files(self, stop: threading.Event) -> None:
        started = self._clock.monotonic()
        if not (paths := self._paths()):
            raise Unavailable(f"sensor files: there is no file at {self._path} any more", downstream=DOWNSTREAM)
        self._known = {path: self._known.get(path) or self._make(path) for path in paths}
        refreshed = {file.path: self._refresh_file(file, stop) for file in self._known.values()}
        excluded = {path: exclusion for path, exclusion in refreshed.items() if exclusion is not None}
        self._snapshot = _Snapshot(tuple(self._known.values()), excluded)
        if len(excluded) == len(refreshed):
            raise Unavailable(
                f"sensor files: no file can be used: {self._snapshot.reasons}",
                downstream=DOWNSTREAM,
                alarm=all(exclusion.is_invalid for exclusion in excluded.values()),
            )
        self._fresh_until, self._indexed = started + self._refresh, True

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
            exclusion = _Exclusion(identity, str(error), is_invalid=True)
        except (OSError, pa.ArrowException) as error:
            exclusion = _Exclusion(identity, f"{file.path}: {error}", is_invalid=False)
        else:
            return None
        if before is None or before.reason != exclusion.reason:  # an invalid file that grows is logged once
            _log.warning("sensor_file.excluded", path=str(file.path), reason=exclusion.reason)
        return exclusion

    def _paths(self) -> list[Path]:
        if glob.has_magic(self._path) and not Path(self._path).exists():
            paths = (Path(name) for name in glob.iglob(self._path, recursive=True))  # noqa: PTH207 - ** and absolute patterns
            return sorted(path for path in paths if path.is_file() and self._matches(path))
        root = Path(self._path)
        if root.is_dir():
            return sorted(
                path
                for path in root.rglob("*")
                if self._matches(path)
                and not any(part.startswith(".") for part in path.relative_to(root).parts)
                and path.is_file()
            )
        if not root.exists():
            return []
        if not self._matches(root):
            raise InvalidFile(
                f"{root} has none of the suffixes {', '.join(_SUFFIXES)}: set the format to csv or parquet", "format"
            )
        return [root]

    def _matches(self, path: Path) -> bool:
        """Return whether a file is read. With a format set, a single file or a pattern may have other suffixes."""
        kind = _SUFFIXES.get(path.suffix.lower())
        if self._format == "auto":
            return kind is not None
        return kind in {None, self._format} if not Path(self._path).is_dir() else kind == self._format

    def _expected_suffixes(self) -> str:
        return f" with one of the suffixes {', '.join(_SUFFIXES)}" if self._format == "auto" else ""

    def _make(self, path: Path) -> "ColumnarFile | DelimitedFile":
        kind = _SUFFIXES.get(path.suffix.lower()) if self._format == "auto" else self._format
        if kind == "parquet":
            return ColumnarFile(path, self._layout, self._bad)
        return DelimitedFile(path, self._layout, self._clock, self._bad)


def _raise_if_stopped(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped


def _ends_and_middle(items: Sequence[_T]) -> list[_T]:
    return [items[place] for place in sorted({0, len(items) // 2, len(items) - 1})] if items else []


def _datetime(time: int | None) -> datetime | None:
    return None if time is None else from_ns(time)


def _partly_down(problem: str, tags: Sequence[str], snapshot: _Snapshot) -> PartlyDown:
    return PartlyDown(f"{problem} {describe_tags(tags)}; excluded: {snapshot.reasons}", downstream=DOWNSTREAM)


def _keep_newer(points: dict[str, Point], chunk: Chunk) -> None:
    finite = np.isfinite(chunk.values)
    if not finite.any():
        return
    times, values = chunk.times[finite], chunk.values[finite]
    newest = len(times) - 1 - int(np.argmax(times[::-1]))  # the last one of equal times
    if chunk.tag not in points or times[newest] > points[chunk.tag].time:
        points[chunk.tag] = Point(int(times[newest]), float(values[newest]))
