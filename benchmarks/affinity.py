"""Several real Gordo servers of one worker each: every model on a server of its own, against round robin.

Waves of one slot of every model, in the same order on both sides, which take turns on the same servers. Of each turn
the first wave is not counted: it loads what the other side has displaced.

Round robin sends the call number k to the server k mod 3. Were the number of models a multiple of that of the servers,
every wave would bring each model to the server that it had in the wave before: an affinity by accident, which a plant
has as long as no call is repeated and no model comes or goes. 25 models are no multiple of 3 servers: each has another
server in every wave.
"""

import os
import statistics
import tempfile
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from benchmarks.busy import copy_models
from benchmarks.report import Row
from benchmarks.stage import BEGIN, SLOT, Ledger, Plan, Program, open_ledger, running_executor, specs_of, write_readings
from benchmarks.status import cpu_of_children, parent_of
from latigo.domain.windows import DAY, Window
from tests.support.gordo_process import running_gordo

SERVERS = 3
MODELS = 25  #: no multiple of the servers
CACHED = 10  #: a share is 9 at most
ROUNDS = 4
KERAS, SCIKIT = "ff-hourglass", "wide-linear"


async def measure() -> list[Row]:
    keras, scikit = await _measure(KERAS), await _measure(SCIKIT)
    what = f"{SERVERS} real Gordo servers, {MODELS} {{}} models, {CACHED} in memory: predictions/s with affinity"
    return [keras.row(what.format("Keras"), 2.0), scikit.row(what.format("scikit-learn"), 0.95)]


class _Rates:
    """Predictions a second and CPU milliseconds of all servers for one, in turns of both sides."""

    def __init__(self) -> None:
        self.ours: list[tuple[float, float]] = []
        self.theirs: list[tuple[float, float]] = []

    def row(self, what: str, at_least: float) -> Row:
        def shown(side: list[tuple[float, float]]) -> str:
            rate, cpu = (statistics.median(each) for each in zip(*side, strict=True))
            return f"{rate:.1f}/s, {cpu:.0f} ms"

        ratio = statistics.median(our / their for (our, _), (their, _) in zip(self.ours, self.theirs, strict=True))
        return Row(what, shown(self.ours), f"{shown(self.theirs)} by round robin", ratio, at_least=at_least)


async def _measure(kind: str) -> _Rates:
    rates = _Rates()
    async with AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        project, data = copy_models(folder / "data", {kind: MODELS})
        cached = {"N_CACHED_MODELS": str(CACHED)}
        urls = [await opened.enter_async_context(running_gordo(data, environment=cached)) for _ in range(SERVERS)]
        ledger = await opened.enter_async_context(open_ledger())
        specs = await specs_of(urls[0], project, ledger.database)
        await ledger.describe(specs)
        readings = folder / "readings.npz"
        write_readings(readings, specs, Window(BEGIN - DAY, BEGIN + DAY), timedelta(minutes=1))
        configuration = {"project": project, "readings": str(readings), "ledger": ledger.url, "gordo": urls}
        ours = await opened.enter_async_context(running_executor(configuration))
        theirs = await opened.enter_async_context(running_executor(configuration | {"round_robin": True}))
        names, number = [spec.ref.name for spec in specs], 0
        for _ in range(ROUNDS):
            for side, kept in ((ours, rates.ours), (theirs, rates.theirs)):
                await _wave(side, ledger, names, number)
                kept.append(await _wave(side, ledger, names, number + 1))
                number += 2
        await ledger.check_stored(MODELS * number)
    return rates


async def _wave(side: Program, ledger: Ledger, names: list[str], number: int) -> tuple[float, float]:
    tasks = await ledger.envelopes([Plan(names, Window(BEGIN + number * SLOT, BEGIN + (number + 1) * SLOT))])
    cpu = cpu_of_servers()
    answer = await side.ask({"tasks": tasks})
    return len(names) / answer["wall"], (cpu_of_servers() - cpu) * 1000 / len(names)


def cpu_of_servers() -> float:
    """Seconds of CPU of the workers of all servers that this process has started."""
    masters = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if b"gunicorn" in (folder / "cmdline").read_bytes() and parent_of(int(folder.name)) == os.getpid():
                    masters.append(int(folder.name))
            except OSError:  # it has ended
                continue
    return sum(map(cpu_of_children, masters))
