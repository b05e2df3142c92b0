"""All of Latigo with 200 models on the Timeseries API, which fails in every way: nothing is lost, nothing is wasted.

The fewest requests that the limits of the API allow, for ``tasks`` of models with ``tags`` and ``columns``:

============================ =============================================================================
a look-up of a name          ``models * tags``: the exact filter of a list takes one name
a series that is added       ``ceil(models * columns / 100)``
a read                       ``ceil(tasks * tags / 100)``: at most 100 ids in a request, each with its window
a write                      ``ceil(tasks * columns / 100)``, as long as that is less than 10 000 points each
============================ =============================================================================

To these comes one repetition for every request that was made to fail. The tasks of a service come to their calls when
they come, and a request waits for those that are in progress: it takes a tenth more than the fewest. What is counted
exactly are tasks that begin together.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from benchmarks.gordo_stub import StubPredictions
from latigo.domain.coverage import Coverage
from latigo.domain.fence import Fence
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions
from latigo.domain.windows import Window, to_ns
from latigo.providers.timeseries import open_predictions, open_sensors, sharing
from latigo.providers.timeseries.cache import SeriesCache
from latigo.providers.timeseries.catalogue import SeriesCatalogue
from latigo.providers.timeseries.client import open_client
from latigo.runtime.in_progress import InProgress
from latigo.sandbox.gordo import ModelDefinition, ModelKind, ProjectDefinition, open_sandbox_gordo
from latigo.sandbox.timeseries import Fault, FaultKind, Reading, Recorded, SandboxTimeseries, open_sandbox_timeseries
from latigo.settings import Settings, TimeseriesSensors, TimeseriesSink
from latigo.wiring.ledger import open_ledger
from latigo.wiring.resources import Resources
from tests.support.entra import CREDENTIAL, directory
from tests.support.running_latigo import (
    ModelState,
    ShiftedClock,
    all_done,
    all_known,
    model_states,
    running_latigo,
)
from tests.support.waiting import eventually

MODELS, TAGS = 200, 5
NAMES = [f"pump-{number:03d}" for number in range(MODELS)]
NOW = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
LATER = NOW + timedelta(minutes=30)
HALF_HOUR, RESOLUTION, STEP = timedelta(minutes=30), timedelta(minutes=10), timedelta(minutes=5)
ALL = Window(datetime(2026, 3, 1, 11, 30, tzinfo=UTC), datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
WINDOWS = list(ALL.slots(HALF_HOUR))
COLUMNS = TAGS  #: the output of each
TASKS = MODELS * len(WINDOWS)
FEWEST = {
    "/": MODELS * TAGS,
    "/getoradd": ceil(MODELS * COLUMNS / 100),
    "/query/data": ceil(TASKS * TAGS / 100),
    "/data": ceil(TASKS * COLUMNS / 100),
}
FENCE = Fence(incarnation=1, epoch=1, task_id=1, claim=1)
WITHIN = 300.0  # 20 s on an idle machine


def tags_of(model: str) -> tuple[str, ...]:
    return tuple(f"1903.{model}.T{number}" for number in range(TAGS))


@dataclass
class Run:
    """What was done, and where to see it."""

    states: Mapping[str, ModelState]
    server: SandboxTimeseries
    faults: Sequence[Fault]


def faults_on(server: SandboxTimeseries, *paths: str) -> list[Fault]:
    """Every kind of trouble on these paths, at the beginning and in the middle."""
    kinds: list[dict[str, Any]] = [
        {"kind": FaultKind.GATEWAY, "status": 429, "retry_after": 1},
        {"kind": FaultKind.STATUS, "status": 401},
        {"kind": FaultKind.EMPTY, "status": 502},
        {"kind": FaultKind.TRUNCATE},
        {"kind": FaultKind.HANG_UP},
    ]
    return [
        server.controls.fault(path=path, skip=number * FEWEST[path] // 8, **kind)
        for path in paths
        for number, kind in enumerate(kinds)
    ]


def readings(_: str, start: int, end: int) -> list[Reading]:
    """A reading every five minutes."""
    step = STEP // timedelta(microseconds=1) * 1000
    return [Reading(time, 20.0 + time // step % 7, 192) for time in range(-(-start // step) * step, end, step)]


@asynccontextmanager
async def api(clock: ShiftedClock) -> AsyncIterator[SandboxTimeseries]:
    async with open_sandbox_timeseries(clock=clock) as server:
        for model in NAMES:
            for tag in tags_of(model):
                server.store.create({"name": tag, "facility": "1903"}, origin="IMS", source=readings)
        yield server


async def look_up_all(settings: Settings, clock: ShiftedClock) -> None:
    """Look up every tag before; ids survive in the ledger, and tasks that do not wait for them run together."""
    section = settings.sensors
    assert isinstance(section, TimeseriesSensors)
    limit = timedelta(seconds=WITHIN)
    async with (
        open_ledger(settings) as database,
        open_client(section, "sensors", clock, downstream="sensors/timeseries_api", time_limit=limit) as client,
    ):
        catalogue = SeriesCatalogue(client, SeriesCache(section.url, clock, database), section)
        await catalogue.find([tag for name in NAMES for tag in tags_of(name)], "1903")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request wait for tasks in progress as long as a loaded machine may take; only they are waited for."""
    monkeypatch.setattr(sharing, "JOIN", timedelta(seconds=5))


