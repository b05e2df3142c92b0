"""Opens the stores of predictions that the settings name, and loads the clients of those alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import assert_never

from latigo.domain.errors import Unavailable
from latigo.ledger.protocol import DOWNSTREAM
from latigo.postgres.database import Database
from latigo.providers.protocols import PredictionStorageProvider
from latigo.runtime.clock import SystemClock
from latigo.runtime.in_progress import InProgress
from latigo.settings import InfluxSink, PluginSink, PostgresSink, TimeseriesSink
from latigo.wiring.plugins import extra, open_plugin

SinkSettings = PostgresSink | InfluxSink | TimeseriesSink | PluginSink


@asynccontextmanager
async def open_store(
    settings: SinkSettings, database: Database | None, tasks: InProgress | None = None
) -> AsyncIterator[PredictionStorageProvider]:
    """Open a store of predictions; tasks in progress may share its requests.

    Raises:
        ConfigurationError: it cannot be used as it is configured.
        Unavailable: it is in the ledger's database, which is not open.
    """
    match settings:
        case PostgresSink() as postgres:
            from latigo.providers.postgres import PostgresPredictions  # noqa: PLC0415 - loads its statements

            if database is None:
                raise Unavailable("is in the ledger's database, which is unavailable", downstream=DOWNSTREAM)
            yield PostgresPredictions(database.pool, postgres)
        case InfluxSink() as influx:
            with extra("influx", "predictions.kind"):
                from latigo.providers.influx import open_predictions as open_influx  # noqa: PLC0415 - an extra
            async with open_influx(influx) as store:
                yield store
        case TimeseriesSink() as timeseries:
            from latigo.providers.timeseries import open_predictions  # noqa: PLC0415 - loads aiohttp

            async with open_predictions(timeseries, SystemClock(), database, tasks) as store:
                yield store
        case PluginSink() as plugin:
            async with open_plugin(
                plugin.kind, "predictions.kind", plugin.options, plugin.secrets, PredictionStorageProvider
            ) as store:
                yield store
        case _:
            assert_never(settings)
