"""All of Latigo with 200 models on the Timeseries API, which fails in every way: nothing is lost, nothing is wasted.

The fewest requests that the limits of the API allow, for ``tasks`` of models with ``tags`` and ``columns``:

============================ =============================================================================
a look-up of a name          ``models * tags``: the exact filter of a list takes one name
a series that is added       ``ceil(models * columns / 100)``
a read                       ``ceil(tasks * tags / 100)``: at most 100 ids in a request, each with its window
a write                      ``ceil(tasks * columns / 100)``, as long as that is less than 10 000 points each
============================ =============================================================================

To these comes one repetition for every request that was made to fail.
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

import orjson
import pytest

from benchmarks.gordo_stub import StubPredictions
from latigo.domain.coverage import Coverage
from latigo.domain.windows import Window, to_ns
from latigo.sandbox.gordo import ModelDefinition, ModelKind, ProjectDefinition, open_sandbox_gordo
from latigo.sandbox.timeseries import Fault, FaultKind, Reading, Recorded, SandboxTimeseries, open_sandbox_timeseries
from latigo.settings import Settings
from latigo.wiring.resources import Resources, open_resources
from tests.support.entra import CREDENTIAL, Directory, directory
from tests.support.running_latigo import (
    ModelState,
    ShiftedClock,
    all_done,
    all_known,
    model_states,
    running_latigo,
)
from tests.support.waiting import eventually

MODELS, TAGS = 200, 10
NAMES = [f"pump-{number:03d}" for number in range(MODELS)]
NOW = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)
LATER = NOW + timedelta(minutes=30)
HALF_HOUR, RESOLUTION = timedelta(minutes=30), timedelta(minutes=10)
ALL = Window(datetime(2026, 3, 1, 11, tzinfo=UTC), datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
WINDOWS = list(ALL.slots(HALF_HOUR))
COLUMNS = TAGS  #: the output of each
TASKS = MODELS * len(WINDOWS)
FEWEST = {
    "/": MODELS * TAGS,
    "/getoradd": ceil(MODELS * COLUMNS / 100),
    "/query/data": ceil(TASKS * TAGS / 100),
    "/data": ceil(TASKS * COLUMNS / 100),
}
WITHIN = 200.0


def tags_of(model: str) -> tuple[str, ...]:
    return tuple(f"1903.{model}.T{number}" for number in range(TAGS))


@dataclass
class Run:
    """What was done, and where to see it."""

    states: Mapping[str, ModelState]
    server: SandboxTimeseries
    faults: Sequence[Fault]
    entra: Directory

    def requests(self, path: str) -> list[Recorded]:
        return [each for each in self.server.controls.requests if each.path == path]


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
    step = 300 * 10**9
    return [Reading(time, 20.0 + time // step % 7, 192) for time in range(-(-start // step) * step, end, step)]


@asynccontextmanager
async def api(clock: ShiftedClock) -> AsyncIterator[SandboxTimeseries]:
    async with open_sandbox_timeseries(clock=clock) as server:
        for model in NAMES:
            for tag in tags_of(model):
                server.store.create({"name": tag, "facility": "1903"}, origin="IMS", source=readings)
        yield server


@pytest.fixture
async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ledger_url: str) -> Run:
    project = ProjectDefinition(
        "plant",
        tuple(ModelDefinition(model, tags_of(model), ModelKind.PLAIN, resolution=RESOLUTION) for model in NAMES),
    )
    clock = ShiftedClock(NOW)
    await clock.share(ledger_url)
    async with (
        directory(tmp_path, monkeypatch) as entra,
        open_sandbox_gordo(project, canned=StubPredictions()) as gordo,
        api(clock) as server,
    ):
        omnia = {"kind": "timeseries_api", "url": server.url, "facility": "1903", **CREDENTIAL}
        settings = Settings.model_validate(
            {
                "schedule": {"interval": "30m", "delay": "2m", "max_window": "30m"},
                "task_queue": {"kind": "internal", "max_outstanding": 2 * MODELS},
                "backfill": {"horizon": "1h"},
                "ledger": {"kind": "postgres", "url": ledger_url},
                "executor": {"concurrency": MODELS},
                "models": {"url": gordo.url, "projects": ["plant"]},
                "sensors": omnia,
                "predictions": [omnia],
            }
        )
        faults = faults_on(server, "/")
        async with asyncio.timeout(WITHIN), open_resources(settings, clock=clock) as resources:
            for name in NAMES:
                await asyncio.gather(*map(resources.sensors.sensor_exists, tags_of(name)))
        faults += faults_on(server, "/getoradd", "/query/data", "/data")
        async with asyncio.timeout(WITHIN), running_latigo(settings, clock) as resources:
            await all_known(resources, NAMES, project.revision)
            await all_done(resources)
            await clock.set(LATER, ledger_url)
            await all_covered(resources)
            states = await model_states(resources.database)
        return Run(states, server, faults, entra)


async def all_covered(resources: Resources) -> None:
    async def is_covered() -> bool:
        async with resources.database.connection() as connection:
            covered = "SELECT count(*) FROM v_coverage WHERE covered @> tstzrange($1, $2)"
            return bool(await connection.fetchval(covered, ALL.start, ALL.end) == MODELS)

    await eventually(is_covered, within=WITHIN, every=0.1, what="every slot of every model is covered")


async def test_every_slot_is_covered_once_with_the_fewest_requests(run: Run) -> None:
    assert [fault for fault in run.faults if fault.met != fault.times] == []
    assert {name: state.covered for name, state in run.states.items()} == dict.fromkeys(NAMES, Coverage.of([ALL]))
    assert {state.stored for state in run.states.values()} == {tuple(WINDOWS)}

    made = [stored for stored in run.server.store if stored.document["source"] == "IOC"]
    times = [to_ns(slot.start) for slot in ALL.slots(RESOLUTION)]
    assert Counter(stored.name.split("|")[1] for stored in made) == dict.fromkeys(NAMES, COLUMNS)
    assert {tuple(stored.times) for stored in made} == {tuple(times)}
    written = Counter(
        (item["id"], point["time"])
        for body in once(run.requests("/data"))
        for item in body["items"]
        for point in item["datapoints"]
    )
    assert set(written.values()) == {1}

    faults = Counter(fault.path for fault in run.faults)
    for path in FEWEST:  # XX
        print("XX", path, [len(r.body["items"] if isinstance(r.body, dict) else r.body or ())+r.status*1000 for r in run.requests(path)][:120])
    needed = {path: len(run.requests(path)) - faults[path] for path in FEWEST}
    assert needed.pop("/") == FEWEST["/"]
    assert all(count >= FEWEST[path] for path, count in needed.items())
    assert sum(needed.values()) <= 1.1 * sum(FEWEST[path] for path in needed), needed
    assert run.server.controls.count("*") == sum(len(run.requests(path)) for path in FEWEST)


def once(requests: Sequence[Recorded]) -> list[Any]:
    """Bodies that were carried out; one whose answer was cut short came twice, as it was."""
    bodies = [orjson.dumps(each.body) for each in requests if each.status == 200]
    return [orjson.loads(body) for body in dict.fromkeys(bodies)]
