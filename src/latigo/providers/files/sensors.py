"""Sensors out of one file, a folder or a pattern of files.

Files may overlap in tags and follow each other in time. A plant's logger may append to them and add new ones while
Latigo runs; both are noticed within a second.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import pyarrow as pa
import structlog

from latigo.domain.errors import Failed, TimedOut, Unavailable
from latigo.domain.series import Point, Readings
from latigo.domain.windows import Window, to_ns
from latigo.providers.files.folder import DOWNSTREAM, Folder
from latigo.providers.files.reading import BadFile, FileChanged, Stopped
from latigo.runtime.clock import Clock
from latigo.settings import FileSensors as FileSensorsSettings

_log = structlog.get_logger()
_T = TypeVar("_T")

_REFRESH = timedelta(seconds=1)
_THREADS = 4
_TRIES = 3  #: of a read during which a file is written anew


class FileSensors:
    """Readings in files; opened by `open_files`."""

    def __init__(self, folder: Folder, *, time_limit: timedelta, threads: int = _THREADS) -> None:
        self._folder = folder
        self._time_limit = time_limit
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sensor-files")
        self._closing = threading.Event()

    @property
    def downstream(self) -> str:
        return DOWNSTREAM

    async def get_sensor_list(self) -> Sequence[str]:
        return sorted(await self._in_thread("listing sensors", self._folder.tags))

    async def sensor_exists(self, name: str) -> bool:
        return name in await self._in_thread("looking for a sensor", self._folder.tags)

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """The files that hold the window and, as far as it is indexed yet, which bytes or row groups of them."""
        return self._folder.describe(to_ns(window.start), to_ns(window.end), parameters.get("tag"))

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        """Raises also `Failed`, when a cell of what was asked for cannot be read; the message says where it stands.

        And `PartlyDown`: what was asked for may stand in a file that is left out.
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
                f"sensor files, {doing}: not within {self._time_limit.total_seconds():.0f} s", downstream=DOWNSTREAM
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
                raise Unavailable("sensor files: being closed", downstream=DOWNSTREAM) from error
            except BadFile as error:
                raise Unavailable(f"sensor file {error}", downstream=DOWNSTREAM, alarm=True) from error
            except (OSError, pa.ArrowException) as error:
                raise Unavailable(f"sensor files: {error}", downstream=DOWNSTREAM) from error
        raise Failed("sensor files: a file is written anew again and again while it is read")


@asynccontextmanager
async def open_files(
    settings: FileSensorsSettings, clock: Clock, *, refresh: timedelta = _REFRESH
) -> AsyncIterator[FileSensors]:
    """Open files of readings.

    Args:
        settings: where they are and how they are laid out.
        clock: tells how old an index is, and whether a file is still being written.
        refresh: how long an index is used before files are checked for changes.

    Raises:
        ConfigurationError: no file is there, or all of them are not what the settings say; names the key.
    """
    sensors = FileSensors(Folder(settings, clock, refresh=refresh), time_limit=settings.read_timeout)
    try:
        try:
            await sensors.check()
        except Unavailable as error:  # which is no other matter now than later
            _log.warning("sensors.not_checked", because=str(error))
        yield sensors
    finally:
        sensors.close()


class _Either(threading.Event):
    """Set when it is set itself, or when another is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()
