"""Retention of the PostgreSQL sink, which, unlike InfluxDB, drops nothing by itself."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from latigo.domain.errors import LatigoError
from latigo.providers.postgres.predictions import PostgresPredictions
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.log import get_logger

_log = get_logger(__name__)

INTERVAL = timedelta(hours=1)


async def keep_retention(
    sinks: Sequence[tuple[PostgresPredictions, timedelta]], clock: Clock, stop: asyncio.Event
) -> None:
    """Drop predictions that are older than the retention of their sink, now and every hour until ``stop``."""
    while not stop.is_set():
        for sink, retention in sinks:
            try:
                await sink.drop_older_than(clock.now() - retention)
            except LatigoError as error:
                _log.warning("retention.delayed", downstream=sink.downstream, error=str(error))
        await pause(clock, INTERVAL, stop)