@pytest.fixture
async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger_url: str) -> Run:
    project = ProjectDefinition(
        "plant",
        tuple(ModelDefinition(model, tags_of(model), ModelKind.PLAIN, resolution=RESOLUTION) for model in NAMES),
    )
    clock = ShiftedClock(NOW)
    await clock.share(ledger_url)
    async with (
        directory(tmp_path, monkeypatch),
        open_sandbox_gordo(project, canned=StubPredictions()) as gordo,
        api(clock) as server,
    ):
        omnia = {"kind": "timeseries_api", "url": server.url, "facility": "1903", **CREDENTIAL}
        settings = Settings.model_validate(
            {
                "schedule": {"interval": "30m", "delay": "2m", "max_window": "30m"},
                "task_queue": {"kind": "internal", "max_outstanding": 2 * MODELS},
                "backfill": {"horizon": "30m"},
                "ledger": {"kind": "postgres", "url": ledger_url, "connect_timeout": "60s"},
                "executor": {"concurrency": 64},
                "models": {"url": gordo.url, "projects": ["plant"]},
                "sensors": omnia,
                "predictions": [omnia],
            }
        )
        faults = faults_on(server, "/")
        await look_up_all(settings, clock)
        faults += faults_on(server, "/getoradd", "/query/data", "/data")
        async with asyncio.timeout(WITHIN), running_latigo(settings, clock) as resources:
            await all_known(resources, NAMES, project.revision)
            await all_done(resources)
            await clock.set(LATER, ledger_url)
            await all_covered(resources)
            states = await model_states(resources.database)
        return Run(states, server, faults)


async def all_covered(resources: Resources) -> None:
    async def is_covered() -> bool:
        async with resources.database.connection() as connection:
            covered = "SELECT count(*) FROM v_coverage WHERE covered @> tstzrange($1, $2)"
            return bool(await connection.fetchval(covered, ALL.start, ALL.end) == MODELS)

    await eventually(is_covered, within=WITHIN, every=0.1, what="every slot of every model is covered")


async def test_every_slot_is_covered_and_nothing_is_written_twice(run: Run) -> None:
    assert {name: state.covered for name, state in run.states.items()} == dict.fromkeys(NAMES, Coverage.of([ALL]))
    assert {state.stored for state in run.states.values()} == {tuple(WINDOWS)}

    made = [stored for stored in run.server.store if stored.document["source"] == "IOC"]
    times = [to_ns(slot.start) for slot in ALL.slots(RESOLUTION)]
    assert Counter(stored.name.split("|")[1] for stored in made) == dict.fromkeys(NAMES, COLUMNS)
    assert {tuple(stored.times) for stored in made} == {tuple(times)}
    written = Counter(
        (item["id"], point["time"])
        for body in once(requests(run.server, "/data"))
        for item in body["items"]
        for point in item["datapoints"]
    )
    assert set(written.values()) == {1}

    needed = requests_beside(run.server, run.faults)
    assert needed["/"] == FEWEST["/"]
    shared = ("/getoradd", "/query/data", "/data")
    assert sum(needed[path] for path in shared) <= 1.1 * sum(FEWEST[path] for path in shared), needed
    assert run.server.controls.count("*") == sum(len(requests(run.server, path)) for path in FEWEST)


async def test_tasks_that_run_together_take_the_fewest_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ShiftedClock(LATER)
    async with directory(tmp_path, monkeypatch), api(clock) as server:
        settings, tasks = {"url": server.url, "facility": "1903", **CREDENTIAL}, InProgress()
        async with (
            open_sensors(TimeseriesSensors.model_validate(settings), clock, tasks=tasks) as source,
            open_predictions(TimeseriesSink.model_validate(settings), clock, tasks=tasks) as sink,
        ):

            async def task(model: str, window: Window) -> None:
                tasks.begin()
                try:
                    await predict(model, window)
                finally:
                    tasks.end()

            async def predict(model: str, window: Window) -> None:
                readings = await source.get_data_for_range(tags_of(model), window, max_bytes=1 << 20)
                times = readings[tags_of(model)[0]].times
                columns = tuple(Column("model-output", tag) for tag in readings)
                values = np.column_stack([series.values for series in readings.values()])
                written = await sink.put_predictions(
                    Predictions(ModelRef("plant", model), "1", times, columns, values), FENCE
                )
                assert len(written) == window.length // STEP

            faults = faults_on(server, "/")
            for model in NAMES:
                await asyncio.gather(*map(source.sensor_exists, tags_of(model)))
            faults += faults_on(server, "/getoradd", "/query/data", "/data")
            for window in WINDOWS:
                await asyncio.gather(*(task(model, window) for model in NAMES))

        needed = requests_beside(server, faults)
        assert needed["/"] == FEWEST["/"]
        assert needed == FEWEST
        every_five_minutes = list(range(to_ns(ALL.start), to_ns(ALL.end), STEP // timedelta(microseconds=1) * 1000))
        assert {tuple(stored.times) for stored in server.store if stored.source is None} == {tuple(every_five_minutes)}


def requests(server: SandboxTimeseries, path: str) -> list[Recorded]:
    return [each for each in server.controls.requests if each.path == path]


def requests_beside(server: SandboxTimeseries, faults: Sequence[Fault]) -> dict[str, int]:
    """Requests by path, without those that were made to fail: each of them had to be sent once more."""
    assert [fault for fault in faults if fault.met != fault.times] == []
    failed = Counter(fault.path for fault in faults)
    return {path: len(requests(server, path)) - failed[path] for path in FEWEST}


def once(requests: Sequence[Recorded]) -> list[Any]:
    """Bodies that were carried out; one whose answer was cut short came twice, as it was."""
    bodies = [orjson.dumps(each.body) for each in requests if each.status == 200]
    return [orjson.loads(body) for body in dict.fromkeys(bodies)]
