"""Backfill of Keras models on one real Gordo worker: model by model, against window by window.

There are more models than the worker keeps in memory, which is two. The sides take turns with as many windows of each.
"""

import statistics
import tempfile
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from benchmarks.affinity import cpu_of_servers
from benchmarks.busy import copy_models
from benchmarks.report import Row
from benchmarks.stage import BEGIN, SLOT, Ledger, Plan, Program, open_ledger, running_executor, specs_of, write_readings
from latigo.domain.task import Lane
from latigo.domain.windows import DAY, Window
from latigo.scheduler.loop import LONGEST_RUN
from tests.support.gordo_process import running_gordo

MODELS = 12
ROUNDS = 3
KERAS = "ff-hourglass"


async def measure() -> list[Row]:
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    async with AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        project, data = copy_models(folder / "data", {KERAS: MODELS})
        url = await opened.enter_async_context(running_gordo(data))
        ledger = await opened.enter_async_context(open_ledger())
        specs = await specs_of(url, project, ledger.database)
        await ledger.describe(specs)
        readings = folder / "readings.npz"
        write_readings(readings, specs, Window(BEGIN - DAY, BEGIN + 2 * DAY), timedelta(minutes=1))
        configuration = {"project": project, "readings": str(readings), "ledger": ledger.url, "gordo": url}
        by_model = await opened.enter_async_context(running_executor(configuration))
        by_window = await opened.enter_async_context(running_executor(configuration | {"by_window": True}))
        names = [spec.ref.name for spec in specs]
        for number in range(ROUNDS):
            windows = run_windows(2 * number)
            ours.append(await _fill(by_model, ledger, [Plan([n], w, Lane.BACKFILL) for n in names for w in windows]))
            windows = run_windows(2 * number + 1)
            theirs.append(await _fill(by_window, ledger, [Plan(names, w, Lane.BACKFILL) for w in windows]))
        await ledger.check_stored(2 * ROUNDS * MODELS * LONGEST_RUN)
    what = (
        f"backfill of {MODELS} Keras models, {LONGEST_RUN} windows each, one real Gordo worker: predictions/s by model"
    )
    ratio = statistics.median(our / their for (our, _), (their, _) in zip(ours, theirs, strict=True))
    return [Row(what, _shown(ours), f"{_shown(theirs)} by window", ratio, at_least=2.0)]


def run_windows(number: int) -> list[Window]:
    """Return the windows of a run, the newest first, with a gap before the next run."""
    newest = BEGIN + (number + 1) * (LONGEST_RUN + 1) * SLOT
    return [Window(newest - (n + 1) * SLOT, newest - n * SLOT) for n in range(LONGEST_RUN)]


async def _fill(side: Program, ledger: Ledger, plans: list[Plan]) -> tuple[float, float]:
    """Return predictions a second, and CPU milliseconds of the server for one."""
    tasks = await ledger.envelopes(plans)
    cpu = cpu_of_servers()
    answer = await side.ask({"tasks": tasks})
    return len(tasks) / answer["wall"], (cpu_of_servers() - cpu) * 1000 / len(tasks)


def _shown(side: list[tuple[float, float]]) -> str:
    rate, cpu = (statistics.median(each) for each in zip(*side, strict=True))
    return f"{rate:.1f}/s, {cpu:.0f} ms"
