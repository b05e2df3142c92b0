"""Live waves on one real Gordo worker whose memory is nearly large enough: the order of every other wave reversed.

There are a few Keras models more than the worker keeps. A wave that repeats the order of the last one finds none of its
models in memory; a reversed one finds all but the excess. The sides take turns with two waves each, on the same server
and through the same executor, so that the first wave of each turn starts from what the last wave of the other has left.
A second measurement fills the past with and without the workers of the server being known.
"""

import statistics
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.affinity import cpu_of_servers
from benchmarks.backfill import KERAS, run_windows
from benchmarks.busy import copy_models
from benchmarks.report import Row
from benchmarks.stage import BEGIN, SLOT, Ledger, Plan, Program, open_ledger, running_executor, specs_of, write_readings
from latigo.domain.task import Lane
from latigo.domain.windows import DAY, Window
from latigo.scheduler.loop import LONGEST_RUN
from tests.support.gordo_process import running_gordo

MODELS, CACHED = 8, 6
WAVES, ROUNDS = 3, 2
FILLED, FILLED_CACHED = 6, 2
#: A wave is longer than what is at work at once, as in any plant: what waits in the executor has an order of its own.
_FEW = {"settings": {"executor": {"concurrency": 2}}}

_Rate = tuple[float, float]  #: predictions a second, and CPU milliseconds of the server for one


@dataclass(frozen=True)
class _Stage:
    ledger: Ledger
    names: list[str]
    configuration: dict[str, Any]


async def measure() -> list[Row]:
    return [await _measure_waves(), await _measure_cap()]


@asynccontextmanager
async def _stage(models: int, cached: int) -> AsyncIterator[_Stage]:
    async with AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        project, data = copy_models(folder / "data", {KERAS: models})
        environment = {"N_CACHED_MODELS": str(cached)}
        url = await opened.enter_async_context(running_gordo(data, environment=environment))
        ledger = await opened.enter_async_context(open_ledger())
        specs = await specs_of(url, project, ledger.database)
        await ledger.describe(specs)
        readings = folder / "readings.npz"
        write_readings(readings, specs, Window(BEGIN - DAY, BEGIN + 3 * DAY), timedelta(minutes=1))
        configuration = {"project": project, "readings": str(readings), "ledger": ledger.url, "gordo": url}
        yield _Stage(ledger, [spec.ref.name for spec in specs], configuration)


async def _measure_waves() -> Row:
    forth: list[_Rate] = []
    reversed_: list[_Rate] = []
    async with _stage(MODELS, CACHED) as stage, running_executor(stage.configuration | _FEW) as executor:
        number = 0
        for _ in range(ROUNDS):
            for kept, turned in ((forth, False), (reversed_, True)):
                for wave in range(WAVES + 1):
                    names = stage.names[::-1] if turned and wave % 2 else stage.names
                    window = Window(BEGIN + number * SLOT, BEGIN + (number + 1) * SLOT)
                    rate = await _send(executor, stage.ledger, [Plan([name], window) for name in names])
                    number += 1
                    if wave:  # the first one starts from what the other side has left
                        kept.append(rate)
        await stage.ledger.check_stored(MODELS * number)
    what = f"live waves of {MODELS} Keras models, {CACHED} in memory, one real Gordo worker: predictions/s, reversed"
    return _row(what, reversed_, forth, "in one order", at_least=1.0)


async def _measure_cap() -> Row:
    ours: list[_Rate] = []
    theirs: list[_Rate] = []
    async with _stage(FILLED, FILLED_CACHED) as stage:
        known = stage.configuration | {"workers_per_server": 1}
        for number in range(ROUNDS):
            for configuration, kept, turn in ((known, ours, 2 * number), (stage.configuration, theirs, 2 * number + 1)):
                plans = [Plan([name], window, Lane.BACKFILL) for name in stage.names for window in run_windows(turn)]
                async with running_executor(configuration) as executor:  # by itself: executors share what is kept
                    kept.append(await _send(executor, stage.ledger, plans))
        await stage.ledger.check_stored(2 * ROUNDS * FILLED * LONGEST_RUN)
    what = f"backfill of {FILLED} Keras models, {FILLED_CACHED} in memory: predictions/s with workers_per_server"
    return _row(what, ours, theirs, "by measuring alone", at_least=0.95)


async def _send(side: Program, ledger: Ledger, plans: list[Plan]) -> _Rate:
    tasks = await ledger.envelopes(plans)
    cpu = cpu_of_servers()
    answer = await side.ask({"tasks": tasks})
    return len(tasks) / answer["wall"], (cpu_of_servers() - cpu) * 1000 / len(tasks)


def _row(what: str, ours: list[_Rate], theirs: list[_Rate], how: str, *, at_least: float) -> Row:
    def shown(side: list[_Rate]) -> str:
        rate, cpu = (statistics.median(each) for each in zip(*side, strict=True))
        return f"{rate:.1f}/s, {cpu:.0f} ms"

    ratio = statistics.median(our / their for (our, _), (their, _) in zip(ours, theirs, strict=True))
    return Row(what, shown(ours), f"{shown(theirs)} {how}", ratio, at_least=at_least)
