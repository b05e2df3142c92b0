"""Cost of InfluxDB on the side of the client, against peers that do the same.

Reading is the raw readings of one model: 20 tags x 40 min at 10 s, any 20 out of 200, any window out of three hours.
Writing is one model's predictions in Gordo's layout: 4 rows x 103 columns. The peers are aioinflux, unmodified, with
DataFrames and with points as dicts, and what Gordo itself has: gordo-core's provider and gordo-client's forwarder. Each
runs in a process and an environment of its own, one operation after the other, against the same server, which stays on
another core. What is compared is the CPU time of these processes alone.
"""

import json
import os
import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.report import Row
from benchmarks.stage import (
    BEGIN,
    HERE,
    MEASURED_CORE,
    Program,
    fill_influx,
    influxql,
    one_core_kept_free,
    only_cores,
    running,
    running_influxd,
)
from latigo.domain.windows import Window
from latigo.sandbox.influxd import Influxd
from tests.support.real_gordo import gordo_home

SENSORS = [f"1903.PT-{number:04d}.PV" for number in range(200)]
KEPT, STEP = timedelta(hours=3), timedelta(seconds=10)
TAGS, LENGTH = 20, timedelta(minutes=40)
ROWS, RESOLUTION = 4, timedelta(minutes=10)
GROUPS = (
    "model-output",
    "tag-anomaly-scaled",
    "tag-anomaly-unscaled",
    "anomaly-confidence",
    "smooth-tag-anomaly-scaled",
)
TOTALS = ("total-anomaly-scaled", "total-anomaly-unscaled", "total-anomaly-confidence")
COLUMNS = [(group, tag) for group in GROUPS for tag in SENSORS[:TAGS]] + [(group, "") for group in TOTALS]
OPERATIONS = 20
ROUNDS = 5

POINTS_READ = TAGS * (LENGTH // STEP)  #: of one model
POINTS_WRITTEN = ROWS * len(COLUMNS)  #: of one model

Answer = Mapping[str, float]


def peers_home() -> Path:
    """Return the folder that ``benchmarks/peers/setup.sh`` fills."""
    if home := os.environ.get("BENCH_PEERS_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "latigo" / "bench-peers"


async def measure() -> list[Row]:
    """Interleaved turns of the three; medians."""
    with one_core_kept_free():
        async with running_influxd("sensors", "latigo", "aioinflux", "gordo") as server:
            reads, writes = await _rounds(server)
    reading = f"InfluxDB, CPU of reading a model ({TAGS} tags x 40 min at 10 s)"
    writing = f"InfluxDB, CPU of writing a model ({ROWS} rows x {len(COLUMNS)} columns)"
    return [
        _row(f"{reading}, against aioinflux's DataFrames", reads, "aioinflux"),
        _row(f"{reading}, against gordo-core's provider", reads, "gordo"),
        _row(f"{writing}, against aioinflux's points", writes, "aioinflux"),
        _row(f"{writing}, against gordo-client's forwarder", writes, "gordo"),
    ]


def _row(what: str, turns: Mapping[str, Sequence[Answer]], peer: str) -> Row:
    def each(name: str) -> str:
        return f"{statistics.median(turn['cpu'] for turn in turns[name]) / OPERATIONS * 1000:.2f} ms"

    ratios = [their["cpu"] / our["cpu"] for our, their in zip(turns["latigo"], turns[peer], strict=True)]
    return Row(what, each("latigo"), each(peer), statistics.median(ratios))


async def _rounds(server: Influxd) -> tuple[dict[str, list[Answer]], dict[str, list[Answer]]]:
    await fill_influx(server.url, "sensors", SENSORS, Window(BEGIN, BEGIN + KEPT), STEP)
    chance = random.Random(7)
    reads: dict[str, list[Answer]] = {}
    writes: dict[str, list[Answer]] = {}
    async with AsyncExitStack() as opened:
        programs = await _programs(opened, server.url)
        for number in range(ROUNDS + 1):
            windows = [some_reading(chance) for _ in range(OPERATIONS)]
            rows = [some_predictions(each, number) for each in range(OPERATIONS)]
            for name, program in programs.items():
                reads.setdefault(name, []).append(await ask(program, {"read": windows}, POINTS_READ))
                writes.setdefault(name, []).append(await ask(program, {"write": rows}, POINTS_WRITTEN))
    for name in programs:
        await _check_written(server.url, name)
    # The first round warms all of them up, and makes the series.
    return {name: turns[1:] for name, turns in reads.items()}, {name: turns[1:] for name, turns in writes.items()}


async def _programs(opened: AsyncExitStack, url: str) -> dict[str, Program]:
    commands = {
        "latigo": (sys.executable, "-m", "benchmarks.influx_program"),
        "aioinflux": (_python(peers_home()), str(HERE / "peers" / "aioinflux_program.py")),
        "gordo": (_python(gordo_home()), str(HERE / "peers" / "gordo_influx_program.py")),
    }
    common = {"url": url, "sensors": "sensors", "columns": COLUMNS}
    with only_cores({MEASURED_CORE}):
        return {
            name: await opened.enter_async_context(
                running(*command, json.dumps({**common, "predictions": name}), name=name)
            )
            for name, command in commands.items()
        }


def _python(home: Path) -> str:
    return str(home / "venv" / "bin" / "python")


def some_reading(chance: random.Random) -> tuple[list[str], int, int]:
    """Return a window that begins and ends between two readings, so that its edges have none."""
    start = int(BEGIN.timestamp()) + chance.randrange((KEPT - LENGTH) // STEP) * STEP.seconds + STEP.seconds // 2
    return chance.sample(SENSORS, TAGS), start, start + LENGTH.seconds


def some_predictions(model: int, number: int) -> tuple[str, list[int]]:
    """Return a model and the times of its predictions in this round."""
    start = int(BEGIN.timestamp()) + number * ROWS * RESOLUTION.seconds
    return f"pump-{model:03d}", [start + row * RESOLUTION.seconds for row in range(ROWS)]


async def ask(program: Program, order: Mapping[str, Any], points: int) -> Answer:
    """Give an order of ``OPERATIONS``; check the points of each of them."""
    answer = await program.ask(order)
    if answer["points"] != points * OPERATIONS:
        raise RuntimeError(f"{points * OPERATIONS} points were expected, not {answer['points']}")
    return answer


async def _check_written(url: str, database: str) -> None:
    rows = await influxql(url, 'SELECT count("sensor_value") FROM /./', database)
    points = sum(series["values"][0][1] for series in rows)
    if points != POINTS_WRITTEN * OPERATIONS * (ROUNDS + 1):
        raise RuntimeError(f"{database} has left {points} points in InfluxDB")
