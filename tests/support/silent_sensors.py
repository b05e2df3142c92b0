"""A sensor source in which one tag has no readings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from latigo.providers.simulated import Plant, PlantSensors
from latigo.providers.simulated.plant import Fault, FaultKind
from latigo.runtime.clock import SystemClock

KIND = "python:tests.support.silent_sensors:open_silent"


@asynccontextmanager
async def open_silent(*, tag: str) -> AsyncIterator[PlantSensors]:
    """The factory that the settings name."""
    plant = Plant(period=timedelta(seconds=1))
    plant.schedule(Fault(tag, FaultKind.SILENCE, datetime(2020, 1, 2, tzinfo=UTC), timedelta(days=36_500)))
    yield PlantSensors(plant, SystemClock().now, any_tag=True)
