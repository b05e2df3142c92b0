"""Sensors out of one file, a folder or a pattern of files.

Files may overlap in tags and follow each other in time. A plant's logger may append to them and add new ones while
Latigo runs; both are noticed within a second.

A file that cannot be opened or understood (a foreign one, a Parquet file that is still being written) is left out, with
one warning, until that has changed, and the others are read without it:

- A tag that no other file holds may stand in it, so the answer is `PartlyAway` and not `UNKNOWN_SENSOR`.
- A tag that stood in it when it was last understood is not taken for silent: the answer is `PartlyAway` too, where
  the window had readings in it that cannot be read any more, and where no other file has any.
- Otherwise, readings in it are as those that arrive late: tags have the readings of the other files, and slots that are
  absent or short for that are looked at again by the ledger.

When no file at all can be used, the source is away.
"""

import asyncio
import glob
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import structlog

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import (
    ConfigurationError,
    Failed,
    PartlyAway,
    Reason,
    Rejected,
    TimedOut,
    Unavailable,
    describe_tags,
)
from latigo.domain.series import Point, Readings
from latigo.domain.windows import Window, to_ns
from latigo.providers.files.columnar import ColumnarFile
from latigo.providers.files.delimited import DelimitedFile
from latigo.providers.files.reading import BadFile, FileChanged, Gathered, Layout, Piece, SensorFile, Span, Stopped
from latigo.providers.files.times import TimeParser

_log = structlog.get_logger()
_T = TypeVar("_T")

_DOWNSTREAM = circuit_name(System.SENSORS, "files")
_ENDINGS: Mapping[str, Literal["csv", "parquet"]] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_THREADS = 4
_TRIES = 3  #: of a read during which a file is written anew
_MOST_NAMED = 3  #: files, in one message


class FileSensors:
    """Readings in files; opened by `open_files`."""

    def __init__(self, folder: "Folder", *, time_limit: timedelta, threads: int = _THREADS) -> None:
        self._folder = folder
        self._time_limit = time_limit
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sensor-files")
        self._closing = threading.Event()

    @property
    def downstream(self) -> str:
        return _DOWNSTREAM

    async def ping(self) -> str:
        return f"{len(await self.get_sensor_list())} tags"

    async def get_sensor_list(self) -> Sequence[str]:
        return sorted(await self._in_thread("listing sensors", self._folder.tags))

    async def sensor_exists(self, name: str) -> bool:
        return name in await self._in_thread("looking for a sensor", self._folder.tags)

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """The files that hold the window and, as far as it is indexed yet, which bytes or row groups of them."""
        return self._folder.describe(to_ns(window.start), to_ns(window.end), parameters.get("tag"))

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        """Raises also `Failed`, when a cell of what was asked for cannot be read; the message says where it stands.

        And `PartlyAway`: what was asked for may stand in a file that is left out.
        """
        start, end = to_ns(window.start), to_ns(window.end)
        return await self._in_thread(
            f"reading {window}", lambda stop: self._folder.read(tags, start, end, max_bytes, stop)
        )

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        start, end = to_ns(not_older_than), to_ns(time)
        return await self._in_thread("looking back", lambda stop: self._folder.last_before(tags, start, end, stop))

    async def check(self) -> None:
        """Read first lines or schemas, until one is what the settings say.

        Raises:
            ConfigurationError: no file is there, or all of them are not what the settings say; names the key.
            Unavailable: before that, one could not be read.
        """
        await self._in_thread("checking", lambda _: self._folder.check())

    def close(self) -> None:
        """Tell the threads to stop. They are not waited for: one may hang in a file system that does not answer."""
        self._closing.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, doing: str, work: Callable[[threading.Event], _T]) -> _T:
        """Run blocking work within the time limit; when that has passed, the thread stops at its next span."""
        given_up = _Either(self._closing)
        try:
            async with asyncio.timeout(self._time_limit.total_seconds()):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, work, given_up)
        except TimeoutError as error:
            raise TimedOut(
                f"sensor files, {doing}: not within {self._time_limit.total_seconds():.0f} s", downstream=_DOWNSTREAM
            ) from error
        finally:
            given_up.set()

    def _run(self, work: Callable[[threading.Event], _T], stop: threading.Event) -> _T:
        for _ in range(_TRIES):
            try:
                return work(stop)
            except FileChanged:
                self._folder.forget_freshness()
            except Stopped as error:
                raise Unavailable("sensor files: being closed", downstream=_DOWNSTREAM) from error
            except BadFile as error:
                raise Unavailable(f"sensor file {error}", downstream=_DOWNSTREAM, alarm=True) from error
            except (OSError, pa.ArrowException) as error:
                raise Unavailable(f"sensor files: {error}", downstream=_DOWNSTREAM) from error
        raise Failed("sensor files: a file is written anew again and again while it is read")


