"""A stub of Gordo whose models share the sensors of one plant, each with some of them: ``MODELS TAGS SENSORS``.

``python -m benchmarks.gordo_stub`` gives every model sensors of its own, which would take a long time
to fill with readings for thousands of models. The first line on standard output is JSON with ``url``; SIGTERM ends it.
"""

import asyncio
import gc
import json
import random
import signal
import sys

import structlog

from benchmarks.gordo_stub import StubPredictions
from benchmarks.stage import PROJECT
from latigo.runtime.event_loop import run_async
from latigo.sandbox.gordo import ModelDefinition, ProjectDefinition, open_sandbox_gordo


def sensors_of(count: int) -> list[str]:
    """Return the sensors of a plant; all names have one length, so that the stub needs one template."""
    return [f"1903.PT-{number:05d}.PV" for number in range(count)]


def project_of(models: int, tags: int, sensors: int) -> ProjectDefinition:
    """Return a project whose models share the sensors."""
    chance, names = random.Random(7), sensors_of(sensors)
    return ProjectDefinition(
        PROJECT,
        tuple(ModelDefinition(f"pump-{number:05d}", tuple(chance.sample(names, tags))) for number in range(models)),
    )


async def serve(project: ProjectDefinition) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_sandbox_gordo(project, canned=StubPredictions()) as server:
        gc.freeze()
        print(json.dumps({"url": server.url}), flush=True)
        await stop.wait()


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    models, tags, sensors = map(int, sys.argv[1:])
    run_async(lambda: serve(project_of(models, tags, sensors)))


if __name__ == "__main__":
    main()
