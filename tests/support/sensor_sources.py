"""Every sensor source, opened on readings: the contract suite runs against all in ``SENSOR_SOURCES``."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from latigo import settings
from latigo.domain.series import Readings
from latigo.domain.windows import from_ns
from latigo.providers.files import open_files
from latigo.providers.influx.sensors import InfluxSensors, open_sensors
from latigo.providers.memory import MemorySensors
from latigo.providers.timeseries import open_sensors as open_timeseries_sensors
from latigo.runtime.clock import SystemClock
from latigo.sandbox.timeseries import GOOD, Reading, SandboxTimeseries, open_sandbox_timeseries
from latigo.settings import FileSensors as FileSensorsSettings
from latigo.wiring.resources import SensorSource
from tests.support.influxd import InfluxDatabase, fresh_influx_database, sensor_lines, write_lines

Opener = Callable[[pytest.FixtureRequest, Readings], AbstractAsyncContextManager[SensorSource]]
Row = list[Any]  #: time in ns, then cells


@asynccontextmanager
async def memory_source(_: pytest.FixtureRequest, readings: Readings) -> AsyncIterator[SensorSource]:
    yield MemorySensors(dict(readings))


@asynccontextmanager
async def file_source(
    request: pytest.FixtureRequest,
    readings: Readings,
    *,
    format: Literal["csv", "parquet"],  # noqa: A002 - the name of the key
    layout: Literal["wide", "long"],
) -> AsyncIterator[SensorSource]:
    folder: Path = request.getfixturevalue("tmp_path")
    header, rows = (wide_rows if layout == "wide" else long_rows)(readings)
    if format == "csv":
        (folder / "plant.csv").write_text(csv_text(header, rows), encoding="utf-8")
    else:
        write_parquet(folder / "plant.parquet", header, rows, numbers=1 if layout == "wide" else 2)
    async with open_files(FileSensorsSettings(path=folder, layout=layout), SystemClock()) as sensors:
        yield sensors


def wide_rows(readings: Readings) -> tuple[list[str], list[Row]]:
    """A row a time, a column a tag; several rows where a tag has several readings at a time."""
    tags = sorted(readings)
    rows: dict[tuple[int, int], Row] = {}
    for place, tag in enumerate(tags):
        seen: dict[int, int] = {}
        for time, value in zip(readings[tag].times.tolist(), readings[tag].values.tolist(), strict=True):
            nth = seen[time] = seen.get(time, -1) + 1
            row = rows.setdefault((time, nth), [time, *[None] * len(tags)])
            row[1 + place] = value
    return ["time", *tags], [rows[key] for key in sorted(rows)]


def long_rows(readings: Readings) -> tuple[list[str], list[Row]]:
    """A row a reading in time order; a tag without readings stands there once, with an empty cell."""
    rows: list[Row] = [
        [time, tag, value]
        for tag, series in readings.items()
        for time, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
    ]
    rows += [[0, tag, None] for tag, series in readings.items() if not len(series)]
    return ["time", "tag", "value"], sorted(rows, key=lambda row: row[0])


def csv_text(header: list[str], rows: list[Row], separator: str = ",") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(header)
    for time, *cells in rows:
        clock = f"{from_ns(time):%Y-%m-%dT%H:%M:%S}.{time % 10**9:09}Z"
        writer.writerow([clock, *("" if cell is None else cell for cell in cells)])
    return text.getvalue()


def write_parquet(path: Path, header: list[str], rows: list[Row], *, numbers: int, row_group_size: int = 7) -> None:
    """Columns from number ``numbers`` on are numbers."""
    columns: dict[str, Any] = {}
    for place, name in enumerate(header):
        kind = pa.timestamp("ns", "UTC") if place == 0 else pa.float64() if place >= numbers else pa.string()
        columns[name] = pa.array([row[place] for row in rows], kind)
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)


@asynccontextmanager
async def influx_source(
    request: pytest.FixtureRequest, readings: Readings, **options: Any
) -> AsyncIterator[SensorSource]:
    async with fresh_influx_database(request.getfixturevalue("influx_server")) as database:
        await write_lines(database, sensor_lines(readings))
        async with influx_sensors(database, **options) as sensors:
            yield sensors


@asynccontextmanager
async def influx_sensors(database: InfluxDatabase, **options: Any) -> AsyncIterator[InfluxSensors]:
    """The sensors of a database; ``options`` as in the settings."""
    async with open_sensors(
        settings.InfluxSensors(url=database.url, database=database.name, **options), SystemClock()
    ) as sensors:
        yield sensors


@asynccontextmanager
async def timeseries_source(
    _: pytest.FixtureRequest, readings: Readings, **options: Any
) -> AsyncIterator[SensorSource]:
    async with open_sandbox_timeseries() as server:
        fill_timeseries(server, readings)
        section = settings.TimeseriesSensors(url=server.url, token=SecretStr("a-token"), **options)
        async with open_timeseries_sensors(section, SystemClock()) as sensors:
            yield sensors


def fill_timeseries(server: SandboxTimeseries, readings: Readings, facility: str = "1903") -> None:
    """Put readings into the emulator, each tag as a series."""
    for tag, series in readings.items():
        stored = server.store.create({"name": tag, "facility": facility}, origin="IMS")
        pairs = zip(series.times.tolist(), series.values.tolist(), strict=True)
        stored.write(Reading(time, value, GOOD) for time, value in pairs if isfinite(value))


SENSOR_SOURCES: Mapping[str, Opener] = {
    "memory": memory_source,
    "csv-wide": partial(file_source, format="csv", layout="wide"),
    "csv-long": partial(file_source, format="csv", layout="long"),
    "parquet-wide": partial(file_source, format="parquet", layout="wide"),
    "parquet-long": partial(file_source, format="parquet", layout="long"),
    "influx": influx_source,
    "timeseries-api": timeseries_source,
    "influx-as-3": partial(influx_source, version="3"),  # queried as version 3; the server is the same
}