@asynccontextmanager
async def open_files(
    *,
    path: Path | str,
    layout: Literal["wide", "long"] = "wide",
    format: Literal["auto", "csv", "parquet"] = "auto",  # noqa: A002 - the name of the key
    separator: str = ",",
    decimal_point: str = ".",
    time_column: str = "time",
    timezone: str = "UTC",
    tag_column: str = "tag",
    value_column: str = "value",
    time_limit: timedelta = timedelta(seconds=60),
    refresh: timedelta = timedelta(seconds=1),
) -> AsyncIterator[FileSensors]:
    """Open files of readings.

    Args:
        path: a file, a folder (with those below it) or a pattern such as ``/data/**/*.csv``.
        layout: ``wide`` has one column a tag, ``long`` one row a reading.
        format: ``auto`` goes by the ending: csv, txt, tsv, parquet, pq.
        separator: one character between the cells of a CSV file.
        decimal_point: ``,`` where numbers are written so.
        time_column: ISO 8601 with or without offset, or seconds, ms, us or ns since the epoch.
        timezone: what times without an offset mean. An hour that happens twice is told apart by the order of rows.
        tag_column: of the long layout.
        value_column: of the long layout.
        time_limit: of each call. The first one that needs it indexes CSV files, which is not begun anew after a limit.
        refresh: how long it is believed that no file has changed.

    Raises:
        ConfigurationError: no file is there, or all of them are not what the settings say; names the key.
    """
    if len(separator) != 1 or separator in '"\r\n':
        raise ConfigurationError(f"sensors.separator is one character, not {separator!r}")
    if len(decimal_point) != 1 or decimal_point == separator:
        raise ConfigurationError(
            f"sensors.decimal_point is one character other than the separator, not {decimal_point!r}"
        )
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(f"sensors.timezone: no time zone is named {timezone!r}") from error
    how = Layout(layout, time_column, tag_column, value_column, separator, decimal_point, TimeParser(zone))
    folder = Folder(str(path), format, how, refresh=refresh.total_seconds())
    sensors = FileSensors(folder, time_limit=time_limit)
    try:
        try:
            await sensors.check()
        except Unavailable as error:  # which is no other matter now than later
            _log.warning("sensors.not_checked", because=str(error))
        yield sensors
    finally:
        sensors.close()


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """Why a file is left out."""

    identity: tuple[int, int, int] | None  #: inode, size and time of change, as far as they could be asked for
    because: str
    is_bad: bool  #: by what stands in it, which stays so until it is written to; else it could not be read


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found at the last look. Never changed, only replaced, so that readers need no lock."""

    files: tuple[SensorFile, ...] = ()  #: indexed; one that is left out, as it was when it was last understood
    left_out: Mapping[Path, _LeftOut] = field(default_factory=dict)

    def holds(self, tag: str) -> bool:
        return any(tag in file.tags for file in self.files)

    def may_hold_more(self, tag: str) -> bool:
        """Whether a file that is left out is known to have the tag."""
        return any(tag in file.tags for file in self.files if file.path in self.left_out)

    def read(self, file: SensorFile, span: Span, tags: AbstractSet[str], start: int, end: int) -> Iterator[Piece]:
        try:
            yield from file.read(span, tags, start, end)
        except (FileChanged, OSError, pa.ArrowException) as error:
            if left_out := self.left_out.get(file.path):
                raise PartlyAway(f"sensor file {left_out.because}", downstream=_DOWNSTREAM) from error
            raise

    @property
    def complaints(self) -> str:
        """Why files are left out: a few of them, for messages that stay short."""
        few = [each.because for each in self.left_out.values()][:_MOST_NAMED]
        more = len(self.left_out) - len(few)
        return "; ".join(few) + (f"; and {more} more" if more else "")


class Folder:
    """The files there are now. Blocking; for many threads at once."""

    def __init__(self, path: str, format: str, layout: Layout, *, refresh: float) -> None:  # noqa: A002 - the key
        self._path = path
        self._format = format
        self._layout = layout
        self._refresh = refresh
        self._seen = _Seen()
        self._known: dict[Path, SensorFile] = {}  #: perhaps not indexed to their end yet
        self._fresh_until = 0.0
        self._indexed = False
        self._looking = threading.Lock()

    def check(self) -> None:
        """See `FileSensors.check`."""
        try:
            paths = self._paths()
        except BadFile as error:
            raise ConfigurationError(f"sensors.{error.key}: {error}") from error
        if not paths:
            raise ConfigurationError(f"sensors.path: no file is at {self._path}{self._endings_expected()}")
        bad: list[BadFile] = []
        for path in paths:
            try:
                self._make(path).check_header()
            except BadFile as error:
                bad.append(error)
            else:
                return
        others = f" (and {len(bad) - 1} more that cannot be used)" if len(bad) > 1 else ""
        raise ConfigurationError(f"sensors.{bad[0].key}: {bad[0]}{others}") from bad[0]

    def tags(self, stop: threading.Event) -> AbstractSet[str]:
        return frozenset().union(*(file.tags for file in self._fresh(stop).files))

    def read(self, tags: Sequence[str], start: int, end: int, max_bytes: int, stop: threading.Event) -> Readings:
        seen = self._fresh(stop)
        wanted = frozenset(tags)
        if unknown := [tag for tag in dict.fromkeys(tags) if not seen.holds(tag)]:
            if seen.left_out:
                raise _partly_away("no sensor file that can be used holds", unknown, seen)
            raise Rejected(f"no sensor file holds {describe_tags(unknown)}", reason=Reason.UNKNOWN_SENSOR)
        gathered = Gathered.of(tags, max_bytes)
        for file in seen.files:
            if mine := wanted & file.tags:
                for span in file.spans(start, end):
                    _go_on(stop)
                    for piece in seen.read(file, span, mine, start, end):
                        gathered.add(piece)
        if silent := [tag for tag, pieces in gathered.pieces.items() if not pieces and seen.may_hold_more(tag)]:
            raise _partly_away("no sensor file that can be used has readings of", silent, seen)
        return gathered.series()

    def last_before(self, tags: Sequence[str], start: int, end: int, stop: threading.Event) -> dict[str, Point]:
        """Newest spans first; a span that ends before what is found already is not read."""
        found: dict[str, Point] = {}
        wanted = frozenset(tags)
        seen = self._fresh(stop)
        spans = [(file, span) for file in seen.files for span in file.spans(start, end)]
        spans.sort(key=lambda each: each[1].last)
        for file, span in reversed(spans):  # the later one of equals goes first, so that it wins as it does in a series
            _go_on(stop)
            lacking = {tag for tag in wanted & file.tags if tag not in found or found[tag].time < span.last}
            if lacking:
                for piece in seen.read(file, span, lacking, start, end):
                    _keep_newer(found, piece)
        return found

    def describe(self, start: int, end: int, tag: str | None) -> str:
        """Takes what is known now and reads nothing."""
        parts = [
            file.describe(spans)
            for file in self._seen.files
            if tag is None or tag in file.tags
            if (spans := file.spans(start, end))
        ]
        return "; ".join(parts) or f"{self._path} (nothing indexed there)"

    def forget_freshness(self) -> None:
        """Look at all files again before the next answer to anyone."""
        self._fresh_until = 0.0
        self._indexed = False

    def _fresh(self, stop: threading.Event) -> _Seen:
        """The files, indexed, as they were at most ``refresh`` seconds ago."""
        if time.monotonic() < self._fresh_until:
            return self._seen
        if not self._looking.acquire(blocking=not self._indexed):
            return self._seen  # somebody is at it; what was known a moment ago will do
        try:
            if time.monotonic() >= self._fresh_until:
                self._look(stop)
        finally:
            self._looking.release()
        return self._seen

    def _look(self, stop: threading.Event) -> None:
        began = time.monotonic()
        if not (paths := self._paths()):
            raise Unavailable(f"sensor files: nothing is at {self._path} any more", downstream=_DOWNSTREAM)
        self._known = {path: self._known.get(path) or self._make(path) for path in paths}
        known = {file.path: self._refreshed(file, stop) for file in self._known.values()}
        left_out = {path: reason for path, reason in known.items() if reason is not None}
        self._seen = _Seen(tuple(self._known.values()), left_out)
        if len(left_out) == len(known):
            raise Unavailable(
                f"sensor files: none can be used: {self._seen.complaints}",
                downstream=_DOWNSTREAM,
                alarm=all(each.is_bad for each in left_out.values()),
            )
        self._fresh_until, self._indexed = began + self._refresh, True

    def _refreshed(self, file: SensorFile, stop: threading.Event) -> _LeftOut | None:
        """Bring the index of a file up to date; why that cannot be."""
        before, identity = self._seen.left_out.get(file.path), None
        try:
            found = file.path.stat()
            identity = found.st_ino, found.st_size, found.st_mtime_ns
            if before is not None and before.is_bad and before.identity == identity:
                return before
            file.refresh(stop)
        except FileNotFoundError:  # gone since it was listed, and not listed any more next time
            return None
        except BadFile as error:
            left_out = _LeftOut(identity, str(error), is_bad=True)
        except (OSError, pa.ArrowException) as error:
            left_out = _LeftOut(identity, f"{file.path}: {error}", is_bad=False)
        else:
            return None
        if before is None or before.because != left_out.because:  # a file that grows while it is bad is told once
            _log.warning("sensors.file_left_out", path=str(file.path), because=left_out.because)
        return left_out

    def _paths(self) -> list[Path]:
        if glob.has_magic(self._path) and not Path(self._path).exists():
            found = (Path(each) for each in glob.iglob(self._path, recursive=True))  # noqa: PTH207 - takes ** and / alike
            return sorted(path for path in found if path.is_file() and self._is_ours(path))
        place = Path(self._path)
        if place.is_dir():
            return sorted(
                path
                for path in place.rglob("*")
                if self._is_ours(path)
                and not any(part.startswith(".") for part in path.relative_to(place).parts)
                and path.is_file()
            )
        if not place.exists():
            return []
        if not self._is_ours(place):
            raise BadFile(f"{place}: say csv or parquet, since its ending does not", "format")
        return [place]

    def _is_ours(self, path: Path) -> bool:
        """With a format given, a single file or a pattern may have any ending; a folder is still read by endings."""
        kind = _ENDINGS.get(path.suffix.lower())
        if self._format == "auto":
            return kind is not None
        return kind in {None, self._format} if not Path(self._path).is_dir() else kind == self._format

    def _endings_expected(self) -> str:
        return f" that ends in {', '.join(_ENDINGS)}" if self._format == "auto" else ""

    def _make(self, path: Path) -> "ColumnarFile | DelimitedFile":
        kind = _ENDINGS.get(path.suffix.lower()) if self._format == "auto" else self._format
        return ColumnarFile(path, self._layout) if kind == "parquet" else DelimitedFile(path, self._layout)


class _Either(threading.Event):
    """Set when it is set itself, or when another is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


def _go_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped


def _partly_away(said: str, tags: Sequence[str], seen: _Seen) -> PartlyAway:
    return PartlyAway(f"{said} {describe_tags(tags)}; left out: {seen.complaints}", downstream=_DOWNSTREAM)


def _keep_newer(found: dict[str, Point], piece: Piece) -> None:
    finite = np.isfinite(piece.values)
    if not finite.any():
        return
    times, values = piece.times[finite], piece.values[finite]
    newest = len(times) - 1 - int(np.argmax(times[::-1]))  # the last one of equal times
    if piece.tag not in found or times[newest] > found[piece.tag].time:
        found[piece.tag] = Point(int(times[newest]), float(values[newest]))
