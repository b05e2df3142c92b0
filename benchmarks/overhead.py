"""Cost of a prediction in the executor, against Gordo's own client.

Both predict the same slots of the same models from the same readings in memory, by the same stub of Gordo, which runs
on another core. Latigo also claims every task, writes the predictions to PostgreSQL, settles and logs; the client does
none of that. What is compared is the CPU time of the two processes alone.
"""

import json
import statistics
import tempfile
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.report import Row
from benchmarks.stage import (
    BEGIN,
    HERE,
    MEASURED_CORE,
    PROJECT,
    SLOT,
    Plan,
    one_core_kept_free,
    open_ledger,
    running,
    running_executor,
    running_stub,
    specs_of,
    write_readings,
)
from latigo.domain.windows import Window, iso
from tests.support.real_gordo import gordo_home

MODELS = 50
TAGS = 20
ROUNDS = 5


async def measure() -> list[Row]:
    """Interleaved rounds of the two; medians."""
    with one_core_kept_free(), tempfile.TemporaryDirectory() as folder:
        ours, theirs = await _rounds(Path(folder) / "readings.npz")
    ratios = [their["cpu"] / our["cpu"] for our, their in zip(ours, theirs, strict=True)]
    return [
        Row(
            "executor overhead: CPU of a prediction, against gordo-client",
            f"{_milliseconds(ours, 'cpu'):.2f} ms ({1000 / _milliseconds(ours, 'cpu'):.0f}/s)",
            f"{_milliseconds(theirs, 'cpu'):.1f} ms ({1000 / _milliseconds(theirs, 'cpu'):.0f}/s)",
            statistics.median(ratios),
            at_least=20.0,
        ),
        Row(
            "the same by the clock, one core each",
            f"{_milliseconds(ours, 'wall'):.2f} ms",
            f"{_milliseconds(theirs, 'wall'):.1f} ms",
            _milliseconds(theirs, "wall") / _milliseconds(ours, "wall"),
        ),
    ]


async def _rounds(readings: Path) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(running_stub(MODELS, TAGS))
        ledger = await opened.enter_async_context(open_ledger())
        specs = await specs_of(url, PROJECT, ledger.database)
        await ledger.describe(specs)
        names = [spec.ref.name for spec in specs]
        whole = Window(BEGIN - timedelta(hours=2), BEGIN + (ROUNDS + 1) * SLOT)
        write_readings(readings, specs, whole, timedelta(seconds=10))
        common: dict[str, Any] = {"project": PROJECT, "readings": str(readings), "pinned": MEASURED_CORE}
        latigo = await opened.enter_async_context(running_executor({**common, "ledger": ledger.url, "gordo": url}))
        gordo = await opened.enter_async_context(
            running(
                *(str(gordo_home() / "venv" / "bin" / "python"), str(HERE / "gordo_client_program.py")),
                json.dumps({**common, "port": urlsplit(url).port, "revision": specs[0].revision}),
                name="gordo-client",
            )
        )
        ours, theirs = [], []
        for number in range(ROUNDS + 1):
            window = Window(BEGIN + number * SLOT, BEGIN + (number + 1) * SLOT)
            ours.append(await latigo.ask({"tasks": await ledger.envelopes([Plan(names, window)])}))
            requests = [[name, iso(window.start), iso(window.end)] for name in names]
            theirs.append(await gordo.ask({"windows": requests}))
        await ledger.check_stored(len(names) * (ROUNDS + 1))
        return ours[1:], theirs[1:]  # the first warms both up


def _milliseconds(rounds: list[dict[str, float]], what: str) -> float:
    """Return milliseconds per prediction."""
    return statistics.median(each[what] for each in rounds) / MODELS * 1000
