"""An emulator of the Timeseries API for the demo, that has the plant's readings and keeps the predictions."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from latigo.providers.simulated import Plant
from latigo.runtime.clock import Clock
from latigo.sandbox.timeseries import GOOD, Reading, SandboxTimeseries, open_sandbox_timeseries

FACILITY = "1903"
TOKEN = "any"  # noqa: S105 - the emulator accepts every one


class PlantTimeseries(NamedTuple):
    """The server."""

    server: SandboxTimeseries

    @property
    def url(self) -> str:
        return self.server.url

    async def points(self) -> int:
        """Return how many points of predictions it holds."""
        return sum(len(series.points) for series in self.server.store if series.source is None)


@asynccontextmanager
async def open_plant_timeseries(plant: Plant, clock: Clock) -> AsyncIterator[PlantTimeseries]:
    """Run a server whose series of the plant's tags have readings up to now."""

    def readings(tag: str, start: int, end: int) -> Sequence[Reading]:
        series = plant.values(tag, start, end)
        return [
            Reading(time, value, GOOD)
            for time, value in zip(series.times.tolist(), series.values.tolist(), strict=True)
        ]

    async with open_sandbox_timeseries(clock=clock) as server:
        for tag in plant.tags():
            server.store.create({"name": tag, "facility": FACILITY}, origin="IMS", source=readings)
        yield PlantTimeseries(server)
