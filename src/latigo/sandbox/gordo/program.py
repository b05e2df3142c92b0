"""Run the sandbox's Gordo in a process of its own. A development part, not for production.

The first line on standard output is JSON with ``url``, ``port`` and ``pid``; SIGTERM or SIGINT ends it.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from datetime import timedelta
from urllib.parse import urlsplit

import structlog
import uvloop

from latigo.providers.simulated import Plant
from latigo.sandbox.gordo.definition import demo_project
from latigo.sandbox.gordo.predictions import CannedPredictions
from latigo.sandbox.gordo.server import open_sandbox_gordo


def _arguments(program: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=program, description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--project", action="append", help="may be repeated; default plant-a")
    parser.add_argument("--models", type=int, default=50, help="in each project")
    parser.add_argument("--tags", type=int, default=10, help="of each model")
    parser.add_argument("--resolution", type=float, default=600.0, metavar="SECONDS")
    parser.add_argument("--uniform", action="store_true", help="no plain, filtered or LSTM models among them")
    parser.add_argument("--seed", type=int, default=0, help="of the plant that the models are trained on")
    parser.add_argument("--tempo", type=float, default=1.0, help="speed of its days; 1 is real time")
    parser.add_argument("--full-metadata", action="store_true", help="metadata of realistic size")
    parser.add_argument("--workers", type=int, help="concurrent predictions; no limit by default")
    parser.add_argument("--service-seconds", type=float, default=0.0, help="least duration of a prediction")
    return parser.parse_args()


async def _serve(options: argparse.Namespace, canned: CannedPredictions | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    plant = Plant(options.seed, tempo=options.tempo)
    resolution = timedelta(seconds=options.resolution)
    projects = [
        demo_project(plant, name, options.models, resolution, options.tags, special=not options.uniform)
        for name in options.project or ["plant-a"]
    ]
    async with open_sandbox_gordo(
        projects,
        plant,
        host=options.host,
        port=options.port,
        canned=canned,
        full_metadata=options.full_metadata,
        workers=options.workers,
        service_seconds=options.service_seconds,
    ) as server:
        address = {"sandbox": "gordo", "url": server.url, "port": urlsplit(server.url).port, "pid": os.getpid()}
        sys.stdout.write(json.dumps(address) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main(canned: CannedPredictions | None = None, program: str = "python -m latigo.sandbox.gordo") -> None:
    """Serve until SIGINT or SIGTERM; ``canned`` as in `SandboxGordo`."""
    # Standard output belongs to the one line of JSON.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(_arguments(program), canned))
