"""The plant of `latigo demo`: its sensors and models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from latigo.providers.simulated import Plant, PlantSensors
from latigo.runtime.clock import SystemClock
from latigo.sandbox.gordo import ProjectDefinition, demo_faults, demo_project

PROJECT = "demo"
RESOLUTION = timedelta(seconds=5)
SLOT = timedelta(seconds=30)
HISTORY = timedelta(hours=1)
STEP = timedelta(seconds=1)
SEED = 7
TAGS = 8


class DemoPlant(NamedTuple):
    """Sensors, and models that were trained on them before ``began``."""

    plant: Plant
    project: ProjectDefinition


def demo_plant(began: datetime, models: int) -> DemoPlant:
    """Return the plant; the same for the same arguments, in every process."""
    plant = Plant(SEED, period=STEP, tempo=24.0, switch_cycle=timedelta(minutes=2))
    # Models are trained on the time just before their revision, which Gordo names by its milliseconds.
    revision = str(int((began - HISTORY).timestamp() * 1000))
    project = demo_project(plant, PROJECT, models, RESOLUTION, TAGS, revision=revision)
    plant.schedule(
        *demo_faults(project, start=began - HISTORY, every=timedelta(minutes=20), length=timedelta(minutes=2))
    )
    return DemoPlant(plant, project)


@asynccontextmanager
async def open_demo_sensors(began: str, models: int) -> AsyncIterator[PlantSensors]:
    """Open the plant's sensors in another process, for ``sensors.kind = "python:..."``."""
    yield PlantSensors(demo_plant(datetime.fromisoformat(began), models).plant, SystemClock().now)
