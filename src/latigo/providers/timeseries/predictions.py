"""Predictions in the Omnia Timeseries API: one series for each column."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import numpy as np
import numpy.typing as npt

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import Reason, Rejected, Unavailable
from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Series, Times, Values, Written
from latigo.domain.windows import Window, to_ns
from latigo.postgres.database import Database
from latigo.providers.protocols import NamedSeries
from latigo.providers.timeseries.cache import CachedSeries, SeriesCache
from latigo.providers.timeseries.catalogue import NewSeries, SeriesCatalogue, unknown
from latigo.providers.timeseries.client import NOT_FOUND, ApiRefused, TimeseriesClient, open_client
from latigo.providers.timeseries.names import column_of, names_of, pattern_of
from latigo.providers.timeseries.points import GOOD, write_times, write_values
from latigo.providers.timeseries.reading import Item, Refused, SharedReads
from latigo.providers.timeseries.writing import SharedWrites, WrittenPoints
from latigo.runtime.clock import Clock
from latigo.runtime.in_progress import InProgress
from latigo.runtime.off_loop import off_loop
from latigo.settings import TimeseriesSink

_MANY_VALUES = 10_000  #: of which writing the texts takes several milliseconds
_POINTS_AT_ONCE = 50_000  #: each has a text of its own, and releasing them takes several milliseconds


class TimeseriesPredictions:
    """Predictions in series of the API; opened by `open_predictions`. Safe for many coroutines and processes at once.

    A point is named by its series and time, and writing it again replaces it. Neither revision nor writer is kept, so
    writers cannot be compared.
    """

    fenced = False

    def __init__(
        self,
        client: TimeseriesClient,
        catalogue: SeriesCatalogue,
        reads: SharedReads,
        writes: SharedWrites,
        settings: TimeseriesSink,
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._reads = reads
        self._writes = writes
        self._with_project = settings.project_in_name
        self._facility = settings.facility

    @property
    def downstream(self) -> str:
        return self._client.downstream

    async def ping(self, projects: Sequence[str]) -> str:  # noqa: ARG002 - all are in one place
        found = await self._catalogue.ping()
        suspicious = found.problem and found.total  # an API without any series may be new
        return f"can be read, but {found.problem}" if suspicious else "can be read"

    async def put_predictions(self, predictions: Predictions, fence: Fence) -> Written:  # noqa: ARG002 - not kept
        facility = await self._facility_of(predictions.columns)
        finite = np.isfinite(predictions.values)
        used = np.flatnonzero(finite.any(axis=0)).tolist()
        if not used:
            return Written.nothing()
        named = names_of(
            [predictions.columns[place] for place in used],
            predictions.model,
            facility,
            with_project=self._with_project,
        )
        together = max(_POINTS_AT_ONCE // len(predictions), 1)
        for top in range(0, len(used), together):
            some, places = named[top : top + together], used[top : top + together]
            values, usable = predictions.values.T[places], finite.T[places]
            write = partial(_written, predictions.times, values, usable)
            columns = await off_loop(values.size, _MANY_VALUES, write)
            points = {each.name: column for each, column in zip(some, columns, strict=True)}
            await self._write([NewSeries(*each) for each in some], facility, points)
        return Written(predictions.finite_times)

    async def _write(self, wanted: Sequence[NewSeries], facility: str, points: Mapping[str, WrittenPoints]) -> None:
        """Write points by name of series; those whose id is unknown once more, with another one that is looked up."""
        for last in (False, True):
            try:
                series = await self._catalogue.get_or_add([each for each in wanted if each.name in points], facility)
                refused = await self._writes.write({name: (series[name].id, points[name]) for name in points})
            except ApiRefused as error:
                raise Rejected(str(error), reason=Reason.WRITE_REFUSED) from error
            if not refused:
                return
            final = next((each for each in refused.values() if each.status != NOT_FOUND or last), None)
            if final is not None:
                raise Rejected(str(final), reason=Reason.WRITE_REFUSED) from final
            await self._catalogue.forget(list(refused), facility)
            points = {name: points[name] for name in refused}

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
            raise unknown(lacking, facility)
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


def _written(stamps: Times, values: Values, finite: npt.NDArray[np.bool_]) -> Sequence[WrittenPoints]:
    """Return the finite points of each column; ``values`` has shape (columns, times)."""
    times, texts, rows = write_times(stamps), write_values(values), len(stamps)
    written = []
    for number, count in enumerate(np.count_nonzero(finite, axis=1).tolist()):
        own = texts[number * rows : (number + 1) * rows]
        if count == rows:
            written.append(WrittenPoints(times, own))
        else:
            usable = np.flatnonzero(finite[number]).tolist()
            written.append(WrittenPoints([times[row] for row in usable], [own[row] for row in usable]))
    return written


def _joined(model: ModelRef, columns: Mapping[Column, Series]) -> Predictions:
    """Join series in one table."""
    times = np.unique(np.concatenate([series.times for series in columns.values()]))
    values = np.full((len(times), len(columns)), np.nan)
    for number, series in enumerate(columns.values()):
        values[np.searchsorted(times, series.times), number] = series.values
    return Predictions(model, "", times, tuple(columns), values)


@asynccontextmanager
async def open_predictions(
    settings: TimeseriesSink, clock: Clock, database: Database | None = None, tasks: InProgress | None = None
) -> AsyncIterator[TimeseriesPredictions]:
    """Open the sink; nothing is sent before the first call.

    Args:
        settings: the section.
        clock: the machine's.
        database: the ledger's, where ids are kept; None: in memory alone.
        tasks: those in progress, which share requests; without them, no request waits for others.

    Raises:
        ConfigurationError: the login or ``ca_file`` cannot be used; names the key.
    """
    downstream = circuit_name(System.SINK, settings.sink_name)
    limit = settings.write_timeout
    async with open_client(settings, "predictions", clock, downstream=downstream, time_limit=limit) as client:
        reads = SharedReads(client, frozenset({GOOD}), (), settings.max_requests)
        writes = SharedWrites(client, settings.max_requests, tasks)
        catalogue = SeriesCatalogue(client, SeriesCache(settings.url, clock, database), settings, tasks)
        try:
            yield TimeseriesPredictions(client, catalogue, reads, writes, settings)
        finally:
            await reads.close()
            await writes.close()
            await catalogue.close()
