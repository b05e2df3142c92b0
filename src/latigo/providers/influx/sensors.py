"""Readings from InfluxDB: one request for all sensors of a model, unless that is too much."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from latigo import settings
from latigo.domain.bad_readings import Fault
from latigo.domain.errors import BadReading, LatigoError, TooLarge, describe_tags
from latigo.domain.series import Point, Readings, Series
from latigo.domain.windows import Window, from_ns, to_ns
from latigo.providers.bad_readings import BadReadings
from latigo.providers.influx.chunks import Chunk, Pace
from latigo.providers.influx.client import InfluxClient, open_client
from latigo.providers.influx.fields import TEXT, FieldTypes, Selection, numbers_selection, readings_selection
from latigo.providers.influx.query import Layout, literal
from latigo.providers.influx.readings import BadOnes, ReadReadings, joined, newest_of, readings_of
from latigo.providers.influx.requests import Requests
from latigo.providers.influx.responses import Result, most_bytes
from latigo.providers.influx.schema import Schema, Types
from latigo.providers.protocols import SensorSample, SourceSample
from latigo.providers.qualities import Qualities
from latigo.runtime.clock import Clock
from latigo.runtime.off_loop import off_loop
from latigo.runtime.redaction import shown

_UNFORESEEN: Final = 4  #: times as many are accepted when they are denser than estimated
_POINT_BYTES: Final = 16  #: a time and a value in a `Series`
_LARGE: Final = 4 << 20  #: bytes of readings of which joining takes several milliseconds
_MANY_ROWS: Final = 5_000  #: of which judging those that are no pairs of floats takes several milliseconds
_HOUR: Final = 3_600_000_000_000  #: ns, in which bad readings are counted
_LONGEST_CELL: Final = 80
#: Parts of the newest readings that a sample reads, the first that is not too large.
_SAMPLES: Final = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1))
_SAMPLE_BYTES: Final = 8_000_000
_MOST_SERIES: Final = 5  #: that are named


@dataclass(frozen=True, slots=True)
class Judgement:
    """Which readings are used; keys of the settings."""

    qualities: Qualities
    refuse_text: bool = False


class InfluxSensors:
    """Sensors in one measurement of an InfluxDB; opened by `open_sensors`.

    Args:
        client: of the database.
        layout: where the readings are in it.
        clock: the machine's.
        judgement: which of them are used.
        bad: account of those that are not.
        remember: how long the existence of a silent sensor is cached.
    """

    def __init__(
        self,
        client: InfluxClient,
        layout: Layout,
        clock: Clock,
        judgement: Judgement,
        bad: BadReadings,
        *,
        remember: timedelta = timedelta(minutes=10),
    ) -> None:
        self._client = client
        self._layout = layout
        self._judgement = judgement
        self._bad = bad
        self._requests = Requests(client, layout)
        self._schema = Schema(self._requests, layout, clock, remember)

    @property
    def downstream(self) -> str:
        return self._client.downstream

    async def ping(self) -> str:
        return f"{len(await self.get_sensor_list())} tags"

    async def get_sensor_list(self) -> Sequence[str]:
        async with self._client.time_limit("listing sensors"):
            return await self._schema.names()

    async def sensor_exists(self, name: str) -> bool:
        async with self._client.time_limit("reading the name of a sensor"):
            return await self._schema.exists(name)

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """Return the query with names as literals; the one that is sent has parameters where the server takes them.

        It casts the field as the last call did, or not at all before the first one.
        """
        start, end, terms = to_ns(window.start), to_ns(window.end), readings_selection(*self._schema.last_types).terms
        if (tag := parameters.get("tag")) is None:
            return self._layout.all_readings(start, end, terms)
        return self._layout.readings(start, end, terms)(literal(tag))

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        """Return readings; integers and booleans become floats, nulls are left out.

        Where a sensor has several series (the measurement has other tags as well), they are read as one. All readings
        of one time are kept, the smallest first. Text, and readings that are not good, are skipped and counted.

        Raises also `BadReading`: a reading is text, and the settings refuse that.
        """
        names = tuple(dict.fromkeys(tags))
        async with self._client.time_limit(f"reading {window}"):
            collected = await self._read(tuple(filter(self._requests.can_be_queried, names)), window, max_bytes)
            self._judge(collected.bad)
            readings = await off_loop(collected.held, _LARGE, collected.series)
            if silent := [name for name in names if name not in readings or not len(readings[name])]:
                await self._schema.check_existence(silent)
            return readings

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        start, end = to_ns(not_older_than), to_ns(time)
        names = tuple(filter(self._requests.can_be_queried, dict.fromkeys(tags))) if start < end else ()
        points: dict[str, Point] = {}
        async with self._client.time_limit("reading last values"):
            types = await self._schema.types()
            judgement = self._judgement
            selection = numbers_selection(*types, judgement.qualities, with_text=judgement.refuse_text)
            for condition in selection.conditions if selection.values else ():
                statement = self._layout.newest(start, end, selection.values, condition)
                for name, result in await self._requests.each(statement, names):
                    with self._requests.readable():
                        last = newest_of(result, self._layout, selection, name)
                    self._refuse_text({(name, fault): [ones] for fault, ones in last.bad.items()})
                    if len(last.series) and np.isfinite(last.series.values[-1]):
                        point = Point(int(last.series.times[-1]), float(last.series.values[-1]))
                        points[name] = max(point, points.get(name, point))
        return points

    async def retention(self) -> timedelta | None:
        async with self._client.time_limit("reading the retention"):
            return await self._schema.retention()

    async def sample(self, tags: Sequence[str]) -> SourceSample:
        """Read the newest day of each of these tags, or less if that is much, and the first and last times."""
        async with self._client.time_limit("reading the types of fields"):
            types = await self._schema.types(renew=True)
            quality = await self._schema.seeming_quality()
        notes = [self._describe_types(field) for field in types if field is not None]
        if quality is not None:
            notes.append(
                f"field {quality!r} of {self._layout.measurement!r} seems to have qualities, and readings are used"
                f" whatever it has ({self._client.section}.quality_field)"
            )
        sensors = []
        for tag in filter(self._requests.can_be_queried, dict.fromkeys(tags)):
            terms = types.value.terms()
            async with self._client.time_limit(f"looking for the first and the last reading of {tag!r}"):
                ends = [await self._end(tag, terms, last=last) for last in (False, True)]
            times = [time for times, _ in ends for time in times]
            first, last = (from_ns(min(times)), from_ns(max(times))) if times else (None, None)
            readings, note = await self._sample_of(tag, last) if last else (0, "")
            sensors.append(SensorSample(tag, readings, first, last))
            notes += [note, self._describe_series(tag, ends[1][1])]
        return SourceSample(sensors, tuple(filter(None, notes)))

    async def _read(self, names: tuple[str, ...], window: Window, max_bytes: int) -> "_Collected":
        """Read by the types that fields had a short time ago, and again by those of now if a value has another one."""
        try:
            return await self._read_by(await self._schema.types(), names, window, max_bytes)
        except _OtherTypeError:
            types = await self._schema.types(renew=True)
            return await self._read_by(types, names, window, max_bytes, are_new=True)

    async def _read_by(
        self, types: Types, names: tuple[str, ...], window: Window, max_bytes: int, *, are_new: bool = False
    ) -> "_Collected":
        """Read chunk by chunk; one that comes back cut is read again in smaller ones."""
        selection = readings_selection(*types)
        pace = self._requests.pace(wide=selection.wide)
        collected = _Collected(names, window, max_bytes)
        todo: list[Chunk] = [Chunk(names, to_ns(window.start), to_ns(window.end))] if names else []
        while todo:
            chunk, *later = pace.take(todo.pop())
            results = await self._read_chunk(chunk, selection, pace, collected)
            if results:
                done, *rest = chunk.divided(len(results))
                pace.record(done, sum(result.rows for result in results))
            elif not (rest := list(chunk.halves())):
                raise self._requests.cut_short(f"{describe_tags(chunk.names)} in {window}")
            if not are_new and not collected.kinds <= set(types.value.kinds):
                raise _OtherTypeError
            todo += reversed((*rest, *later))
        return collected

    async def _read_chunk(
        self, chunk: Chunk, selection: Selection, pace: Pace, collected: "_Collected"
    ) -> Sequence[Result]:
        """Read a chunk and keep its readings; possibly of only some of its sensors, or of none."""
        most = min(collected.room, _UNFORESEEN * pace.readings)
        bound = most_bytes(
            self._client.switches.format,
            most,
            self._layout,
            chunk.names,
            columns=len(selection.terms),
            wide=selection.wide,
        )
        statement = self._layout.readings(chunk.start, chunk.end, selection.terms)
        try:
            results = await self._requests.run(statement, chunk.names, max_bytes=bound)
        except TooLarge as error:
            if most == collected.room:
                raise collected.too_large() from error
            pace.record(chunk, most)
            return ()
        for name, result in zip(chunk.names, results, strict=False):
            rows = sum(len(table.rows) for table in result.tables if not isinstance(table.rows, Series))
            with self._requests.readable():
                read = await off_loop(rows, _MANY_ROWS, lambda: self._readings_of(result, selection, name, chunk))  # noqa: B023 - called at once
            collected.add(name, read)
        return results

    def _readings_of(self, result: Result, selection: Selection, name: str, chunk: Chunk) -> ReadReadings:
        return readings_of(result, self._layout, selection, self._judgement.qualities, name, chunk.start, chunk.end)

    def _judge(self, bad: "_Bad") -> None:
        """Count the bad readings of a read, hour by hour.

        Raises:
            BadReading: one is text, and the settings refuse that.
        """
        self._refuse_text(bad)
        for (name, fault), parts in bad.items():
            example = self._example(fault, parts[0])
            hours, counts = np.unique(np.concatenate([part.times for part in parts]) // _HOUR, return_counts=True)
            for hour, count in zip(hours.tolist(), counts.tolist(), strict=True):
                self._bad.record(f"{self.downstream}/{self._layout.measurement}", hour, name, fault, count, example)

    def _refuse_text(self, bad: "_Bad") -> None:
        if not self._judgement.refuse_text:
            return
        for (name, fault), parts in bad.items():
            if fault is Fault.TEXT:
                raise BadReading(
                    f"InfluxDB, {name!r} at {self._example(fault, parts[0])} is not a number, and"
                    f' {self._client.section}.text is "refuse"'
                )

    def _example(self, fault: Fault, ones: BadOnes) -> str:
        field = self._layout.field if fault is Fault.TEXT else self._layout.quality_field
        first = f"{ones.first:.15g}" if isinstance(ones.first, float) else shown(ones.first, _LONGEST_CELL)
        return f"{from_ns(int(ones.times[0])):%Y-%m-%d %H:%M:%S}: {first} in field {field!r}"

    async def _end(
        self, tag: str, terms: Sequence[str], *, last: bool
    ) -> tuple[list[int], Sequence[Mapping[str, str]]]:
        """Return the times of the first or last readings of the series of a sensor, of any type, and their tags."""
        ((_, result),) = await self._requests.each(self._layout.ends(terms, last=last), [tag])
        times: list[int] = []
        for table in result.tables:
            if isinstance(table.rows, Series):
                times += table.rows.times.tolist()
            else:
                times += [row[0] for row in table.rows if isinstance(row[0], int)]
        return times, [table.tags for table in result.tables]

    async def _sample_of(self, tag: str, last: datetime) -> tuple[int, str]:
        """Return the number of the newest readings, and why they cannot be read."""
        end = last + timedelta(microseconds=1)
        for span in _SAMPLES:
            try:
                readings = await self.get_data_for_range([tag], Window(end - span, end), max_bytes=_SAMPLE_BYTES)
            except TooLarge:
                continue
            except LatigoError as error:
                return 0, str(error)
            return len(readings[tag]), ""
        return 0, f"{tag}: the readings of {_SAMPLES[-1]} are too many for a sample"

    def _describe_types(self, field: FieldTypes) -> str:
        """Return a note on a field that has several types, or text for values; empty otherwise."""
        types = sorted(field.types)
        text = ""
        if TEXT in types and field.field == self._layout.field:
            fate = "refuses a window" if self._judgement.refuse_text else "is skipped and counted"
            text = f"; text {fate} ({self._client.section}.text)"
        if len(types) < 2 and not text:
            return ""
        several = f"has the types {', '.join(types[:-1])} and {types[-1]}" if len(types) > 1 else "is text"
        return f"field {field.field!r} of {self._layout.measurement!r} {several}{text}"

    def _describe_series(self, tag: str, series: Sequence[Mapping[str, str]]) -> str:
        """Return a note on a sensor that has several series; empty otherwise."""
        if len(series) < 2:
            return ""
        tags = [
            ", ".join(f"{key}={value}" for key, value in sorted(each.items()) if key != self._layout.tag_key)
            for each in series[:_MOST_SERIES]
        ]
        more = " ..." if len(series) > _MOST_SERIES else ""
        return (
            f"{tag}: has {len(series)} series, which are read as one ({'; '.join(tags)}{more});"
            f" {self._client.section}.where selects among them"
        )


class _OtherTypeError(Exception):
    """A value is of another type than its field had a short time ago: there may be more that were left out."""


_Bad = dict[tuple[str, Fault], list[BadOnes]]  #: by sensor and fault, in order of time


class _Collected:
    """Readings read so far, within a byte budget."""

    def __init__(self, names: Sequence[str], window: Window, max_bytes: int) -> None:
        self._window = window
        self._max_bytes = max_bytes
        self.held = 0  #: bytes
        self._parts: dict[str, list[Series]] = {name: [] for name in names}
        self.bad: _Bad = {}
        self.kinds: set[str] = set()  #: of values

    @property
    def room(self) -> int:
        """Number of readings that there is room for, and one more, which will be too many."""
        return (self._max_bytes - self.held) // _POINT_BYTES + 1

    def add(self, name: str, read: ReadReadings) -> None:
        """Keep the next readings of a sensor."""
        self.held += read.series.nbytes + sum(ones.times.nbytes for ones in read.bad.values())
        if self.held > self._max_bytes:
            raise self.too_large()
        self.kinds |= read.kinds
        self._parts[name].append(read.series)
        for fault, ones in read.bad.items():
            self.bad.setdefault((name, fault), []).append(ones)

    def too_large(self) -> TooLarge:
        return TooLarge(f"the readings of {self._window} take more than {self._max_bytes} bytes")

    def series(self) -> dict[str, Series]:
        """Join and return all of them; parts are released one by one, so that hardly any memory is needed twice."""
        return {name: joined(self._parts.pop(name)) for name in list(self._parts)}


@asynccontextmanager
async def open_sensors(
    influx: settings.InfluxSensors, clock: Clock, bad: BadReadings | None = None
) -> AsyncIterator[InfluxSensors]:
    """Open sensors in an InfluxDB; nothing is sent before the first call.

    Args:
        influx: the section.
        clock: the machine's.
        bad: account of the readings that are skipped; a new one by default.

    Raises:
        ConfigurationError: a setting cannot be used; names the key.
    """
    layout = Layout(
        influx.measurement,
        influx.tag_key,
        influx.field,
        influx.quality_field,
        tuple(influx.where.items()),
        cast_tags=influx.version != "3",
    )
    judgement = Judgement(Qualities(influx.good), influx.text == "refuse")
    async with open_client(influx) as client:
        yield InfluxSensors(client, layout, clock, judgement, bad or BadReadings(clock))
