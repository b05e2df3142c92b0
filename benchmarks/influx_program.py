"""Latigo's InfluxDB adapter in a process of its own.

Started with a configuration as JSON: ``url``, the databases ``sensors`` and ``predictions``, ``columns`` of a model's
predictions. Then it reads requests, line by line, ``{"read": [[tags, start, end], ...]}`` or ``{"write": [[model,
times], ...]}``, times in seconds. It responds with the CPU and wall seconds of all of them, one after the other, and
with the number of points. The programs of the peers, in ``peers/``, take the same requests.
"""

import asyncio
import gc
import json
import sys
import time
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions
from latigo.domain.windows import EPOCH, Window
from latigo.providers.influx.predictions import open_predictions
from latigo.providers.influx.sensors import open_sensors
from latigo.providers.protocols import PredictionStorageProvider, SensorDataProvider
from latigo.runtime.clock import SystemClock
from latigo.runtime.event_loop import run_async
from latigo.settings import InfluxSensors, InfluxSink

_LONGEST_LINE = 64 << 20
_MOST_BYTES = 64 << 20


async def work(configuration: dict[str, Any]) -> None:
    columns = tuple(Column(*column) for column in configuration["columns"])
    async with (
        open_sensors(
            InfluxSensors(url=configuration["url"], database=configuration["sensors"]), SystemClock()
        ) as sensors,
        open_predictions(InfluxSink(url=configuration["url"], database=configuration["predictions"])) as sink,
    ):
        await answer_orders(sensors, sink, columns, project="plant-a")


async def answer_orders(
    sensors: SensorDataProvider, sink: PredictionStorageProvider, columns: tuple[Column, ...], *, project: str
) -> None:
    """Take orders from standard input until it ends."""
    numbers = np.random.default_rng(7)
    orders = asyncio.StreamReader(_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    gc.freeze()  # as `latigo serve` does
    while line := await orders.readline():
        order, points = json.loads(line), 0
        windows = [(tags, Window(_time(start), _time(end))) for tags, start, end in order.get("read", ())]
        predictions = [
            Predictions(
                ModelRef(project, model),
                "",
                np.array(times, np.int64) * 1_000_000_000,
                columns,
                numbers.normal(50.0, 10.0, (len(times), len(columns))),
            )
            for model, times in order.get("write", ())
        ]
        cpu, wall = time.process_time(), time.perf_counter()
        for tags, window in windows:
            readings = await sensors.get_data_for_range(tags, window, max_bytes=_MOST_BYTES)
            points += sum(map(len, readings.values()))
        for each in predictions:
            points += len(await sink.put_predictions(each, Fence(1, 1, 1, 1))) * len(columns)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(json.dumps({"cpu": cpu, "wall": wall, "points": points}), flush=True)


def _time(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


if __name__ == "__main__":
    run_async(lambda: work(json.loads(sys.argv[1])))
