"""aioinflux, unmodified, in a process of its own: DataFrames when it reads, points as dicts when it writes.

Runs in the environment that ``setup.sh`` makes. ``benchmarks/influx_program.py`` documents its argument and its input.
It reads with the same statements as Latigo. Writing DataFrames fails with every NumPy from 1.24 on.
"""

import asyncio
import gc
import json
import sys
import time

import aioinflux
import numpy as np


async def work(options):
    host, port = options["url"].removeprefix("http://").split(":")
    columns = options["columns"]
    numbers = np.random.default_rng(7)
    async with (
        aioinflux.InfluxDBClient(host, int(port), db=options["sensors"], output="dataframe") as sensors,
        aioinflux.InfluxDBClient(host, int(port), db=options["predictions"], output="json") as sink,
    ):
        gc.collect()
        gc.freeze()
        for line in sys.stdin:
            order, points = json.loads(line), 0
            frames = [
                (model, times, numbers.normal(50.0, 10.0, (len(times), len(columns))).tolist())
                for model, times in order.get("write", ())
            ]
            cpu, wall = time.process_time(), time.perf_counter()
            for tags, start, end in order.get("read", ()):
                frames_by_tag = await sensors.query(";".join(statement(tag, start, end) for tag in tags))
                points += sum(len(frame) for answer in frames_by_tag for frame in answer.values())
            for model, times, values in frames:
                written = list(as_points(model, times, columns, values))
                await sink.write(written)
                points += len(written)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            print(json.dumps({"cpu": cpu, "wall": wall, "points": points}), flush=True)


def statement(tag, start, end):
    return (
        f'SELECT "Value" FROM "sensors" WHERE "tag" = \'{tag}\' AND time >= {start}s AND time < {end}s GROUP BY "tag"'
    )


def as_points(model, times, columns, values):
    for seconds, row in zip(times, values):
        for (group, tag), value in zip(columns, row):
            yield {
                "measurement": group,
                "time": seconds * 1_000_000_000,
                "tags": {"machine": model, "project": "plant-a", "sensor_name": tag or group},
                "fields": {"sensor_value": value},
            }


asyncio.run(work(json.loads(sys.argv[1])))
