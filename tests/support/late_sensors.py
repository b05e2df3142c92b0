"""A sensor source that cannot be opened before its system is there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.providers.simulated import Plant, PlantSensors
from latigo.runtime.clock import SystemClock

KIND = "python:tests.support.late_sensors:open_late"
BEHIND = "python:tests.support.late_sensors:open_behind"


@asynccontextmanager
async def open_late(*, sign: str) -> AsyncIterator[PlantSensors]:
    """The factory that the settings name; there once a file ``sign`` is, and unusable when that is not empty."""
    if wrong := _read(Path(sign)):
        raise ConfigurationError(wrong)
    yield PlantSensors(Plant(period=timedelta(seconds=1)), SystemClock().now, any_tag=True)


@asynccontextmanager
async def open_behind(*, seconds: str) -> AsyncIterator[PlantSensors]:
    """A plant whose readings arrive so many seconds after their time."""
    clock, behind = SystemClock(), timedelta(seconds=float(seconds))
    yield PlantSensors(Plant(period=timedelta(seconds=1)), lambda: clock.now() - behind, any_tag=True)


def _read(sign: Path) -> str:
    try:
        return sign.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise Unavailable("the historian is closed on Sundays", downstream="sensors/late") from error
