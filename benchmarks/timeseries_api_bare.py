"""The floor of what the Timeseries API costs: aiohttp sends the bodies that Latigo sends, and receives the answers.

Takes what `benchmarks.timeseries_api_program` takes, and ``parses``. Bodies are made before it is measured, and what is
parsed of the answers is not used.
"""

import asyncio
import gc
import json
import sys
import time
from datetime import timedelta
from typing import Any

import aiohttp
import numpy as np
import orjson

from latigo.domain.model import ModelRef
from latigo.domain.series import Column
from latigo.providers.timeseries.names import names_of
from latigo.providers.timeseries.points import write_times, write_values
from latigo.providers.timeseries.reading import Item, asked
from latigo.providers.timeseries.writing import MOST_SERIES, Part, written
from latigo.runtime.event_loop import run_async
from latigo.runtime.http import session_options

_LONGEST_LINE = 64 << 20


async def work(configuration: dict[str, Any]) -> None:
    numbers = np.random.default_rng(7)
    orders = asyncio.StreamReader(_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    url, facility = configuration["url"], configuration["facility"]
    columns = [Column(*column) for column in configuration["columns"]]
    headers = {"Authorization": "Bearer any", "Content-Type": "application/json"}
    parses: bool = configuration["parses"]
    known: dict[str, str] = {}
    async with aiohttp.ClientSession(
        **session_options(connect_timeout=timedelta(seconds=5), headers=lambda: headers)
    ) as session:

        async def call(path: str, body: bytes) -> bytes:
            async with session.post(url + path, data=body, allow_redirects=False) as response:
                return await response.read()

        async def ids(names: list[str]) -> list[str]:
            missing = [name for name in names if name not in known]
            for begin in range(0, len(missing), MOST_SERIES):
                wanted = [{"name": name, "facility": facility} for name in missing[begin : begin + MOST_SERIES]]
                for item in json.loads(await call("/getoradd", json.dumps(wanted).encode()))["data"]["items"]:
                    known[item["name"]] = item["id"]
            return [known[name] for name in names]

        gc.freeze()
        while line := await orders.readline():
            order, points, bodies = json.loads(line), 0, []
            for tags, start, end in order.get("read", ()):
                items = [Item(each, start * 10**9, end * 10**9) for each in await ids(tags)]
                bodies.append(("/query/data", asked(items)))
            for model, times in order.get("write", ()):
                names = names_of(columns, ModelRef(configuration["project"], model), facility, with_project=True)
                texts = write_times(np.array(times) * 10**9)
                parts = [
                    Part(name, each, texts, write_values(numbers.normal(50.0, 10.0, len(times))))
                    for (name, _), each in zip(names, await ids([name for name, _ in names]), strict=True)
                ]
                bodies += [("/data", written(parts[at : at + MOST_SERIES])) for at in range(0, len(parts), MOST_SERIES)]
                points += len(times) * len(columns)
            answers = []
            cpu, wall = time.process_time(), time.perf_counter()
            for path, body in bodies:
                answers.append(await call(path, body))
                if parses:
                    orjson.loads(answers[-1])
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            points += sum(answer.count(b'"value"') for answer in answers)
            print(json.dumps({"cpu": cpu, "wall": wall, "points": points}), flush=True)


if __name__ == "__main__":
    run_async(lambda: work(json.loads(sys.argv[1])))
