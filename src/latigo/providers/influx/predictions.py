"""The InfluxDB sink; its layout is described in ``line_protocol.py``."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
import numpy.typing as npt

from latigo.domain.errors import TooLarge, Unavailable
from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions, Series, Times, Written
from latigo.domain.windows import Window, to_ns
from latigo.providers.influx.batch import Batch
from latigo.providers.influx.client import InfluxClient, open_client
from latigo.providers.influx.joining import JoinedWrites
from latigo.providers.influx.line_protocol import FIELD, TAGS, Precision, column_of, encode, halves
from latigo.providers.influx.query import Statement, between, can_be_queried, identifier, literal
from latigo.providers.influx.readings import NotNumbersError, series_of
from latigo.providers.influx.responses import Result, UnreadableError
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import off_loop
from latigo.settings import InfluxSink

_log = get_logger(__name__)

_LARGEST_RESPONSE = 16 << 20
_MANY_POINTS = 10_000  #: of which joining takes several milliseconds
#: Has no results, and shows by its presence that nothing before it was cut; see `Batch`.
_NOTHING = f'SELECT {identifier(FIELD)} FROM "model-output" WHERE time = 0 LIMIT 1'  # noqa: S608 -- holds constants
#: Has no results either, from any measurement: there may be none yet.
_NO_POINTS = f"SELECT {identifier(FIELD)} FROM /./ WHERE time = 0 LIMIT 1"  # noqa: S608 -- holds constants


class InfluxPredictions:
    """Predictions in an InfluxDB; opened by `open_predictions`. Safe for many coroutines and processes at once.

    A point is named by (project, model, column, time), and writing it again replaces it. The revision is not kept: as a
    tag it would make another series of every column. Nor is the writer, so it cannot be compared.

    Args:
        client: of the server; its database may hold ``{project}``, for a database of its own for each.
    """

    fenced = False

    def __init__(self, client: InfluxClient) -> None:
        self._client = client
        self._joined = JoinedWrites(self._write)

    @property
    def downstream(self) -> str:
        return self._client.downstream

    async def put_predictions(self, predictions: Predictions, fence: Fence) -> Written:  # noqa: ARG002 - not kept
        model = predictions.model
        encoded = await off_loop(predictions.values.size, _MANY_POINTS, lambda: encode(predictions))
        dropped = 0
        for body in encoded.bodies:
            dropped += await self._joined.write(body, encoded.precision, self._database_of(model.project))
        if dropped:
            _log.warning("points.dropped", downstream=self.downstream, model=str(model), count=dropped)
        return _rows_kept(predictions.times, encoded.points_by_row, dropped)

    async def _write(self, body: bytes, precision: Precision, database: str) -> int:
        """Write a body, in as many parts as the server needs; return how many points it dropped for their age."""
        try:
            return await self._client.write_lines(body, precision=precision, database=database)
        except TooLarge:
            if (parts := halves(body)) is None:
                raise
        return sum([await self._write(part, precision, database) for part in parts])

    async def get_predictions(self, model: ModelRef, window: Window) -> Sequence[Predictions]:
        """Return what Latigo wrote, under the revision ``""``; not what others wrote under other tags."""
        if not all(can_be_queried(name, bind=False) for name in model):
            return []  # nor can it have been written
        batch = self._batch(self._database_of(model.project))
        async with self._client.time_limit(f"reading {model}"):
            result = await batch.run(_points(model.project, window), [model.name], max_bytes=_LARGEST_RESPONSE)
        if not result.results:
            raise TooLarge(
                f"InfluxDB, reading {model}: more rows than can be known to be complete (version 3: 10 000 of a column,"
                " others: [http] max-row-limit on the server), so read a shorter window"
            )
        try:
            return await off_loop(result.results[0].rows, _MANY_POINTS, lambda: _predictions(model, result.results[0]))
        except (UnreadableError, NotNumbersError) as error:
            raise Unavailable(f"InfluxDB, reading {model}: {error}", downstream=self.downstream) from error

    async def ping(self, projects: Sequence[str]) -> str:
        """Read from the database of every project."""
        databases = {self._database_of(project) for project in projects}
        if not databases and "{project}" not in self._client.database:
            databases = {self._client.database}
        for database in sorted(databases):
            async with self._client.time_limit(f"reading {database}"):
                await self._batch(database).run(lambda _: _NO_POINTS, [""], max_bytes=_LARGEST_RESPONSE)
        return "can be read" if databases else "was not tried: its database depends on the project, and there is none"

    def _batch(self, database: str) -> Batch:
        several = self._client.switches.statements_per_request == "many"
        return Batch(self._client, _NOTHING if several else "", database)

    def _database_of(self, project: str) -> str:
        return self._client.database.replace("{project}", project)


def _rows_kept(times: Times, points_by_row: npt.NDArray[np.int64], dropped: int) -> Written:
    """Return the rows that hold a point and are kept: the server drops the oldest, though not to the minute."""
    order = np.argsort(times, kind="stable")
    points = points_by_row[order]
    return Written(np.unique(times[order][(points > 0) & (points.cumsum() > dropped)]))


@asynccontextmanager
async def open_predictions(influx: InfluxSink) -> AsyncIterator[InfluxPredictions]:
    """Open the sink on a server; nothing is sent before the first call.

    Args:
        influx: the section of the settings. Its database has to exist: Latigo creates none.

    Raises:
        ConfigurationError: a setting cannot be used; names the key.
    """
    async with open_client(influx) as client:
        yield InfluxPredictions(client)


def _points(project: str, window: Window) -> Statement:
    """Return a statement for every point of a model, from every measurement."""
    between_times = between(to_ns(window.start), to_ns(window.end))
    return lambda machine: (
        f'SELECT {identifier(FIELD)} FROM /./ WHERE "machine" = {machine}'  # noqa: S608 -- bound or quoted
        f' AND "project" = {literal(project)} AND {between_times} GROUP BY *'
    )


def _predictions(model: ModelRef, result: Result) -> Sequence[Predictions]:
    series_by_column = {
        column_of(table.measurement, table.tags["sensor_name"]): series_of(table)
        for table in result.tables
        if {key for key, value in table.tags.items() if value} == TAGS
    }
    return [_joined(model, series_by_column)] if series_by_column else []


def _joined(model: ModelRef, series_by_column: Mapping[Column, Series]) -> Predictions:
    """Join series in one table."""
    times = np.unique(np.concatenate([series.times for series in series_by_column.values()]))
    values = np.full((len(times), len(series_by_column)), np.nan)
    for number, series in enumerate(series_by_column.values()):
        values[np.searchsorted(times, series.times), number] = series.values
    return Predictions(model, "", times, tuple(series_by_column), values)
