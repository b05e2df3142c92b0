"""A stub of Gordo whose models share the sensors of one plant, each with some of them: ``MODELS TAGS SENSORS``.

``python -m latigo.sandbox.gordo --stub`` gives every model sensors of its own, which thousands of models would take a
long time to fill with readings. The first line on standard output is JSON with ``url``; SIGTERM ends it.
"""

import asyncio
import gc
import json
import random
import signal
import sys

import structlog

from benchmarks.stage import PROJECT
from latigo.runtime.event_loop import run_async
from latigo.sandbox.gordo import ModelDefinition, ProjectDefinition, running_standin


def sensors_of(count: int) -> list[str]:
    """The sensors of a plant; all names have one length, for which the stub has a short cut."""
    return [f"1903.PT-{number:05d}.PV" for number in range(count)]


def project_of(models: int, tags: int, sensors: int) -> ProjectDefinition:
    """So many models, each with some of the sensors."""
    chance, names = random.Random(7), sensors_of(sensors)
    return ProjectDefinition(
        PROJECT,
        tuple(ModelDefinition(f"pump-{number:05d}", tuple(chance.sample(names, tags))) for number in range(models)),
    )


async def serve(project: ProjectDefinition) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running_standin(project, stub=True) as server:
        gc.freeze()
        print(json.dumps({"url": server.url}), flush=True)
        await stop.wait()


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    models, tags, sensors = map(int, sys.argv[1:])
    run_async(lambda: serve(project_of(models, tags, sensors)))


if __name__ == "__main__":
    main()
