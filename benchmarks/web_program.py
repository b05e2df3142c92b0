"""A process that serves pages and API on a ledger, and nothing else: ``python -m benchmarks.web_program URL``.

Writes its address, and ends with its standard input.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from latigo.runtime.clock import SystemClock
from latigo.runtime.metrics import metrics_of, new_registry
from latigo.settings import Settings
from latigo.web.api.context import Context
from latigo.web.app import create_app
from latigo.web.server import run_server
from latigo.wiring.answering import context_of_ledger
from latigo.wiring.ledger import connect_to


@dataclass
class Process:
    """What the API answers from; always live and ready."""

    given: Context

    def context(self) -> Context:
        """Return it."""
        return self.given

    def not_live(self) -> Sequence[str]:
        """Return no reason."""
        return ()

    async def not_ready(self) -> Sequence[str]:
        """Return no reason."""
        return ()


async def main(url: str) -> None:
    """Serve until standard input ends."""
    clock = SystemClock()
    async with connect_to(url, Settings()) as database:
        process = Process(context_of_ledger(database, Settings(), clock, "bench"))
        async with run_server(create_app(process, process, metrics_of(new_registry()), clock)) as server:
            print(server.url, flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
