"""Predictions in the Omnia Timeseries API: one series for each column."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import Reason, Rejected, Unavailable
from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Series, Written
from latigo.domain.windows import Window, to_ns
from latigo.postgres.database import Database
from latigo.providers.protocols import NamedSeries
from latigo.providers.timeseries.cache import CachedSeries, SeriesCache
from latigo.providers.timeseries.catalogue import NewSeries, SeriesCatalogue, items_of, unknown
from latigo.providers.timeseries.client import NOT_FOUND, TOO_LARGE, ApiRefused, TimeseriesClient, open_client
from latigo.providers.timeseries.names import column_of, names_of, pattern_of
from latigo.providers.timeseries.points import GOOD, write_times
from latigo.providers.timeseries.reading import Item, Refused, SharedReads
from latigo.runtime.clock import Clock
from latigo.settings import TimeseriesSink

_MOST_SERIES = 100  #: in one request
_MOST_POINTS = 10_000  #: in one request

_Item = dict[str, Any]


class TimeseriesPredictions:
    """Predictions in series of the API; opened by `open_predictions`. Safe for many coroutines and processes at once.

    A point is named by its series and time, and writing it again replaces it. Neither revision nor writer is kept, so
    writers cannot be compared.
    """

    fenced = False

    def __init__(
        self, client: TimeseriesClient, catalogue: SeriesCatalogue, reads: SharedReads, settings: TimeseriesSink
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._reads = reads
        self._with_project = settings.project_in_name
        self._facility = settings.facility

    @property
    def downstream(self) -> str:
        return self._client.downstream

    async def ping(self, projects: Sequence[str]) -> str:  # noqa: ARG002 - all are in one place
        items_of(await self._client.get("/facets/facility"), self.downstream)
        return "can be read"

    async def put_predictions(self, predictions: Predictions, fence: Fence) -> Written:  # noqa: ARG002 - not kept
        facility = await self._facility_of(predictions.columns)
        used = [place for place in range(len(predictions.columns)) if np.isfinite(predictions.values[:, place]).any()]
        if not used:
            return Written.nothing()
        named = names_of(
            [predictions.columns[place] for place in used],
            predictions.model,
            facility,
            with_project=self._with_project,
        )
        wanted = [NewSeries(each.name, each.description) for each in named]
        columns = {each.name: predictions.values[:, place] for each, place in zip(named, used, strict=True)}
        times = write_times(predictions.times)
        await self._write(wanted, facility, times, columns)
        return Written(predictions.finite_times)

    async def _write(
        self, wanted: Sequence[NewSeries], facility: str, times: Sequence[str], columns: Mapping[str, Any]
    ) -> None:
        """Write every column; once more with ids that are looked up again, where one is unknown."""
        for last in (False, True):
            series = await self._catalogue.get_or_add(wanted, facility)
            items = [{"id": series[name].id, "datapoints": _points(times, values)} for name, values in columns.items()]
            try:
                await asyncio.gather(*(self._post(part) for part in _parts(items)))
            except ApiRefused as error:
                if error.status != NOT_FOUND or last:
                    raise Rejected(str(error), reason=Reason.WRITE_REFUSED) from error
                await self._catalogue.forget([each.name for each in wanted], facility)
            else:
                return

    async def _post(self, items: Sequence[_Item]) -> None:
        """Write items, in halves where the API finds them too large."""
        try:
            await self._client.post("/data", {"items": list(items)})
        except ApiRefused as error:
            halves = _halves(items)
            if halves is None or not _is_too_large(error):
                raise
            for half in halves:
                await self._post(half)

    async def get_predictions(self, model: ModelRef, window: Window) -> Sequence[Predictions]:
        """Return what is stored under the revision ``""``."""
        start, end = to_ns(window.start), to_ns(window.end)
        found: dict[Column, CachedSeries] = {}
        for series in await self._catalogue.names(pattern_of(model, with_project=self._with_project)):
            column = column_of(series.name, model, series.facility, with_project=self._with_project)
            if column is not None:
                found[column] = series
        items = {column: Item(series.id, start, end) for column, series in found.items()}
        answers = await self._reads.read(list(items.values()))
        columns: dict[Column, Series] = {}
        for column, item in items.items():
            answer = answers[item]
            if isinstance(answer, Refused):
                if answer.left_out:
                    continue
                raise Unavailable(answer.reason, downstream=self.downstream)
            if len(answer.series):
                columns[column] = answer.series
        return [_joined(model, columns)] if columns else []

    async def identify(
        self, model: ModelRef, tags: Sequence[str], columns: Sequence[Column]
    ) -> tuple[Sequence[NamedSeries], Sequence[NamedSeries]]:
        facility = await self._facility_of(columns)
        found = await self._catalogue.find(tags, facility)
        if lacking := [tag for tag in tags if tag not in found]:
            raise unknown(lacking)
        named = names_of(columns, model, facility, with_project=self._with_project)
        series = await self._catalogue.get_or_add([NewSeries(*each) for each in named], facility)
        return (
            [NamedSeries(tag, found[tag].id) for tag in tags],
            [NamedSeries(each.name, series[each.name].id, each.description) for each in named],
        )

    async def _facility_of(self, columns: Sequence[Column]) -> str:
        tag = next((column.tag for column in columns if column.tag), None)
        if tag is None and not self._facility:
            raise Rejected(
                "no column of the prediction has a tag, so there is no facility: set facility",
                reason=Reason.WRITE_REFUSED,
            )
        return await self._catalogue.facility_of(tag or "")


def _points(times: Sequence[str], values: Any) -> list[_Item]:
    """Return the finite points of one column."""
    finite = np.flatnonzero(np.isfinite(values)).tolist()
    numbers = values.tolist()
    return [{"time": times[row], "value": numbers[row], "status": GOOD} for row in finite]


def _parts(items: Sequence[_Item]) -> Iterator[list[_Item]]:
    """Split items into requests of bounded size; one series may take several."""
    part: list[_Item] = []
    size = 0
    for item in items:
        points = item["datapoints"]
        for begin in range(0, len(points), _MOST_POINTS):
            some = points[begin : begin + _MOST_POINTS]
            if part and (size + len(some) > _MOST_POINTS or len(part) == _MOST_SERIES):
                yield part
                part, size = [], 0
            part.append({"id": item["id"], "datapoints": some})
            size += len(some)
    if part:
        yield part


def _halves(items: Sequence[_Item]) -> tuple[Sequence[_Item], Sequence[_Item]] | None:
    if len(items) > 1:
        return items[: len(items) // 2], items[len(items) // 2 :]
    points = items[0]["datapoints"]
    if len(points) < 2:
        return None
    middle = len(points) // 2
    first, second = ({"id": items[0]["id"], "datapoints": part} for part in (points[:middle], points[middle:]))
    return [first], [second]


def _is_too_large(error: ApiRefused) -> bool:
    return error.status == TOO_LARGE or (error.status == 400 and "large" in str(error).lower())


def _joined(model: ModelRef, columns: Mapping[Column, Series]) -> Predictions:
    """Join series in one table."""
    times = np.unique(np.concatenate([series.times for series in columns.values()]))
    values = np.full((len(times), len(columns)), np.nan)
    for number, series in enumerate(columns.values()):
        values[np.searchsorted(times, series.times), number] = series.values
    return Predictions(model, "", times, tuple(columns), values)


@asynccontextmanager
async def open_predictions(
    settings: TimeseriesSink, clock: Clock, database: Database | None = None
) -> AsyncIterator[TimeseriesPredictions]:
    """Open the sink; nothing is sent before the first call.

    Raises:
        ConfigurationError: the login or ``ca_file`` cannot be used; names the key.
    """
    downstream = circuit_name(System.SINK, settings.sink_name)
    limit = settings.write_timeout
    async with open_client(settings, "predictions", clock, downstream=downstream, time_limit=limit) as client:
        reads = SharedReads(client, frozenset({GOOD}), (), settings.max_requests)
        catalogue = SeriesCatalogue(client, SeriesCache(settings.url, clock, database), settings.facility)
        try:
            yield TimeseriesPredictions(client, catalogue, reads, settings)
        finally:
            await reads.close()
