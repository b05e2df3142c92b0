"""Readings from the Omnia Timeseries API."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from latigo.domain.bad_readings import Fault
from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import Reason, Rejected, TooLarge, Unavailable, describe_tags
from latigo.domain.series import Point, Readings, Series
from latigo.domain.windows import Window, from_ns, to_ns
from latigo.postgres.database import Database
from latigo.providers.bad_readings import BadReadings
from latigo.providers.protocols import SensorSample, SourceSample
from latigo.providers.timeseries.cache import CachedSeries, SeriesCache
from latigo.providers.timeseries.catalogue import SeriesCatalogue, items_of, unknown
from latigo.providers.timeseries.client import NOT_FOUND, ApiRefused, TimeseriesClient, open_client
from latigo.providers.timeseries.points import ReadPoints, read_times, write_time
from latigo.providers.timeseries.reading import MOST_ITEMS, Item, SharedReads
from latigo.providers.timeseries.sharing import Savings
from latigo.runtime.clock import Clock
from latigo.runtime.in_progress import InProgress
from latigo.runtime.log import get_logger
from latigo.settings import TimeseriesSensors as TimeseriesSettings

_log = get_logger(__name__)

_DAY: Final = timedelta(days=1)
_SAMPLE_BYTES: Final = 8_000_000
_MOST_READ_AT: Final = 500_000


class TimeseriesSensors:
    """Sensors of the API; opened by `open_sensors`.

    Args:
        client: of the API.
        catalogue: names and ids.
        reads: shared by all tasks.
        settings: the section.
        bad: account of the readings that are skipped for their status.
    """

    def __init__(
        self,
        client: TimeseriesClient,
        catalogue: SeriesCatalogue,
        reads: SharedReads,
        settings: TimeseriesSettings,
        bad: BadReadings,
    ) -> None:
        self._reads = reads
        self._client = client
        self._catalogue = catalogue
        self._settings = settings
        self._bad = bad
        self._exists: set[str] = set()  #: ids that an answer left out although they can be read
        self._read_at: dict[str, set[str]] = {}  #: facilities at which a tag was read

    @property
    def downstream(self) -> str:
        return self._client.downstream

    async def ping(self) -> str:
        """Count the series, at the facility of the settings if there is one.

        Raises:
            Unavailable: also where that facility has none.
        """
        found = await self._catalogue.ping()
        if found.problem:
            raise Unavailable(f"the Timeseries API {found.problem}", downstream=self.downstream, alarm=True)
        if found.here is not None:
            return f"{found.here} tags at {self._settings.facility}"
        return f"{found.total} tags"

    async def get_sensor_list(self) -> Sequence[str]:
        return sorted({series.name for series in await self._catalogue.names()})

    async def sensor_exists(self, name: str) -> bool:
        return await self._catalogue.exists(name)

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """Return the request and its item."""
        start, end = write_time(to_ns(window.start)), write_time(to_ns(window.end))
        tag = parameters.get("tag", "every tag")
        facility = self._settings.facility or "the facility of the model's first tag"
        statuses = ", ".join(map(str, self._settings.good))
        return f"POST {self._client.base_url}/query/data: {tag} at {facility}, {start} to {end}, status {statuses}"

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        start, end = to_ns(window.start), to_ns(window.end)
        facility = await self._catalogue.facility_of(tags[0]) if tags else ""
        for tag in tags:
            if tag in self._read_at or len(self._read_at) < _MOST_READ_AT:
                self._read_at.setdefault(tag, set()).add(facility)
        found = await self._read(tags, facility, start, end)
        size = sum(points.series.nbytes for points in found.values())
        if size > max_bytes:
            raise TooLarge(f"the readings of {window} take {size} bytes, more than {max_bytes}")
        for tag, points in found.items():
            place, hour = f"{self.downstream}/{facility}", (tag, start)
            self._bad.record(place, hour, tag, Fault.QUALITY, points.bad, points.example)
        return {tag: points.series for tag, points in found.items()}

    async def _read(self, tags: Sequence[str], facility: str, start: int, end: int) -> Mapping[str, ReadPoints]:
        """Return the points of every tag.

        Raises:
            Rejected: ``UNKNOWN_SENSOR``, naming all tags that are unknown or may not be read.
        """
        ids = await self._ids(tags, facility)
        found, refused = await self._read_ids(ids, start, end)
        if refused:  # an id may belong to nothing any more, and the name to another one
            await self._catalogue.forget(list(refused), facility)
            again = await self._ids(list(refused), facility)
            changed = {tag: series for tag, series in again.items() if series.id != ids[tag].id}
            more, refused_again = await self._read_ids(changed, start, end)
            found |= more
            if lacking := {tag: reason for tag, reason in (refused | refused_again).items() if tag not in found}:
                raise Rejected(
                    f"the Timeseries API does not let these tags be read: {describe_tags(lacking)}"
                    f" ({next(iter(lacking.values()))})",
                    reason=Reason.UNKNOWN_SENSOR,
                    tags=tuple(lacking),
                )
        return {tag: found[tag] for tag in tags}

    async def _read_ids(
        self, ids: Mapping[str, CachedSeries], start: int, end: int
    ) -> tuple[dict[str, ReadPoints], dict[str, str]]:
        """Return the points by tag, and the reasons by tag whose id cannot be read."""
        items = {tag: Item(series.id, start, end) for tag, series in ids.items()}
        answers = await self._reads.read(list(items.values()))
        found: dict[str, ReadPoints] = {}
        refused: dict[str, str] = {}
        for tag, item in items.items():
            answer = answers[item]
            if isinstance(answer, ReadPoints):
                found[tag] = answer
            elif answer.left_out and await self._is_there(item.id):
                found[tag] = ReadPoints(Series.empty(), 0, "")
            else:
                refused[tag] = answer.reason
        return found, refused

    async def _is_there(self, identifier: str) -> bool:
        """Return whether a series exists that an answer has left out: it may have no points, or not be for us."""
        if identifier in self._exists:
            return True
        try:
            await self._client.get(f"/{identifier}")
        except ApiRefused as error:
            if error.status != NOT_FOUND:
                raise
            return False
        self._exists.add(identifier)
        return True

    async def _ids(self, tags: Sequence[str], facility: str) -> Mapping[str, CachedSeries]:
        ids = await self._catalogue.find(tags, facility)
        if missing := [tag for tag in dict.fromkeys(tags) if tag not in ids]:
            raise unknown(missing, facility)
        return ids

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        if not tags:
            return {}
        facility = await self._facility_of_some(tags)
        ids = await self._catalogue.find(tags, facility)
        by_id = {series.id.lower(): tag for tag, series in ids.items()}
        start, end = to_ns(not_older_than), to_ns(time)
        points: dict[str, Point] = {}
        names = list(by_id)
        for begin in range(0, len(names), MOST_ITEMS):
            body = [
                {
                    "id": identifier,
                    "startTime": write_time(start),
                    "endTime": write_time(end),
                    "statusFilter": list(self._settings.good),
                }
                for identifier in names[begin : begin + MOST_ITEMS]
            ]
            for item in items_of(await self._client.post("/query/data/latest", body), self.downstream):
                tag = by_id.get(str(item.get("id", "")).lower())
                for read in item.get("datapoints") or ():
                    if tag is not None:
                        point = Point(int(read_times([read["time"]])[0]), float(read["value"]))
                        if point.time >= end:  # the end counts in, which the API does not say
                            point = await self._latest_before(ids[tag].id, start, end) or point
                        if start <= point.time < end and read.get("status", 0) in self._settings.good:
                            points[tag] = point
        return points

    async def _facility_of_some(self, tags: Sequence[str]) -> str:
        """Return the facility of a model by some of its tags, the first of which may not be among them.

        The readings of a model are read before its last values, so the only facility at which all of these tags were
        read is its own.
        """
        read_at = set.intersection(*(self._read_at.get(tag, set()) for tag in tags))
        return read_at.pop() if len(read_at) == 1 else await self._catalogue.facility_of(tags[0])

    async def _latest_before(self, identifier: str, start: int, end: int) -> Point | None:
        params = [("beforeTime", write_time(end - 1000)), ("afterTime", write_time(start))]
        params += [("status", str(status)) for status in self._settings.good]
        answer = await self._client.get(f"/{identifier}/data/latest", params)
        for item in items_of(answer, self.downstream):
            for point in item.get("datapoints") or ():
                return Point(int(read_times([point["time"]])[0]), float(point["value"]))
        return None

    async def sample(self, tags: Sequence[str]) -> SourceSample:
        """Read the newest day of each of these tags, and the first and last times of any status."""
        sensors: list[SensorSample] = []
        notes: list[str] = []
        for tag in dict.fromkeys(tags):
            try:
                ids = await self._ids([tag], await self._catalogue.facility_of(tag))
            except Rejected as error:
                notes.append(f"{tag}: {error}")
                continue
            first, last = [await self._time_of(edge, ids[tag].id) for edge in ("first", "latest")]
            readings = 0
            if last is not None:
                end = from_ns(last) + timedelta(microseconds=1)
                try:
                    day = await self.get_data_for_range([tag], Window(end - _DAY, end), max_bytes=_SAMPLE_BYTES)
                    readings = len(day[tag])
                except (Rejected, TooLarge) as error:
                    notes.append(f"{tag}: {error}")
            times = (None if time is None else from_ns(time) for time in (first, last))
            sensors.append(SensorSample(tag, readings, *times))
        return SourceSample(sensors, notes)

    async def _time_of(self, edge: str, identifier: str) -> int | None:
        """Return the time (ns) of the first or latest point of a series, of any status; None if it has none."""
        try:
            answer = await self._client.get(f"/{identifier}/data/{edge}")
        except ApiRefused as error:
            if error.status != NOT_FOUND:
                raise
            return None
        points = [point for item in items_of(answer, self.downstream) for point in item.get("datapoints") or ()]
        return int(read_times([points[0]["time"]])[0]) if points else None


@asynccontextmanager
async def open_sensors(
    settings: TimeseriesSettings,
    clock: Clock,
    bad: BadReadings | None = None,
    database: Database | None = None,
    savings: Savings | None = None,
    tasks: InProgress | None = None,
) -> AsyncIterator[TimeseriesSensors]:
    """Open the source; nothing is sent before the first call.

    Args:
        settings: the section.
        clock: the machine's.
        bad: account of the readings that are skipped; a new one by default.
        database: the ledger's, where ids are kept; None: in memory alone.
        savings: account of what sharing requests saves; a new one by default.
        tasks: those in progress, which share requests; without them, no request waits for others.

    Raises:
        ConfigurationError: the login or ``ca_file`` cannot be used; names the key.
    """
    limit = settings.read_timeout
    downstream = circuit_name(System.SENSORS, settings.source_name)
    async with open_client(settings, "sensors", clock, downstream=downstream, time_limit=limit) as client:
        params = [("federationSource", settings.federation_source)] if settings.federation_source else []
        reads = SharedReads(
            client, frozenset(settings.good), params, settings.max_requests, tasks=tasks, savings=savings
        )
        catalogue = SeriesCatalogue(client, SeriesCache(settings.url, clock, database), settings)
        try:
            yield TimeseriesSensors(client, catalogue, reads, settings, bad or BadReadings(clock))
        finally:
            await reads.close()
            await catalogue.close()
