"""The work that falls due every half hour, all at once: one slot of each of 9000 models, through InfluxDB.

Readings come from an InfluxDB on the same machine and predictions go into it; a stub of Gordo responds at next to no
cost; the ledger is on PostgreSQL. Each is a process of its own, and all of them share two cores. The tasks are
planned beforehand and wait in the executor's queue. Of the slot before, predictions are there already, as always
after the first half hour: to make 750 000 series costs InfluxDB more than to go on with them.

The executor's CPU is also given as it would be where the stub takes `STUB_CPU`: what the stub does for a model is the
same in every run and for every commit, and a machine that is loaded slows both down.

The clock is held against the work that there is: executor, InfluxDB and stub, were they always at it on both cores.
What PostgreSQL takes comes on top.
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks.report import Row
from benchmarks.stage import (
    BEGIN,
    CORES,
    PROJECT,
    SLOT,
    Ledger,
    Plan,
    fill_influx,
    influxql,
    only_cores,
    open_ledger,
    running,
    running_executor,
    running_influxd,
    specs_of,
)
from benchmarks.stub_program import project_of, sensors_of
from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Column, Predictions
from latigo.domain.windows import Window, span_ns, to_ns
from latigo.executor.pipeline import period_of
from latigo.providers.influx.predictions import InfluxPredictions, open_predictions
from latigo.sandbox.gordo import ProjectDefinition
from latigo.settings import InfluxSink

MODELS = 9000
QUICK = 600  #: models, to see that it works
TAGS = 20
#: Of the plant; its models share them.
SENSORS = 2000
STEP = timedelta(minutes=1)
#: Not on a Monday's midnight, when InfluxDB begins a new shard with an index of its own.
SLOT_BEGINS = BEGIN + timedelta(hours=6)
EXECUTOR_CPU = timedelta(milliseconds=5)  #: of a model
#: Of a model, on the machine of `RESULTS.md` while it does nothing else.
STUB_CPU = timedelta(milliseconds=0.66)
OVER_WORK = 1.3

_SHARED_CORES = 2
_READINGS, _PREDICTIONS = "sensors", "predictions"
_GROUPS = ("model-output", "tag-anomaly-scaled", "tag-anomaly-unscaled", "anomaly-confidence")
_TOTALS = ("total-anomaly-scaled", "total-anomaly-unscaled", "total-anomaly-confidence")


class Wave(NamedTuple):
    """CPU seconds by process, and seconds by the clock."""

    cpu: Mapping[str, float]
    wall: float


async def measure(models: int = MODELS) -> list[Row]:
    """Measure one wave."""
    with only_cores(set(sorted(CORES)[:_SHARED_CORES])):
        wave = await _wave(models)
    work = wave.cpu["executor"] + wave.cpu["InfluxDB"] + wave.cpu["stub"]
    each, stub = (wave.cpu[name] / models * 1000 for name in ("executor", "stub"))
    limit, as_stub = (span.total_seconds() * 1000 for span in (EXECUTOR_CPU, STUB_CPU))
    normalised = each * as_stub / stub
    parts = " + ".join(f"{wave.cpu[name]:.1f}" for name in ("executor", "InfluxDB", "stub"))
    what = f"a full wave, {models} models x {TAGS} tags at 1 min, InfluxDB"
    return [
        Row(
            f"{what}: CPU of the executor",
            f"{wave.cpu['executor']:.1f} s ({each:.2f} ms each)",
            f"{models * limit / 1000:.0f} s ({limit:.1f} ms each)",
            each / limit,
        ),
        Row(
            f"{what}: CPU of the executor, by the CPU of the stub",
            f"{normalised:.2f} ms each (the stub took {stub:.2f} ms, which counts as {as_stub:.2f})",
            f"{limit:.1f} ms",
            normalised / limit,
            at_most=1.0,
        ),
        Row(
            f"{what}: by the clock, against all CPU on {_SHARED_CORES} cores (executor + InfluxDB + stub)",
            f"{wave.wall:.1f} s (CPU of PostgreSQL {wave.cpu['PostgreSQL']:.1f} s)",
            f"({parts}) / {_SHARED_CORES} = {work / _SHARED_CORES:.1f} s",
            wave.wall / (work / _SHARED_CORES),
            at_most=OVER_WORK,
        ),
    ]


async def _wave(models: int) -> Wave:
    async with AsyncExitStack() as opened:
        command = (sys.executable, "-m", "benchmarks.stub_program", *map(str, (models, TAGS, SENSORS)))
        stub = await opened.enter_async_context(running(*command, name="the stub of Gordo"))
        url = (await stub.read())["url"]
        influx = await opened.enter_async_context(running_influxd(_READINGS, _PREDICTIONS))
        ledger = await opened.enter_async_context(open_ledger())
        specs = await _specs(url, ledger, project_of(models, TAGS, SENSORS))
        await ledger.describe(specs)
        window = Window(SLOT_BEGINS, SLOT_BEGINS + SLOT)
        await fill_influx(influx.url, _READINGS, sensors_of(SENSORS), period_of(specs[0], window), STEP)
        await _predict_before(influx.url, specs, Window(SLOT_BEGINS - SLOT, SLOT_BEGINS))
        server = {"kind": "influx", "url": influx.url}
        configuration: dict[str, Any] = {
            "project": PROJECT,
            "ledger": ledger.url,
            "gordo": url,
            "settings": {
                "sensors": {**server, "database": _READINGS},
                "predictions": [{**server, "database": _PREDICTIONS}],
            },
        }
        executor = await opened.enter_async_context(running_executor(configuration))
        tasks = await ledger.envelopes([Plan([spec.ref.name for spec in specs], window)])
        series = await _series(influx.url)
        processes = {
            "stub": psutil.Process(stub.pid),
            "InfluxDB": psutil.Process(influx.pid),
            "PostgreSQL": await _postmaster(ledger),
        }
        before = {name: _cpu(process) for name, process in processes.items()}
        answer = await executor.ask({"tasks": tasks})
        cpu = {name: _cpu(process) - before[name] for name, process in processes.items()}
        await ledger.check_stored(models)
        await _check_points(influx.url, specs, window, series)
        return Wave({**cpu, "executor": answer["cpu"]}, answer["wall"])


async def _specs(url: str, ledger: Ledger, project: ProjectDefinition) -> list[ModelSpec]:
    """Read the metadata of one model; the others differ in names and tags."""
    (one,) = await specs_of(url, PROJECT, ledger.database, names=[project.models[0].name])
    return [
        replace(
            one,
            ref=ModelRef(PROJECT, model.name),
            dataset=replace(one.dataset, tag_list=model.tags, target_tag_list=model.tags),
            assets={},
        )
        for model in project.models
    ]


async def _predict_before(url: str, specs: Iterable[ModelSpec], window: Window) -> None:
    """Have predictions of the window, in all the series that there will be."""
    async with open_predictions(InfluxSink(url=url, database=_PREDICTIONS)) as sink:
        left = iter(specs)

        async def write() -> None:
            for spec in left:
                await _write(sink, spec, window)

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(write())


async def _write(sink: InfluxPredictions, spec: ModelSpec, window: Window) -> None:
    columns = tuple(_columns(spec))
    times = np.arange(to_ns(window.start), to_ns(window.end), span_ns(spec.dataset.resolution), dtype=np.int64)
    values = np.ones((len(times), len(columns)))
    await sink.put_predictions(Predictions(spec.ref, spec.revision, times, columns, values), Fence(1, 1, 1, 1))


def _columns(spec: ModelSpec) -> Iterator[Column]:
    """Return the columns of an anomaly model of Gordo without smoothing."""
    for group in _GROUPS:
        yield from (Column(group, tag) for tag in spec.dataset.target_tag_list)
    yield from (Column(group, "") for group in _TOTALS)


async def _series(url: str) -> int:
    rows = await influxql(url, "SHOW SERIES EXACT CARDINALITY", _PREDICTIONS)
    return sum(series["values"][0][0] for series in rows)


async def _check_points(url: str, specs: Sequence[ModelSpec], window: Window, series: int) -> None:
    """Raise if a point is missing, or if series were created: then something else was measured."""
    rows = window.length // specs[0].dataset.resolution
    times = f"time >= {to_ns(window.start)} AND time < {to_ns(window.end)}"
    for group in ("model-output", "anomaly-confidence", *_TOTALS):
        wanted = rows * len(specs) * (1 if group in _TOTALS else TAGS)
        result = await influxql(url, f'SELECT count("sensor_value") FROM "{group}" WHERE {times}', _PREDICTIONS)
        if [series["values"][0][1] for series in result] != [wanted]:
            raise RuntimeError(f"{wanted} points of {group} should be in InfluxDB, and it is {result}")
    if (now := await _series(url)) != series:
        raise RuntimeError(f"{series} series were there, and now {now}")


async def _postmaster(ledger: Ledger) -> psutil.Process:
    async with ledger.database.connection() as connection:
        backend = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()"))
    postmaster = backend.parent()
    assert postmaster is not None
    return postmaster


def _cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and all its children, also of those that have ended."""
    own = process.cpu_times()
    children = (child.cpu_times() for child in process.children(recursive=True))
    ended = own.children_user + own.children_system
    return sum((each.user + each.system for each in children), own.user + own.system + ended)
