"""The ledger's part of an executor in a process of its own: claims tasks and settles them as stored, and nothing else.

Started with the URL of the ledger; then it reads requests, line by line, ``{"tasks": [envelope, ...]}``, and responds
with the wall and CPU seconds that they took.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator

from latigo import __version__
from latigo.domain.outcome import Stored
from latigo.domain.receipt import Receipt
from latigo.domain.task import Task
from latigo.executor.claimer import Claimer
from latigo.executor.settler import Settler
from latigo.ledger.executor_store import PostgresExecutorLedger
from latigo.runtime.clock import SystemClock
from latigo.runtime.event_loop import run_async
from latigo.settings import Settings
from latigo.task_queue.envelope import decode
from latigo.wiring.ledger import connect_to
from latigo.wiring.resources import process_id
from latigo.wiring.roles import retry_rules

CONCURRENCY = 32
_LONGEST_LINE = 64 << 20


async def work(url: str) -> None:
    settings = Settings()
    orders = asyncio.StreamReader(_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with connect_to(url, settings) as database, asyncio.TaskGroup() as group:
        ledger = PostgresExecutorLedger(database, retry_rules(settings.executor), __version__)
        claimer, settler = Claimer(ledger, process_id(), settings.executor.lease), Settler(ledger, SystemClock())
        background = [group.create_task(claimer.run()), group.create_task(settler.run())]
        while line := await orders.readline():
            tasks = iter([decode(envelope.encode()) for envelope in json.loads(line)["tasks"]])
            cpu, wall = time.process_time(), time.perf_counter()
            async with asyncio.TaskGroup() as workers:
                for _ in range(CONCURRENCY):
                    workers.create_task(_take(tasks, claimer, settler))
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            print(json.dumps({"cpu": cpu, "wall": wall}), flush=True)
        for task in background:
            task.cancel()


async def _take(tasks: Iterator[Task], claimer: Claimer, settler: Settler) -> None:
    for task in tasks:
        claim = await claimer.claim(task)
        if claim is None or not await settler.settle(claim, Stored.in_full(task.window), Receipt()):
            raise RuntimeError(f"task {task.id} was not claimed and settled")


if __name__ == "__main__":
    run_async(lambda: work(sys.argv[1]))
