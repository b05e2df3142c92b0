"""Readings from InfluxDB: one request for all sensors of a model, unless that is too much."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import structlog

from latigo import settings
from latigo.domain.errors import (
    Reason,
    Rejected,
    TooLarge,
    Unavailable,
    describe_tags,
)
from latigo.domain.series import Point, Readings, Series
from latigo.domain.windows import Window, to_ns
from latigo.providers.influx.batch import Batch
from latigo.providers.influx.chunks import Chunk, Pace
from latigo.providers.influx.client import InfluxClient, open_client
from latigo.providers.influx.query import Layout, Statement, can_be_queried, literal
from latigo.providers.influx.responses import (
    NotNumbersError,
    Result,
    UnreadableError,
    column_of,
    most_bytes,
    newest_of,
    readings_of,
)
from latigo.runtime.clock import Clock
from latigo.runtime.off_loop import in_order, off_loop

_log = structlog.get_logger()

#: Readings in one request, about 2 MB: decoding more at once would hold up the event loop.
_READINGS: Final[Mapping[str, int]] = {"msgpack": 100_000, "json": 25_000}
_SURELY_WHOLE: Final = (
    10_000  #: readings of one series that are known to be complete without another statement after it
)
_UNFORESEEN: Final = 4  #: times as many are accepted when they are denser than estimated
_STATEMENTS: Final = 250  #: in one request
_POINT_BYTES: Final = 16  #: a time and a value in a `Series`
_MANY_NAMES: Final = 5_000  #: of which reading takes several milliseconds
_INDEX_BYTES: Final = 6 << 20  #: of a response with names
_NAMES: Final = 25_000  #: names in one response
_MOST_KNOWN: Final = 200_000  #: silent sensors that are cached


class InfluxSensors:
    """Sensors in one measurement of an InfluxDB; opened by `open_sensors`.

    Args:
        client: of the database.
        layout: where the readings are in it.
        clock: the machine's.
        remember: how long the existence of a silent sensor is cached.
    """

    def __init__(
        self,
        client: InfluxClient,
        layout: Layout,
        clock: Clock,
        *,
        remember: timedelta = timedelta(minutes=10),
    ) -> None:
        self._client = client
        self._layout = layout
        self._clock = clock
        self._remember = remember.total_seconds()
        many, readings = client.switches.statements_per_request == "many", _READINGS[client.switches.format]
        self._batch = Batch(client, layout.nothing() if many else "")
        self._pace = Pace(readings, _STATEMENTS) if many else Pace(min(readings, _SURELY_WHOLE), 1)
        self._known: dict[str, float] = {}  #: silent sensors that exist, and until when that is cached (monotonic s)
        self._layout_checked = False

    @property
    def downstream(self) -> str:
        return self._client.downstream

    async def ping(self) -> str:
        return f"{len(await self.get_sensor_list())} tags"

    async def get_sensor_list(self) -> Sequence[str]:
        async with self._client.time_limit("listing sensors"):
            names = await self._all_names()
            await self._check_layout(again=not names)
            return await off_loop(len(names), _MANY_NAMES, lambda: in_order(list(filter(None, names))))

    async def sensor_exists(self, name: str) -> bool:
        async with self._client.time_limit("reading the name of a sensor"):
            unknown = await self._unknown([name])
            await self._check_layout(again=bool(unknown))
            return not unknown

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """Return the query with names as literals; the one that is sent has parameters where the server takes them."""
        start, end = to_ns(window.start), to_ns(window.end)
        if (tag := parameters.get("tag")) is None:
            return self._layout.all_readings(start, end)
        return self._layout.readings(start, end)(literal(tag))

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        """Return readings; integers and booleans become floats, nulls are left out.

        Where a sensor has several series (the measurement has other tags as well), they are read as one. All readings
        of one time are kept, the smallest first.

        Raises also `Rejected` with ``BAD_METADATA``: a field holds text, which no model can use.
        """
        names = tuple(dict.fromkeys(tags))
        async with self._client.time_limit(f"reading {window}"):
            readings = await self._read(tuple(filter(self._can_be_queried, names)), window, max_bytes)
            if silent := [name for name in names if name not in readings or not len(readings[name])]:
                await self._check_existence(silent)
            return readings

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        start, end = to_ns(not_older_than), to_ns(time)
        names = tuple(filter(self._can_be_queried, dict.fromkeys(tags))) if start < end else ()
        points: dict[str, Point] = {}
        async with self._client.time_limit("reading last values"):
            for name, result in await self._each(self._layout.newest(start, end), names):
                with self._readable(name):
                    last = newest_of(result, self._layout, name)
                if np.isfinite(last.values).any():
                    points[name] = Point(int(last.times[0]), float(last.values[0]))
        return points

    async def _read(self, names: tuple[str, ...], window: Window, max_bytes: int) -> dict[str, Series]:
        """Read chunk by chunk; one that comes back cut is read again in smaller ones."""
        collected = _Collected(names, window, max_bytes)
        todo: list[Chunk] = [Chunk(names, to_ns(window.start), to_ns(window.end))] if names else []
        while todo:
            chunk, *later = self._pace.take(todo.pop())
            results = await self._read_chunk(chunk, collected)
            if results:
                done, *rest = chunk.divided(len(results))
                self._pace.record(done, sum(result.rows for result in results))
            elif not (rest := list(chunk.halves())):
                raise self._cut_short(f"{describe_tags(chunk.names)} in {window}")
            todo += reversed((*rest, *later))
        return collected.series()

    async def _read_chunk(self, chunk: Chunk, collected: "_Collected") -> Sequence[Result]:
        """Read a chunk and keep its readings; possibly of only some of its sensors, or of none."""
        most = min(collected.room, _UNFORESEEN * self._pace.readings)
        bound = most_bytes(self._client.switches.format, most, self._layout, chunk.names)
        try:
            results = await self._run(self._layout.readings(chunk.start, chunk.end), chunk.names, max_bytes=bound)
        except TooLarge as error:
            if most == collected.room:
                raise collected.too_large() from error
            self._pace.record(chunk, most)
            return ()
        for name, result in zip(chunk.names, results, strict=False):
            with self._readable(name):
                collected.add(name, readings_of(result, self._layout, name, chunk.start, chunk.end))
        return results

    async def _each(self, statement: Statement, names: Sequence[str]) -> Sequence[tuple[str, Result]]:
        """Return the result for each name of a statement with few rows."""
        results_by_name: list[tuple[str, Result]] = []
        while left := names[len(results_by_name) :]:
            requested = left[: self._pace.statements]
            results = await self._run(statement, requested, max_bytes=_INDEX_BYTES)
            if not results:
                raise self._cut_short(repr(requested[0]))
            results_by_name += zip(requested, results, strict=False)
        return results_by_name

    async def _run(self, statement: Statement, names: Sequence[str], *, max_bytes: int) -> Sequence[Result]:
        """Run a batch; a limit of the server that shows is respected from now on."""
        batch = await self._batch.run(statement, names, max_bytes=max_bytes)
        if batch.cut_at is not None and self._pace.limit(batch.cut_at - 1):
            _log.warning("response.cut", downstream=self.downstream, count=batch.cut_at)
        return batch.results

    async def _all_names(self) -> set[str]:
        """Read the index page by page: one page unless there are very many names, or the server limits rows."""
        all_names: set[str] = set()
        skip, most = 0, _NAMES
        while True:
            batch = await self._batch.run(lambda _: self._layout.names(most, skip), [""], max_bytes=_INDEX_BYTES)  # noqa: B023 - called before the next page
            if batch.results:
                result = batch.results[0]
                names = await off_loop(result.rows, _MANY_NAMES, lambda: self._column(result, "value"))  # noqa: B023 - called at once
                all_names.update(names)
                if len(names) < most:
                    return all_names
                skip += most
            elif batch.cut_at is None or batch.cut_at < 2:
                raise self._cut_short("the names of all sensors")
            else:
                most = batch.cut_at - 1

    async def _unknown(self, names: Sequence[str]) -> Sequence[str]:
        """Return those of ``names`` that the index does not have; those that it has are cached for a while."""
        now = self._clock.monotonic()
        known = {name for name in names if self._known.get(name, now) > now}
        requested = [name for name in names if name not in known and self._can_be_queried(name)]
        for name, result in await self._each(self._layout.known(), requested):
            if name in self._column(result, "value"):
                known.add(name)
                self._known[name] = now + self._remember
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        return [name for name in names if name not in known]

    async def _check_existence(self, silent: Sequence[str]) -> None:
        """Check that sensors without readings exist, and that the names in the settings do.

        Raises:
            Rejected: ``UNKNOWN_SENSOR``, naming those that are not.
        """
        unknown = await self._unknown(silent)
        await self._check_layout(again=bool(unknown))
        if unknown:
            raise Rejected(
                f"{self._layout.measurement!r} in InfluxDB has no {describe_tags(unknown)}",
                reason=Reason.UNKNOWN_SENSOR,
                tags=unknown,
            )

    async def _check_layout(self, *, again: bool) -> None:
        """Check the names in the settings: a wrong one looks like a plant without readings, and must park no model.

        Args:
            again: also if it was right before.

        Raises:
            Unavailable: a name in the settings does not exist; names the key.
        """
        if self._layout_checked and not again:
            return
        layout, section = self._layout, self._client.section
        tags = await self._run_once(layout.tag_keys(), "tagKey")
        fields = await self._run_once(layout.field_keys(), "fieldKey")
        for existing, name, what, key in (
            (tags, None, f"measurement {layout.measurement!r} with tags", "measurement"),
            (tags, layout.tag_key, f"tag {layout.tag_key!r} in {layout.measurement!r}", "tag_key"),
            (fields, layout.field, f"field {layout.field!r} in {layout.measurement!r}", "field"),
        ):
            if not existing or (name is not None and name not in existing):
                raise Unavailable(
                    f"InfluxDB {self._client.database!r} has no {what} (check {section}.{key})",
                    downstream=self.downstream,
                    alarm=True,
                )
        self._layout_checked = True

    async def _run_once(self, statement: str, column: str) -> Sequence[str]:
        ((_, result),) = await self._each(lambda _: statement, [""])
        return self._column(result, column)

    def _column(self, result: Result, column: str) -> Sequence[str]:
        with self._readable(column):
            return column_of(result, column)

    def _can_be_queried(self, name: str) -> bool:
        return can_be_queried(name, bind=self._client.switches.bind)

    @contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        """Translate errors in reading a result."""
        try:
            yield
        except NotNumbersError as error:
            raise Rejected(f"{name!r} in InfluxDB: {error}", reason=Reason.BAD_METADATA) from error
        except UnreadableError as error:
            raise Unavailable(f"InfluxDB, reading: {error}", downstream=self.downstream) from error

    def _cut_short(self, what: str) -> Unavailable:
        return Unavailable(
            f"InfluxDB cuts its responses, however small the request: {what}"
            f" (raise [http] max-row-limit on the server, 0 for no limit; now about {self._pace.readings})",
            downstream=self.downstream,
            alarm=True,
        )


class _Collected:
    """Readings read so far, within a byte budget."""

    def __init__(self, names: Sequence[str], window: Window, max_bytes: int) -> None:
        self._window = window
        self._max_bytes = max_bytes
        self._held = 0
        self._parts: dict[str, list[Series]] = {name: [] for name in names}

    @property
    def room(self) -> int:
        """Number of readings that there is room for, and one more, which will be too many."""
        return (self._max_bytes - self._held) // _POINT_BYTES + 1

    def add(self, name: str, series: Series) -> None:
        """Keep the next readings of a sensor."""
        self._held += series.nbytes
        if self._held > self._max_bytes:
            raise self.too_large()
        self._parts[name].append(series)

    def too_large(self) -> TooLarge:
        return TooLarge(f"the readings of {self._window} take more than {self._max_bytes} bytes")

    def series(self) -> dict[str, Series]:
        """Join and return all of them; parts are released one by one, so that hardly any memory is needed twice."""
        return {name: _joined(self._parts.pop(name)) for name in list(self._parts)}


def _joined(parts: Sequence[Series]) -> Series:
    if len(parts) == 1:
        return parts[0]
    return Series(np.concatenate([part.times for part in parts]), np.concatenate([part.values for part in parts]))


@asynccontextmanager
async def open_sensors(influx: settings.InfluxSensors, clock: Clock) -> AsyncIterator[InfluxSensors]:
    """Open sensors in an InfluxDB; nothing is sent before the first call.

    Raises:
        ConfigurationError: a setting cannot be used; names the key.
    """
    layout = Layout(influx.measurement, influx.tag_key, influx.field)
    async with open_client(influx) as client:
        yield InfluxSensors(client, layout, clock)
