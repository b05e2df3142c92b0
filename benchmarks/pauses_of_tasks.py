"""The pauses of an executor's event loop during the longest tasks; see `benchmarks.pauses`."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.executor_program import read_readings
from benchmarks.report import Row
from benchmarks.stage import (
    BEGIN,
    PROJECT,
    Plan,
    fill_influx,
    open_ledger,
    running,
    running_executor,
    running_influxd,
    running_stub,
    specs_of,
    write_readings,
)
from latigo.domain.windows import Window
from latigo.executor.pipeline import period_of
from latigo.settings.sections.schedule import LONGEST_WINDOW

TAGS = 20
STEP = timedelta(seconds=10)
RESOLUTION = timedelta(minutes=1)
TASKS = 2  #: of each kind, one after the other; the first connects and learns
_POINTS_AT_ONCE = 10_000
_HEADERS = {"Authorization": "Bearer any"}


class _Case(NamedTuple):
    name: str
    settings: Mapping[str, Any]
    from_memory: bool = True


async def measure(limit_ms: float) -> list[Row]:
    """Return one row for each kind of source and sink."""
    rows = []
    for name, ms, clock_ms in await _pauses():
        what = f"longest pause of the event loop, a task of {LONGEST_WINDOW.days} d x {TAGS} tags at 10 s, {name}"
        rows.append(
            Row(what, f"{ms:.0f} ms CPU ({clock_ms:.0f} ms by the clock)", f"{limit_ms} ms", ms / limit_ms, at_most=1)
        )
    return rows


async def _pauses() -> list[tuple[str, float, float]]:
    results = []
    async with AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        more = ("--resolution", str(RESOLUTION.total_seconds()))
        url = await opened.enter_async_context(running_stub(1, TAGS, *more))
        ledger = await opened.enter_async_context(open_ledger())
        specs = await specs_of(url, PROJECT, ledger.database)
        await ledger.describe(specs)
        (spec,) = specs
        window = Window(BEGIN, BEGIN + LONGEST_WINDOW)
        period = period_of(spec, Window(window.start, window.end + STEP))
        readings = folder / "readings.npz"
        write_readings(readings, specs, period, STEP)
        cases = await _cases(opened, folder, spec.dataset.tags, period, readings)
        for case in cases:
            configuration: dict[str, Any] = {
                "project": PROJECT,
                "ledger": ledger.url,
                "gordo": url,
                "settings": case.settings,
                "watched": True,
                **({"readings": str(readings)} if case.from_memory else {}),
            }
            async with running_executor(configuration) as executor:
                answers = []
                for _ in range(TASKS):
                    tasks = await ledger.envelopes([Plan([spec.ref.name], window)])
                    answers.append(await executor.ask({"tasks": tasks}))
                    async with ledger.database.connection() as connection:
                        await connection.execute("UPDATE coverage SET covered = '{}'")  # the same window once more
                results.append((case.name, 1e3 * answers[-1]["pause_cpu"], 1e3 * answers[-1]["pause"]))
        await ledger.check_stored(TASKS * len(cases))
    return results


async def _cases(
    opened: AsyncExitStack, folder: Path, tags: Sequence[str], period: Window, readings: Path
) -> list[_Case]:
    influx = await opened.enter_async_context(running_influxd("sensors", "predictions"))
    await fill_influx(influx.url, "sensors", tags, period, STEP)
    command = (sys.executable, "-m", "latigo.sandbox.timeseries")
    emulator = await opened.enter_async_context(running(*command, name="the emulator"))
    api = {"kind": "timeseries_api", "url": (await emulator.read())["url"], "facility": "1903", "token": "any"}
    await _fill_api(api["url"], readings)
    files = folder / "files"
    files.mkdir()
    _write_parquet(files / "readings.parquet", readings)
    server = {"kind": "influx", "url": influx.url}
    return [
        _Case("to PostgreSQL", {}),
        _Case("to InfluxDB", {"predictions": [{**server, "database": "predictions"}]}),
        _Case("to the Timeseries API", {"predictions": [api]}),
        _Case("from InfluxDB", {"sensors": {**server, "database": "sensors"}}, from_memory=False),
        _Case("from the Timeseries API", {"sensors": api}, from_memory=False),
        _Case("from files", {"sensors": {"kind": "files", "path": str(files / "*.parquet")}}, from_memory=False),
        _Case("from the simulation", {"sensors": {"kind": "simulated"}}, from_memory=False),
    ]


def _write_parquet(path: Path, readings: Path) -> None:
    series = read_readings(readings)
    times = next(iter(series.values())).times
    columns = {tag: each.values for tag, each in series.items()}
    pq.write_table(pa.table({"time": pa.array(times).cast(pa.timestamp("ns", "UTC")), **columns}), path)


async def _fill_api(url: str, readings: Path) -> None:
    async with aiohttp.ClientSession(headers=_HEADERS) as session:
        for tag, series in read_readings(readings).items():
            made = await _post(session, f"{url}/getoradd", [{"name": tag, "facility": "1903"}])
            (identifier,) = (each["id"] for each in made["data"]["items"])
            texts = np.datetime_as_string(series.times.view("M8[ns]").astype("M8[s]"), timezone="UTC").tolist()
            points = [
                {"time": time, "value": value, "status": 192}
                for time, value in zip(texts, series.values.tolist(), strict=True)
            ]
            for at in range(0, len(points), _POINTS_AT_ONCE):
                item = {"id": identifier, "datapoints": points[at : at + _POINTS_AT_ONCE]}
                await _post(session, f"{url}/data", {"items": [item]})


async def _post(session: aiohttp.ClientSession, url: str, body: object) -> Any:
    async with session.post(url, json=body) as response:
        if response.status != 200:
            raise RuntimeError(f"readings were not taken: {await response.text()}")
        return await response.json()
