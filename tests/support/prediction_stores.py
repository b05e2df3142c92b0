"""Every prediction store, opened empty: the contract suite runs against all in ``PREDICTION_STORES``."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import resources
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from latigo.providers.influx import InfluxPredictions, open_predictions
from latigo.providers.memory import MemoryPredictions
from latigo.providers.postgres import PostgresPredictions
from latigo.providers.protocols import PredictionStorageProvider
from latigo.providers.timeseries import TimeseriesPredictions
from latigo.providers.timeseries import open_predictions as open_timeseries
from latigo.runtime.clock import SystemClock
from latigo.sandbox.timeseries import SandboxTimeseries, open_sandbox_timeseries
from latigo.settings import InfluxSink, PostgresSink, TimeseriesSink
from tests.support.influxd import InfluxDatabase, fresh_influx_database
from tests.support.ledgers import leave_session, require_plain_sessions
from tests.support.postgres import fresh_database

POSTGRES_SCHEMA = "".join(
    resources.files("latigo.postgres.migrations").joinpath(name).read_text(encoding="utf-8")
    for name in ("0002_predictions.sql", "0007_fences.sql")
)


@asynccontextmanager
async def memory_store(_: pytest.FixtureRequest) -> AsyncIterator[PredictionStorageProvider]:
    yield MemoryPredictions()


@asynccontextmanager
async def postgres_store(request: pytest.FixtureRequest) -> AsyncIterator[PredictionStorageProvider]:
    async with fresh_database(request.getfixturevalue("postgres_server")) as url, prediction_pool(url) as pool:
        yield PostgresPredictions(pool, PostgresSink())


@asynccontextmanager
async def prediction_pool(url: str, *, size: int = 4) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """Connections to a database that has just got the sink's tables; the sink leaves nothing in their sessions."""
    async with asyncpg.create_pool(url, min_size=0, max_size=size, reset=leave_session) as pool:
        await pool.execute(POSTGRES_SCHEMA)
        yield pool
        await require_plain_sessions(pool)


@asynccontextmanager
async def influx_store(request: pytest.FixtureRequest) -> AsyncIterator[PredictionStorageProvider]:
    async with (
        fresh_influx_database(request.getfixturevalue("influx_server")) as database,
        influx_predictions(database) as store,
    ):
        yield store


@asynccontextmanager
async def influx_predictions(database: InfluxDatabase, **options: Any) -> AsyncIterator[InfluxPredictions]:
    """The sink on a database; ``options`` as in the settings."""
    async with open_predictions(InfluxSink(url=database.url, database=database.name, **options)) as store:
        yield store


@asynccontextmanager
async def timeseries_store(_: pytest.FixtureRequest) -> AsyncIterator[PredictionStorageProvider]:
    async with open_sandbox_timeseries() as server, timeseries_predictions(server, project_in_name=True) as store:
        yield store


@asynccontextmanager
async def timeseries_predictions(server: SandboxTimeseries, **options: Any) -> AsyncIterator[TimeseriesPredictions]:
    """The sink on an emulator; ``options`` as in the settings."""
    section = TimeseriesSink(**{"url": server.url, "token": SecretStr("a-token"), "facility": "1903", **options})
    async with open_timeseries(section, SystemClock()) as store:
        yield store


PREDICTION_STORES: Mapping[
    str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[PredictionStorageProvider]]
] = {"memory": memory_store, "postgres": postgres_store, "influx": influx_store, "timeseries-api": timeseries_store}
#: Those that compare writers.
FENCED_STORES = frozenset({"memory", "postgres"})
