"""Readings out of InfluxDB: one request for all sensors of a model, as long as that is not too much."""

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
from latigo.providers.influx.chunks import Pace, Piece
from latigo.providers.influx.client import InfluxClient, open_client
from latigo.providers.influx.query import Layout, Statement, can_be_asked, literal
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

_log = structlog.get_logger()

#: Readings in one request, about 2 MB: decoding more at once would hold up the loop.
_READINGS: Final[Mapping[str, int]] = {"msgpack": 100_000, "json": 25_000}
_SURELY_WHOLE: Final = 10_000  #: readings of one series that are seen to be whole without another statement after it
_UNFORESEEN: Final = 4  #: times as many are taken all the same, when they are denser than was believed
_STATEMENTS: Final = 250  #: in one request
_POINT_BYTES: Final = 16  #: a time and a value in a `Series`
_INDEX_BYTES: Final = 32 << 20  #: an answer about names
_NAMES: Final = 100_000  #: names in one answer
_MOST_KNOWN: Final = 200_000  #: silent sensors that are remembered


class InfluxSensors:
    """Sensors in one measurement of an InfluxDB; opened by `open_sensors`.

    Args:
        client: of the database.
        layout: where in it readings stand.
        clock: the machine's.
        remember: how long a silent sensor is believed to be known, so that it is not looked for in every window.
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
        self._known: dict[str, float] = {}  #: silent sensors, and until when they are believed to be known
        self._layout_found = False

    @property
    def downstream(self) -> str:
        return self._client.downstream

    async def ping(self) -> str:
        return f"{len(await self.get_sensor_list())} tags"

    async def get_sensor_list(self) -> Sequence[str]:
        async with self._client.time_limit("listing sensors"):
            names = await self._all_names()
            await self._check_layout(again=not names)
            return sorted(filter(None, names))

    async def sensor_exists(self, name: str) -> bool:
        async with self._client.time_limit("looking for a sensor"):
            unknown = await self._unknown([name])
            await self._check_layout(again=bool(unknown))
            return not unknown

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """The query with its name written out; what is sent has a parameter there, where the server can take one."""
        start, end = to_ns(window.start), to_ns(window.end)
        if (tag := parameters.get("tag")) is None:
            return self._layout.all_readings(start, end)
        return self._layout.readings(start, end)(literal(tag))

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        """Integers and booleans become floats; nulls are left out.

        Where a sensor has several series (the measurement has other tags as well), they are read as one. All readings
        of one time are kept, the smallest first.

        Raises also `Rejected` with ``BAD_METADATA``: a field holds text, which no model can use.
        """
        names = tuple(dict.fromkeys(tags))
        async with self._client.time_limit(f"reading {window}"):
            found = await self._read(tuple(filter(self._can_be_asked, names)), window, max_bytes)
            if silent := [name for name in names if name not in found or not len(found[name])]:
                await self._check_known(silent)
            return found

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        start, end = to_ns(not_older_than), to_ns(time)
        names = tuple(filter(self._can_be_asked, dict.fromkeys(tags))) if start < end else ()
        found: dict[str, Point] = {}
        async with self._client.time_limit("looking back"):
            for name, result in await self._each(self._layout.newest(start, end), names):
                with self._understood(name):
                    last = newest_of(result, self._layout, name)
                if np.isfinite(last.values).any():
                    found[name] = Point(int(last.times[0]), float(last.values[0]))
        return found

    async def _read(self, names: tuple[str, ...], window: Window, max_bytes: int) -> dict[str, Series]:
        """Piece by piece; what comes back cut is asked for in smaller ones."""
        gathered = _Gathered(names, window, max_bytes)
        todo: list[Piece] = [Piece(names, to_ns(window.start), to_ns(window.end))] if names else []
        while todo:
            piece, *later = self._pace.take(todo.pop())
            results = await self._read_piece(piece, gathered)
            if results:
                done, *rest = piece.divided(len(results))
                self._pace.saw(done, sum(result.rows for result in results))
            elif not (rest := list(piece.halves())):
                raise self._cut_short(f"{describe_tags(piece.names)} in {window}")
            todo += reversed((*rest, *later))
        return gathered.series()

    async def _read_piece(self, piece: Piece, gathered: "_Gathered") -> Sequence[Result]:
        """Ask for the readings of a piece and keep them; perhaps of only some of its sensors, or of none."""
        most = min(gathered.room, _UNFORESEEN * self._pace.readings)
        bound = most_bytes(self._client.switches.format, most, self._layout, piece.names)
        try:
            results = await self._ask(self._layout.readings(piece.start, piece.end), piece.names, max_bytes=bound)
        except TooLarge as error:
            if most == gathered.room:
                raise gathered.too_large() from error
            self._pace.saw(piece, most)
            return ()
        for name, result in zip(piece.names, results, strict=False):
            with self._understood(name):
                gathered.add(name, readings_of(result, self._layout, name, piece.start, piece.end))
        return results

    async def _each(self, statement: Statement, names: Sequence[str]) -> Sequence[tuple[str, Result]]:
        """What a statement that gives a few rows gives for each name."""
        found: list[tuple[str, Result]] = []
        while left := names[len(found) :]:
            asked = left[: self._pace.statements]
            results = await self._ask(statement, asked, max_bytes=_INDEX_BYTES)
            if not results:
                raise self._cut_short(repr(asked[0]))
            found += zip(asked, results, strict=False)
        return found

    async def _ask(self, statement: Statement, names: Sequence[str], *, max_bytes: int) -> Sequence[Result]:
        """See `Batch.run`; a limit of the server that comes to light is kept to from now on."""
        heard = await self._batch.run(statement, names, max_bytes=max_bytes)
        if heard.cut_at is not None and self._pace.limit(heard.cut_at - 1):
            _log.warning("answer.cut_short", downstream=self.downstream, rows=heard.cut_at)
        return heard.results

    async def _all_names(self) -> set[str]:
        """The index, page by page: one page unless there are very many, or the server limits rows."""
        found: set[str] = set()
        skip, most = 0, _NAMES
        while True:
            heard = await self._batch.run(lambda _: self._layout.names(most, skip), [""], max_bytes=_INDEX_BYTES)  # noqa: B023 - called before the next page
            if heard.results:
                names = self._column(heard.results[0], "value")
                found.update(names)
                if len(names) < most:
                    return found
                skip += most
            elif heard.cut_at is None or heard.cut_at < 2:
                raise self._cut_short("the names of all sensors")
            else:
                most = heard.cut_at - 1

    async def _unknown(self, names: Sequence[str]) -> Sequence[str]:
        """Those of ``names`` that the index does not have; what it has is remembered for a while."""
        now = self._clock.monotonic()
        known = {name for name in names if self._known.get(name, now) > now}
        asked = [name for name in names if name not in known and self._can_be_asked(name)]
        for name, result in await self._each(self._layout.known(), asked):
            if name in self._column(result, "value"):
                known.add(name)
                self._known[name] = now + self._remember
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        return [name for name in names if name not in known]

    async def _check_known(self, silent: Sequence[str]) -> None:
        """Sensors without readings are in the index, and what the settings say of it is true.

        Raises:
            Rejected: ``UNKNOWN_SENSOR``, naming those that are not.
        """
        unknown = await self._unknown(silent)
        await self._check_layout(again=bool(unknown))
        if unknown:
            raise Rejected(
                f"{self._layout.measurement!r} in InfluxDB has no {describe_tags(unknown)}",
                reason=Reason.UNKNOWN_SENSOR,
            )

    async def _check_layout(self, *, again: bool) -> None:
        """A wrong name in the settings looks like a plant where nothing happens: no model may be parked for that.

        Args:
            again: also if it was found to be right before.

        Raises:
            Unavailable: there is nothing of a name in the settings; names the key.
        """
        if self._layout_found and not again:
            return
        layout, section = self._layout, self._client.section
        tags = await self._ask_once(layout.tag_keys(), "tagKey")
        fields = await self._ask_once(layout.field_keys(), "fieldKey")
        for found, name, what, key in (
            (tags, None, f"measurement {layout.measurement!r} with tags", "measurement"),
            (tags, layout.tag_key, f"tag {layout.tag_key!r} in {layout.measurement!r}", "tag_key"),
            (fields, layout.field, f"field {layout.field!r} in {layout.measurement!r}", "field"),
        ):
            if not found or (name is not None and name not in found):
                raise Unavailable(
                    f"InfluxDB {self._client.database!r} has no {what} (check {section}.{key})",
                    downstream=self.downstream,
                    alarm=True,
                )
        self._layout_found = True

    async def _ask_once(self, statement: str, column: str) -> Sequence[str]:
        ((_, result),) = await self._each(lambda _: statement, [""])
        return self._column(result, column)

    def _column(self, result: Result, column: str) -> Sequence[str]:
        with self._understood(column):
            return column_of(result, column)

    def _can_be_asked(self, name: str) -> bool:
        return can_be_asked(name, bind=self._client.switches.bind)

    @contextmanager
    def _understood(self, name: str) -> Iterator[None]:
        """What is wrong inside of a result, in our words."""
        try:
            yield
        except NotNumbersError as error:
            raise Rejected(f"{name!r} in InfluxDB: {error}", reason=Reason.BAD_METADATA) from error
        except UnreadableError as error:
            raise Unavailable(f"InfluxDB, reading: {error}", downstream=self.downstream) from error

    def _cut_short(self, what: str) -> Unavailable:
        return Unavailable(
            f"InfluxDB cuts its answers short, however little is asked for: {what}"
            f" (raise [http] max-row-limit on the server, 0 for no limit; now about {self._pace.readings})",
            downstream=self.downstream,
            alarm=True,
        )


class _Gathered:
    """The readings that are there so far, within a byte budget."""

    def __init__(self, names: Sequence[str], window: Window, max_bytes: int) -> None:
        self._window = window
        self._max_bytes = max_bytes
        self._held = 0
        self._parts: dict[str, list[Series]] = {name: [] for name in names}

    @property
    def room(self) -> int:
        """As many readings as there is room for, and one more, which will be too many."""
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
        """All of them; the parts are given up one by one, so that hardly any memory is needed twice."""
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
