"""The least that a prediction costs in Python, in a process of its own: a request, its answer read, and one INSERT.

Started with a configuration as JSON; then it reads requests, line by line, ``{"requests": [[url, body], ...]}``, whose
bodies are made already. It responds with the CPU and wall seconds of all of them. Nothing is claimed, checked, limited,
measured, logged or settled, and a row that is there already is not found out.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import asyncpg

from latigo.domain.model import ModelRef
from latigo.providers.gordo.frames import read_predictions
from latigo.runtime.event_loop import run_async

_AT_ONCE = 8
_MODEL = ModelRef("any", "any")
_LARGEST = 1 << 20


async def predict(session: aiohttp.ClientSession, pool: Any, requests: Iterator[tuple[str, bytes]]) -> None:
    for url, body in requests:
        async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
            response.raise_for_status()
            answer = await response.read()
        read = read_predictions(bytearray(answer), model=_MODEL, revision="", max_rows=_LARGEST, max_bytes=_LARGEST)
        await pool.execute(
            "INSERT INTO bare (times, values) VALUES ($1, $2)", read.times.tolist(), read.values.ravel().tolist()
        )


async def work(configuration: dict[str, Any]) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=1.5)) as session,
        asyncpg.create_pool(configuration["ledger"], min_size=_AT_ONCE, max_size=_AT_ONCE) as pool,
    ):
        await pool.execute("CREATE UNLOGGED TABLE bare (times bigint[], values float8[])")
        while line := await asyncio.to_thread(sys.stdin.readline):
            requests = iter([(url, body.encode()) for url, body in json.loads(line)["requests"]])
            cpu, wall = time.process_time(), time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(predict(session, pool, requests))
            print(
                json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}),
                flush=True,
            )


def main() -> None:
    configuration = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(configuration["pinned"])})
    run_async(lambda: work(configuration))


if __name__ == "__main__":
    main()
