"""Cost of a prediction in the executor, against Gordo's own client.

Both predict the same slots of the same models from the same readings in memory, by the same stub of Gordo, which runs
on another core. Latigo also claims every task, writes the predictions to PostgreSQL, settles and logs; the client does
none of that. What is compared is the CPU time of the two processes alone.

A third process shows what is left of the client's time for all that Latigo does in Python: it only sends bodies that
are made already, reads the answers as Latigo does, and inserts each.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np

from benchmarks.control import CONTROL
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
from latigo.domain.model import ModelSpec
from latigo.domain.series import Frame
from latigo.domain.windows import Window, iso, span_ns, to_ns
from latigo.executor.pipeline import period_of
from latigo.providers.gordo.frames import request_body
from tests.support.real_gordo import gordo_home

MODELS = 50
TAGS = 20
ROUNDS = 9


async def measure() -> list[Row]:
    """Interleaved rounds of the two; medians."""
    with one_core_kept_free(), tempfile.TemporaryDirectory() as folder:
        ours, theirs, bare = await _rounds(Path(folder) / "readings.npz")
    ratios, floors = (
        [their["cpu"] / other["cpu"] for other, their in zip(others, theirs, strict=True)] for others in (ours, bare)
    )
    return [
        Row(
            "executor overhead: CPU of a prediction, against gordo-client",
            f"{_milliseconds(ours, 'cpu'):.2f} ms ({1000 / _milliseconds(ours, 'cpu'):.0f}/s)",
            f"{_milliseconds(theirs, 'cpu'):.1f} ms ({1000 / _milliseconds(theirs, 'cpu'):.0f}/s)",
            statistics.median(ratios),
            at_least=32.0,
        ),
        Row(
            "the floor: a bare request by aiohttp, its answer read by pyarrow, and one INSERT, against gordo-client",
            f"{_milliseconds(bare, 'cpu'):.2f} ms",
            f"{_milliseconds(theirs, 'cpu'):.1f} ms",
            statistics.median(floors),
        ),
        Row(
            "the same by the clock, one core each",
            f"{_milliseconds(ours, 'wall'):.2f} ms",
            f"{_milliseconds(theirs, 'wall'):.1f} ms",
            _milliseconds(theirs, "wall") / _milliseconds(ours, "wall"),
        ),
    ]


async def _rounds(readings: Path) -> list[list[dict[str, float]]]:
    """Return what each round took of the executor, of gordo-client and of the bare program."""
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
        bare = await opened.enter_async_context(
            running(
                *(sys.executable, "-m", "benchmarks.overhead_bare"),
                json.dumps({"ledger": ledger.url, "pinned": MEASURED_CORE}),
                name="the bare program",
            )
        )
        rounds: list[list[dict[str, float]]] = [[], [], []]
        for number in range(ROUNDS + 1):
            CONTROL.take()
            window = Window(BEGIN + number * SLOT, BEGIN + (number + 1) * SLOT)
            rounds[0].append(await latigo.ask({"tasks": await ledger.envelopes([Plan(names, window)])}))
            requests = [[name, iso(window.start), iso(window.end)] for name in names]
            rounds[1].append(await gordo.ask({"windows": requests}))
            rounds[2].append(await bare.ask({"requests": list(_requests(url, specs, window))}))
        await ledger.check_stored(len(names) * (ROUNDS + 1))
        return [each[1:] for each in rounds]  # the first warms all up


def _requests(url: str, specs: list[ModelSpec], window: Window) -> Iterator[tuple[str, str]]:
    """Return address and body of each model's prediction of a window; the numbers are the same in all of them."""
    for spec in specs:
        period, tags = period_of(spec, window), spec.dataset.tag_list
        times = np.arange(to_ns(period.start), to_ns(period.end), span_ns(spec.dataset.resolution), dtype=np.int64)
        frame = Frame(times, tags, np.linspace(49.0, 51.0, times.size * len(tags)).reshape(times.size, len(tags)))
        path = f"gordo/v0/{PROJECT}/{quote(spec.ref.name, safe='')}/anomaly/prediction"
        yield f"{url}/{path}?format=parquet&revision={spec.revision}", request_body(frame, frame).data.decode()


def _milliseconds(rounds: list[dict[str, float]], what: str) -> float:
    """Return milliseconds per prediction."""
    return statistics.median(each[what] for each in rounds) / MODELS * 1000
