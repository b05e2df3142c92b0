"""A sensor source that ends its process: what a crash in a C library."""

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from latigo.domain.series import Readings
from latigo.domain.windows import Window
from latigo.providers.simulated import Plant, PlantSensors
from latigo.runtime.clock import SystemClock


class PoisonSensors(PlantSensors):
    """Sensors that kill their process when this tag is read over this time."""

    def __init__(self, tag: str, time: datetime) -> None:
        super().__init__(Plant(period=timedelta(seconds=1)), SystemClock().now, any_tag=True)
        self._tag = tag
        self._time = time

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        if self._tag in tags and self._time in window:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().get_data_for_range(tags, window, max_bytes=max_bytes)


@asynccontextmanager
async def open_poison_sensors(*, tag: str, time: str) -> AsyncIterator[PoisonSensors]:
    """The factory that the settings name: ``kind = "python:tests.support.poison_sensors:open_poison_sensors"``."""
    yield PoisonSensors(tag, datetime.fromisoformat(time))
