"""The sensors of the campaign, as a plug-in of Latigo: ``python:chaos.plant:open_plant``."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import numpy as np

from chaos.formulas import reading
from latigo.domain.series import Point, Readings, Series
from latigo.domain.windows import Window

KIND = "python:chaos.plant:open_plant"


class PlantSensors:
    """A source with a reading of any tag in every second."""

    downstream = "sensors/campaign"

    async def ping(self) -> str:
        return "any tag"

    async def get_sensor_list(self) -> Sequence[str]:
        return ()

    async def sensor_exists(self, name: str) -> bool:  # noqa: ARG002 - every name is one
        return True

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        return f"{dict(parameters)} in {window}"

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:  # noqa: ARG002 - it is never much
        seconds = np.arange(-(-window.start.timestamp() // 1), window.end.timestamp(), dtype=np.int64)
        return {
            tag: Series(seconds * 1_000_000_000, np.array([reading(tag, second) for second in seconds.tolist()]))
            for tag in tags
        }

    async def get_last_before(
        self,
        tags: Sequence[str],
        time: datetime,
        not_older_than: datetime,  # noqa: ARG002 - a second ago is recent
    ) -> Mapping[str, Point]:
        second = int(time.timestamp()) - 1
        return {tag: Point(second * 1_000_000_000, reading(tag, second)) for tag in tags}


@asynccontextmanager
async def open_plant() -> AsyncIterator[PlantSensors]:
    """Open the source; the factory that the settings name."""
    yield PlantSensors()
