"""The plant of `latigo demo`: which sensors and models it has. A development part."""

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
    """Sensors, and models that learned from them before ``began``."""

    plant: Plant
    project: ProjectDefinition


def demo_plant(began: datetime, models: int) -> DemoPlant:
    """The same plant in every process that is told the same."""
    plant = Plant(SEED, period=STEP, tempo=24.0, switch_cycle=timedelta(minutes=2))
    # Models learn from the time just before their revision, which Gordo names by its milliseconds.
    revision = str(int((began - HISTORY).timestamp() * 1000))
    project = demo_project(plant, PROJECT, models, RESOLUTION, TAGS, revision=revision)
    plant.schedule(
        *demo_faults(project, start=began - HISTORY, every=timedelta(minutes=20), length=timedelta(minutes=2))
    )
    return DemoPlant(plant, project)


@asynccontextmanager
async def open_demo_sensors(began: str, models: int) -> AsyncIterator[PlantSensors]:
    """The plant's sensors for a process of its own, as ``sensors.kind = "python:..."`` has it."""
    yield PlantSensors(demo_plant(datetime.fromisoformat(began), models).plant, SystemClock().now)
