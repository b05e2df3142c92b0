"""Run an emulator of Azure Event Hubs in a process of its own. A development part, not for production.

The first line on standard output is JSON with ``port``, ``pid`` and ``connection_strings`` by hub, whose key is not
secret unless given by ``--key``; SIGTERM or SIGINT ends it. With ``--data-dir`` and ``--port``, it continues with the
events of one that was killed.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog
import uvloop

from latigo.runtime.lifecycle import stop_on_signals
from latigo.runtime.log import get_logger
from latigo.sandbox.eventhub.hub import KEEP
from latigo.sandbox.eventhub.server import DEVELOPMENT_KEY, open_event_hubs

log = get_logger(__name__)


def _arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m latigo.sandbox.eventhub", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--hub", action="append", help="may be repeated; default latigo")
    parser.add_argument("--partitions", type=int, default=8, help="of each hub")
    parser.add_argument("--data-dir", type=Path, help="keep events in this folder")
    parser.add_argument("--keep", type=int, default=KEEP, help="events of each partition; older ones are dropped")
    parser.add_argument("--key", default=DEVELOPMENT_KEY, help="the secret of the shared access key")
    parser.add_argument("--websocket", action="store_true", help="listen for WebSockets too")
    parser.add_argument("--trace", action="store_true", help="log every frame, without payloads")
    return parser.parse_args(arguments)


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    hubs = dict.fromkeys(options.hub or ["latigo"], options.partitions)
    storage = {"data_dir": options.data_dir, "keep": options.keep, "key": options.key, "websocket": options.websocket}
    with stop_on_signals(stop):
        async with open_event_hubs(hubs, host=options.host, port=options.port, **storage) as emulator:
            if options.trace:
                emulator.controls.on_frame = lambda frame: log.info("frame.passed", **frame._asdict())
            address = {
                "sandbox": "eventhub",
                "port": emulator.port,
                "pid": os.getpid(),
                "connection_strings": {name: emulator.connection_string(name) for name in hubs},
            }
            if emulator.websocket_port:
                address["websocket_port"] = emulator.websocket_port
            sys.stdout.write(json.dumps(address) + "\n")
            sys.stdout.flush()
            await stop.wait()


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    # Standard output belongs to the one line of JSON.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(_arguments()))


if __name__ == "__main__":
    main()
