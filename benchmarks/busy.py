"""Use of a model server by the executor.

A real Gordo server, one worker: its rate under the executor, against a bare replay of the same request bodies, which
does nothing but post and may choose the concurrency that suits it best. There are more models than Gordo keeps in
memory, so X
"""

import asyncio
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import aiohttp

from benchmarks.executor_program import read_readings
from benchmarks.report import Row
from benchmarks.stage import (
    BEGIN,
    PROJECT,
    SLOT,
    Plan,
    open_ledger,
    running_executor,
    running_stub,
    specs_of,
    write_readings,
)
from latigo.dataset.build import build
from latigo.domain.model import ModelSpec
from latigo.domain.task import Lane
from latigo.domain.windows import DAY, Window
from latigo.executor.pipeline import period_of
from latigo.providers.gordo.frames import RequestBody, request_body
from latigo.providers.memory import MemorySensors
from tests.support.gordo_process import running_gordo
from tests.support.real_gordo import gordo_home

#: Copies of the models that were trained for the tests.
COPIES = {"wide-linear": 10, "pca-linear": 6, "identity": 5, "smooth": 5, "ff-hourglass": 4}
CONCURRENCIES = (4, 1, 2, 8)
#: The machine is not the same for long: the executor's turn stands between the two that are best, as a rule.
NEXT_TO_EXECUTOR = 2
ROUNDS = 5

STUB_WORKERS, STUB_SECONDS, STUB_CALLS = 4, 0.1, 16
STUB_MODELS, STUB_TAGS, STUB_ROUNDS = 100, 10, 4


class Request(NamedTuple):
    """One prediction, ready to be posted."""

    url: str
    body: RequestBody


async def measure() -> list[Row]:
    """Interleaved rounds of the executor and the replays; medians."""
    with tempfile.TemporaryDirectory() as folder:
        ours, replays = await _rounds(Path(folder))
        stub = await _stub_rates(Path(folder) / "stub.npz")
    best = max(replays, key=lambda calls_at_once: statistics.median(replays[calls_at_once]))
    return [
        Row(
            "real Gordo kept busy: predictions/s, against a bare replay at its best concurrency",
            f"{statistics.median(ours):.1f}/s",
            f"{statistics.median(replays[best]):.1f}/s ({best} at once)",
            statistics.median(our / their for our, their in zip(ours, replays[best], strict=True)),
            at_least=0.9,
        ),
        Row(
            f"a server of {STUB_WORKERS} workers kept busy: predictions/s, against a bare replay, {STUB_CALLS} at once",
            f"{statistics.median(our for our, _ in stub):.1f}/s",
            f"{statistics.median(their for _, their in stub):.1f}/s",
            statistics.median(our / their for our, their in stub),
            at_least=0.9,
        ),
    ]


async def _stub_rates(readings: Path) -> list[tuple[float, float]]:
    async with AsyncExitStack() as opened:
        limits = ("--workers", str(STUB_WORKERS), "--service-seconds", str(STUB_SECONDS))
        url = await opened.enter_async_context(running_stub(STUB_MODELS, STUB_TAGS, *limits))
        ledger = await opened.enter_async_context(open_ledger())
        specs = await specs_of(url, PROJECT, ledger.database)
        await ledger.describe(specs)
        write_readings(readings, specs, Window(BEGIN - 2 * DAY, BEGIN + DAY), timedelta(minutes=1))
        configuration = {"project": PROJECT, "readings": str(readings), "ledger": ledger.url, "gordo": url}
        executor = await opened.enter_async_context(running_executor(configuration))
        session = await opened.enter_async_context(_session())
        sensors = MemorySensors(read_readings(readings))
        names = [spec.ref.name for spec in specs]
        rates = []
        for number in range(STUB_ROUNDS):
            plans = _plans(names, number)
            requests = [await _request(url, spec, plan.window, sensors) for plan in plans for spec in specs]
            answer = await executor.ask({"tasks": await ledger.envelopes(plans)})
            rates.append((len(requests) / answer["wall"], await _replay(session, requests, STUB_CALLS)))
        return rates[1:]  # by then the limit has settled


