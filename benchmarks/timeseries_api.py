"""Cost of the Timeseries API on the side of the client, against the official SDK making the same calls.

The work is that of `benchmarks.influx`: reading one model's readings, 20 tags x 40 min at 10 s, and writing one model's
predictions, 4 rows x 103 columns. Each side runs in a process and an environment of its own, one operation after the
other, against the emulator, which stays on another core. Ids are known. What is compared is the CPU time of these
processes alone. Both send the same requests, each for one model, and both end with the good readings of a window, tag
by tag in order of time: Latigo's are arrays, the SDK's lists of floats. Tasks that share requests are not in this.
aiohttp by itself, with the same bodies made before, is the floor of a client on it; with orjson, which parses each
answer and does nothing with it, of one that reads JSON as a whole.
"""

import json
import os
import random
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.influx import (
    COLUMNS,
    KEPT,
    OPERATIONS,
    POINTS_READ,
    POINTS_WRITTEN,
    ROUNDS,
    ROWS,
    SENSORS,
    STEP,
    TAGS,
    Answer,
    ask,
    some_predictions,
    some_reading,
)
from benchmarks.report import Row
from benchmarks.stage import BEGIN, HERE, MEASURED_CORE, Program, one_core_kept_free, only_cores, running
from latigo.domain.windows import Window

CHEAPER = 5.0  #: times, than the SDK
FACILITY = "1903"
_AT_ONCE = 9  #: sensors that fill one request
_HEADERS = {"Authorization": "Bearer any"}


def sdk_home() -> Path:
    """Return the folder that ``tests/omnia_sdk/setup.sh`` fills."""
    if home := os.environ.get("OMNIA_SDK_HOME"):
        return Path(home)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "latigo" / "omnia-sdk"


async def measure() -> list[Row]:
    """Interleaved turns of the two; medians."""
    with one_core_kept_free():
        async with running(sys.executable, "-m", "latigo.sandbox.timeseries", name="the emulator") as emulator:
            url: str = (await emulator.read())["url"]
            reads, writes = await _rounds(url)
    sdk = "against the official SDK"
    return [
        _row(f"Timeseries API, CPU of reading a model ({TAGS} tags x 40 min at 10 s), {sdk}", reads),
        _row(f"Timeseries API, CPU of writing a model ({ROWS} rows x {len(COLUMNS)} columns), {sdk}", writes),
        _floor("aiohttp alone", "reading", reads, "bare"),
        _floor("aiohttp alone", "writing", writes, "bare"),
        _floor("aiohttp and orjson alone", "reading", reads, "parsed"),
    ]


def _row(what: str, turns: Mapping[str, Sequence[Answer]]) -> Row:
    def each(name: str) -> str:
        return f"{statistics.median(turn['cpu'] for turn in turns[name]) / OPERATIONS * 1000:.2f} ms"

    ratios = [their["cpu"] / our["cpu"] for our, their in zip(turns["latigo"], turns["sdk"], strict=True)]
    return Row(what, each("latigo"), each("sdk"), statistics.median(ratios), at_least=CHEAPER)


def _every_sensor(chance: random.Random) -> Iterator[tuple[list[str], int, int]]:
    """Yield readings of all sensors, so that every name is looked up before anything is measured."""
    for number in range(OPERATIONS):
        _, start, end = some_reading(chance)
        first = number * TAGS % len(SENSORS)
        yield SENSORS[first : first + TAGS], start, end


def _floor(by: str, what: str, turns: Mapping[str, Sequence[Answer]], program: str) -> Row:
    """Hold the SDK against the floor: no client on these libraries can be further ahead of it than this."""
    what = f"Timeseries API, CPU of the same calls by {by}, {what}, against the official SDK"
    return replace(_row(what, {**turns, "latigo": turns[program]}), at_least=None)


async def _rounds(url: str) -> tuple[dict[str, list[Answer]], dict[str, list[Answer]]]:
    await _fill(url)
    chance = random.Random(7)
    reads: dict[str, list[Answer]] = {}
    writes: dict[str, list[Answer]] = {}
    async with AsyncExitStack() as opened:
        programs = await _programs(opened, url)
        for number in range(ROUNDS + 1):
            windows = [some_reading(chance) for _ in range(OPERATIONS)] if number else list(_every_sensor(chance))
            rows = [some_predictions(each, number) for each in range(OPERATIONS)]
            for name, program in programs.items():
                reads.setdefault(name, []).append(await ask(program, {"read": windows}, POINTS_READ))
                writes.setdefault(name, []).append(await ask(program, {"write": rows}, POINTS_WRITTEN))
    # The first round warms both of them up, looks names up and makes the series.
    return {name: turns[1:] for name, turns in reads.items()}, {name: turns[1:] for name, turns in writes.items()}


async def _programs(opened: AsyncExitStack, url: str) -> dict[str, Program]:
    commands = {
        "latigo": (sys.executable, "-m", "benchmarks.timeseries_api_program"),
        "bare": (sys.executable, "-m", "benchmarks.timeseries_api_bare"),
        "parsed": (sys.executable, "-m", "benchmarks.timeseries_api_bare"),
        "sdk": (str(sdk_home() / "venv" / "bin" / "python"), str(HERE / "peers" / "omnia_sdk_program.py")),
    }
    common = {"url": url, "facility": FACILITY, "columns": COLUMNS}
    with only_cores({MEASURED_CORE}):
        return {
            name: await opened.enter_async_context(
                running(*command, json.dumps({**common, "project": name, "parses": name == "parsed"}), name=name)
            )
            for name, command in commands.items()
        }


async def _fill(url: str) -> None:
    """Write readings, like those of any plant, with all their digits."""
    chance = random.Random(8)
    period = Window(BEGIN, BEGIN + KEPT)
    times = [f"{slot.start:%Y-%m-%dT%H:%M:%SZ}" for slot in period.slots(STEP)]
    async with aiohttp.ClientSession(headers=_HEADERS) as session:
        for begin in range(0, len(SENSORS), _AT_ONCE):
            tags = SENSORS[begin : begin + _AT_ONCE]
            made = await _post(session, f"{url}/getoradd", [{"name": tag, "facility": FACILITY} for tag in tags])
            items = [
                {
                    "id": series["id"],
                    "datapoints": [{"time": time, "value": chance.gauss(50, 10), "status": 192} for time in times],
                }
                for series in made["data"]["items"]
            ]
            await _post(session, f"{url}/data", {"items": items})


async def _post(session: aiohttp.ClientSession, url: str, body: object) -> Any:
    async with session.post(url, json=body) as response:
        if response.status != 200:
            raise RuntimeError(f"readings were not taken: {await response.text()}")
        return await response.json()
