"""Run the emulator of the Timeseries API in a process of its own. A development part, not for production.

The first line on standard output is JSON with ``url``, ``metadata_url``, ``port`` and ``pid``; SIGTERM or SIGINT ends
it.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from urllib.parse import urlsplit

import structlog
import uvloop

from latigo.sandbox.timeseries.server import open_sandbox_timeseries


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m latigo.sandbox.timeseries", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--project", action="append", default=[], help="of the Metadata API; may be repeated")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; no limit by default")
    return parser.parse_args()


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_sandbox_timeseries(projects=options.project, host=options.host, port=options.port) as server:
        server.controls.rate = options.rate
        address = {
            "sandbox": "timeseries",
            "url": server.url,
            "metadata_url": server.metadata_url,
            "port": urlsplit(server.url).port,
            "pid": os.getpid(),
        }
        sys.stdout.write(json.dumps(address) + "\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    # Standard output belongs to the one line of JSON.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(_arguments()))