async def _rounds(folder: Path) -> tuple[list[float], dict[int, list[float]]]:
    async with AsyncExitStack() as opened:
        project, data = copy_models(folder / "data", COPIES)
        url = await opened.enter_async_context(running_gordo(data))
        ledger = await opened.enter_async_context(open_ledger())
        specs = await specs_of(url, project, ledger.database)
        await ledger.describe(specs)
        readings = folder / "readings.npz"
        write_readings(readings, specs, Window(BEGIN - 2 * DAY, BEGIN + DAY), timedelta(minutes=1))
        configuration = {"project": project, "readings": str(readings), "ledger": ledger.url, "gordo": url}
        executor = await opened.enter_async_context(running_executor(configuration))
        session = await opened.enter_async_context(_session())
        sensors = MemorySensors(read_readings(readings))

        names = [spec.ref.name for spec in specs]
        ours: list[float] = []
        replays: dict[int, list[float]] = {calls_at_once: [] for calls_at_once in CONCURRENCIES}
        for number in range(ROUNDS + 1):
            plans = _plans(names, number)
            requests = [await _request(url, spec, plan.window, sensors) for plan in plans for spec in specs]
            tasks = await ledger.envelopes(plans)
            for calls_at_once in CONCURRENCIES:
                if calls_at_once == NEXT_TO_EXECUTOR:
                    answer = await executor.ask({"tasks": tasks})
                    ours.append(len(requests) / answer["wall"])
                replays[calls_at_once].append(await _replay(session, requests, calls_at_once))
        await ledger.check_stored(2 * len(names) * (ROUNDS + 1))
        # The first round warms all of them up.
        return ours[1:], {calls_at_once: rates[1:] for calls_at_once, rates in replays.items()}


def _session() -> aiohttp.ClientSession:
    """Open a session for Gordo, which closes connections that were idle for 2 s."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=1.5))


def _plans(names: Sequence[str], number: int) -> list[Plan]:
    """Return two slots of every model, as many as may be outstanding, so that start and end of a round weigh little."""
    live = Window(BEGIN + number * SLOT, BEGIN + (number + 1) * SLOT)
    back = Window(live.start - DAY, live.end - DAY)
    return [Plan(names, live, Lane.LIVE), Plan(names, back, Lane.BACKFILL)]


def copy_models(data: Path, kinds: Mapping[str, int]) -> tuple[str, Path]:
    """Create a folder for Gordo that has each model under several names."""
    trained = gordo_home() / "data"
    layout = json.loads((trained / "layout.json").read_text())
    collection = Path(layout["model_collection_dir"])
    (data / collection).mkdir(parents=True)
    shutil.copy(trained / "layout.json", data)
    for name, copies in kinds.items():
        for number in range(copies):
            (data / collection / f"{name}-{number:02d}").symlink_to(trained / collection / name)
    project: str = layout["project"]
    return project, data


async def _request(url: str, spec: ModelSpec, window: Window, sensors: MemorySensors) -> Request:
    period = period_of(spec, window)
    readings = await sensors.get_data_for_range(spec.dataset.tags, period, max_bytes=1 << 30)
    dataset = build(spec.dataset, readings, period)
    path = f"{url}/gordo/v0/{spec.ref.project}/{spec.ref.name}/anomaly/prediction"
    return Request(f"{path}?format=parquet&revision={spec.revision}", request_body(dataset.x, dataset.y))


async def _replay(session: aiohttp.ClientSession, requests: Sequence[Request], calls_at_once: int) -> float:
    """Post all requests in order, with limited concurrency. Return predictions per second."""
    left = iter(requests)

    async def post() -> None:
        for request in left:
            async with session.post(
                request.url, data=request.body.data, headers={"Content-Type": request.body.content_type}
            ) as response:
                await response.read()
                response.raise_for_status()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(calls_at_once):
            group.create_task(post())
    return len(requests) / (time.perf_counter() - began)
