"""Sensors in a file, a folder or files that match a pattern.

Files may share tags and cover different times. They may grow, and new ones may appear, while Latigo runs; both are
noticed within a second.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import pyarrow as pa

from latigo.domain.errors import Failed, TimedOut, Unavailable
from latigo.domain.series import Point, Readings
from latigo.domain.windows import Window, to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.files.folder import Folder
from latigo.providers.files.reading import FileChanged, InvalidFile, Stopped
from latigo.providers.protocols import SourceSample
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.settings import FileSensors as FileSensorsSettings

_log = get_logger(__name__)
_T = TypeVar("_T")

_REFRESH = timedelta(seconds=1)
_THREADS = 4
_ATTEMPTS = 3  #: at a read during which files are replaced


class FileSensors:
    """Readings in files; opened by `open_files`."""

    def __init__(self, folder: Folder, *, time_limit: timedelta, threads: int = _THREADS) -> None:
        self._folder = folder
        self._time_limit = time_limit
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sensor-files")
        self._closing = threading.Event()

    @property
    def downstream(self) -> str:
        return self._folder.downstream

    async def ping(self) -> str:
        tags = await self.get_sensor_list()
        return f"{len(tags)} tags{self._folder.remarks()}"

    async def get_sensor_list(self) -> Sequence[str]:
        return sorted(await self._in_thread("listing the tags", self._folder.tags))

    async def sensor_exists(self, name: str) -> bool:
        return name in await self._in_thread("checking a tag", self._folder.tags)

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """Return the files, bytes and row groups that hold the window, as far as they are indexed."""
        return self._folder.describe(to_ns(window.start), to_ns(window.end), parameters.get("tag"))

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        """Return the readings of a window.

        Raises:
            Failed: in addition, a cell cannot be read; the message names file, line or row, and column.
            PartlyDown: in addition, readings may be in an excluded file.
        """
        start, end = to_ns(window.start), to_ns(window.end)
        return await self._in_thread(
            f"reading {window}", lambda stop: self._folder.read(tags, start, end, max_bytes, stop)
        )

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        start, end = to_ns(not_older_than), to_ns(time)
        return await self._in_thread(
            "reading the last values", lambda stop: self._folder.last_before(tags, start, end, stop)
        )

    async def sample(self, tags: Sequence[str]) -> SourceSample:
        """Read the first, a middle and the last part of some of the files that have these tags."""
        return await self._in_thread("looking into the files", lambda stop: self._folder.sample(tags, stop))

    async def check(self) -> None:
        """Read headers or schemas, and rows until one has a time, of file after file until one matches the settings.

        Raises:
            ConfigurationError: there is no file, or none matches the settings; names the key.
            Unavailable: a file could not be read before one matched.
        """
        await self._in_thread("checking the files", self._folder.check)

    def close(self) -> None:
        """Stop the threads without waiting: one may hang in an unresponsive file system."""
        self._closing.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, action: str, work: Callable[[threading.Event], _T]) -> _T:
        """Run blocking work within the time limit; after it, the thread stops at its next span."""
        cancelled = _AnyEvent(self._closing)
        try:
            async with asyncio.timeout(self._time_limit.total_seconds()):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, work, cancelled)
        except TimeoutError as error:
            raise TimedOut(
                f"sensor files: {action} took longer than {self._time_limit.total_seconds():.0f} s",
                downstream=self.downstream,
            ) from error
        finally:
            cancelled.set()

    def _run(self, work: Callable[[threading.Event], _T], stop: threading.Event) -> _T:
        for _ in range(_ATTEMPTS):
            try:
                return work(stop)
            except FileChanged:
                self._folder.expire()
            except Stopped as error:
                raise Unavailable("sensor files: the source is closed", downstream=self.downstream) from error
            except InvalidFile as error:
                raise Unavailable(f"sensor file {error}", downstream=self.downstream, alarm=True) from error
            except (OSError, pa.ArrowException) as error:
                raise Unavailable(f"sensor files: {error}", downstream=self.downstream) from error
        raise Failed(f"sensor files: a file was replaced during each of {_ATTEMPTS} reads")


@asynccontextmanager
async def open_files(
    settings: FileSensorsSettings, clock: Clock, bad: BadReadings | None = None, *, refresh: timedelta = _REFRESH
) -> AsyncIterator[FileSensors]:
    """Open files of readings.

    Args:
        settings: path and format of the files.
        clock: for the age of indexes, and of files that may still be written to.
        bad: account of the readings that are skipped; a new one by default.
        refresh: how often files are checked for changes.

    Raises:
        ConfigurationError: there is no file, or none matches the settings; names the key.
    """
    folder = Folder(settings, clock, bad or BadReadings(clock), refresh=refresh)
    sensors = FileSensors(folder, time_limit=settings.read_timeout)
    try:
        try:
            await sensors.check()
        except Unavailable as error:  # it may pass, as later on
            _log.warning("sensors.check_failed", error=str(error))
        yield sensors
    finally:
        sensors.close()


class _AnyEvent(threading.Event):
    """Event that is set when it is set itself or another event is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()
