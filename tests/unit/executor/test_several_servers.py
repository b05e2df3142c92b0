"""One task, where several servers share the models: which is asked, and whose circuit counts what."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from latigo.domain.coverage import Coverage
from latigo.domain.errors import LatigoError, NotThere, RevisionGone, TimedOut, Unavailable
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.outcome import Deferred, Retry, Settlement, Stored
from latigo.domain.series import Frame
from latigo.domain.task import Lane, Task
from latigo.domain.windows import Window
from latigo.executor.limiter import AdaptiveLimit
from latigo.executor.outcomes import settlement_of
from latigo.executor.progress import Progress
from latigo.providers.gordo import Gordo, open_gordo
from latigo.providers.protocols import Execution
from latigo.sandbox.gordo import ModelDefinition, ModelKind, ProjectDefinition, open_sandbox_gordo
from latigo.settings import GordoModels
from tests.support.build import a_spec, a_task, circuit_rules, window
from tests.support.gordo_replay import DictRoster
from tests.support.memory_plant import Plant
from tests.support.models import Doubler

REQUESTED = window("10:00", "11:00")
SERVERS = ("gordo-server/a", "gordo-server/b", "gordo-server/c")
REFUSED_CALL = Unavailable("503", downstream="gordo/plant")
HANGS = TimedOut("300 s", downstream="gordo/plant")
FAILURES = circuit_rules().failures


async def run(plant: Plant, task: Task | None = None) -> tuple[Stored, Progress]:
    progress = plant.progress(task or a_task(span=REQUESTED))
    settlement = await plant.pipeline.run(progress)
    assert isinstance(settlement, Stored)
    return settlement, progress


async def settled(plant: Plant, model: str, **changes: Any) -> Settlement:
    """Run a task of a model; return how it is settled."""
    progress = plant.progress(a_task(a_spec(model, **changes), REQUESTED))
    try:
        return await plant.pipeline.run(progress)
    except LatigoError as error:
        return settlement_of(error, progress)


async def opened(plant: Plant) -> set[str]:
    return {circuit.downstream for circuit in await plant.ledger.circuits()}


def a_plant_with_servers() -> Plant:
    plant = Plant()
    plant.models.several = SERVERS
    return plant


async def test_a_model_is_run_by_the_server_that_it_prefers():
    plant = a_plant_with_servers()

    settlement, _ = await run(plant)

    assert settlement.covered == Coverage((REQUESTED,))
    assert plant.models.asked == ["gordo-server/a"]
    assert set(plant.limits) == {"gordo-server/a"}


@pytest.mark.parametrize("servers", [(), SERVERS])
async def test_live_work_waits_for_no_other_call_of_its_server(servers: tuple[str, ...]):
    plant = Plant()
    plant.models.several = servers
    turns: list[bool] = []

    class Noted(AdaptiveLimit):
        def call(self, model: ModelRef | None = None, *, live: bool = False) -> Any:
            turns.append(live)
            return super().call(model, live=live)

    plant.limits["gordo-server/a" if servers else "plant"] = Noted(8, plant.clock)
    for lane in (Lane.LIVE, Lane.BACKFILL, Lane.MANUAL):
        await run(plant, replace(a_task(span=REQUESTED), lane=lane))

    assert turns == [True, False, False]


async def test_the_next_server_runs_what_one_does_not_answer_which_counts_for_its_own_circuit():
    plant = a_plant_with_servers()
    plant.models.down["gordo-server/a"] = REFUSED_CALL

    for _ in range(FAILURES + 1):
        await run(plant)

    assert plant.models.asked == ["gordo-server/a", "gordo-server/b"] * FAILURES + ["gordo-server/b"]
    assert [circuit.downstream for circuit in await plant.ledger.circuits()] == ["gordo-server/a"]


async def test_a_server_that_is_back_is_found_by_a_probe():
    plant = a_plant_with_servers()
    await plant.ledger.open_circuit("gordo-server/a", "503", alarm=False, pause=timedelta(seconds=15))
    await plant.board.refresh()

    await run(plant)
    await plant.clock.advance(timedelta(seconds=15))
    await plant.board.refresh()
    await run(plant)

    assert plant.models.asked == ["gordo-server/b", "gordo-server/a"]
    assert await plant.ledger.circuits() == []


async def test_where_no_server_answers_the_project_is_unavailable():
    plant = a_plant_with_servers()
    plant.models.down = dict.fromkeys(SERVERS, REFUSED_CALL)

    with pytest.raises(Unavailable) as refused:
        await run(plant)

    assert (refused.value.downstream, plant.models.asked) == ("gordo/plant", list(SERVERS))


async def test_where_the_circuits_of_all_servers_are_open_none_is_asked_but_by_the_probe_of_the_project():
    plant = a_plant_with_servers()
    for server in SERVERS:
        await plant.ledger.open_circuit(server, "503", alarm=False, pause=timedelta(minutes=1))
    await plant.board.refresh()

    with pytest.raises(Unavailable, match="circuits of all 3 servers") as refused:
        await run(plant)
    asked = list(plant.models.asked)
    await run(plant, replace(a_task(span=REQUESTED), probe=True))

    assert (refused.value.downstream, asked, plant.models.asked) == ("gordo/plant", [], ["gordo-server/a"])


LACKING = [NotThere("404, although it is listed"), RevisionGone("410")]


@pytest.mark.parametrize("lacking", LACKING, ids=["404", "410"])
async def test_the_next_server_runs_what_one_does_not_have_and_none_is_unavailable_for_that(lacking: LatigoError):
    plant = a_plant_with_servers()
    plant.models.down["gordo-server/a"] = lacking
    for _ in range(FAILURES + 1):
        await run(plant)
    served = list(plant.models.asked)
    plant.models.down = {**dict.fromkeys(SERVERS, lacking), "gordo-server/c": REFUSED_CALL}

    with pytest.raises(type(lacking)):
        await run(plant)

    assert served == ["gordo-server/a", "gordo-server/b"] * (FAILURES + 1)
    assert await plant.ledger.circuits() == []


async def test_a_probe_of_the_project_passes_over_a_server_that_hangs():
    plant = a_plant_with_servers()
    for downstream in ("gordo/plant", *SERVERS):
        await plant.ledger.open_circuit(downstream, "503", alarm=False, pause=timedelta(minutes=1))
    await plant.board.refresh()
    plant.models.down["gordo-server/a"] = HANGS

    await run(plant, replace(a_task(span=REQUESTED), probe=True))

    assert plant.models.asked == ["gordo-server/a", "gordo-server/b"]
    assert {circuit.downstream for circuit in await plant.ledger.circuits()} == {"gordo-server/a", "gordo-server/c"}


class Hanging(Doubler):
    """Servers of which some take calls and never answer; the others answer in the next turn of the event loop."""

    def __init__(self, servers: Sequence[str], hanging: Collection[str]) -> None:
        super().__init__()
        self.several, self.hanging = servers, hanging

    async def execute_model(
        self, name: ModelSpec, window: Window, x: Frame, y: Frame, *, server: str = ""
    ) -> Execution:
        answers = asyncio.Event()
        if server in self.hanging:
            self.asked.append(server)
        else:
            asyncio.get_running_loop().call_soon(answers.set)
        await answers.wait()
        return await super().execute_model(name, window, x, y, server=server)


@pytest.fixture
def time_stands_still(monkeypatch: pytest.MonkeyPatch) -> Callable[[Plant], None]:
    """Lets time limits of the event loop run by the clock of a plant."""
    return lambda plant: monkeypatch.setattr(asyncio.get_running_loop(), "time", plant.clock.monotonic)


async def probe_of_the_project(plant: Plant, *open_servers: str) -> None:
    """Open circuits of the project and of these servers, and let its probe run until it has ended."""
    plant.pipeline = replace(plant.pipeline, models=plant.models)
    for downstream in ("gordo/plant", *open_servers):
        await plant.ledger.open_circuit(downstream, "503", alarm=False, pause=timedelta(minutes=1))
    await plant.board.refresh()
    probe = asyncio.create_task(run(plant, replace(a_task(span=REQUESTED), probe=True)))
    while not probe.done():
        await plant.clock.advance(timedelta(seconds=10))
    await probe


async def test_a_probe_of_the_project_comes_to_the_last_server_whatever_number_hangs_before_it(
    time_stands_still: Callable[[Plant], None],
):
    servers = [f"gordo-server/{number}" for number in range(9)]
    plant = Plant()
    time_stands_still(plant)
    plant.models = Hanging(servers, servers[:-1])

    await probe_of_the_project(plant, *servers)

    assert plant.models.asked == servers
    assert await opened(plant) == set(servers[:-1])
    assert plant.clock.monotonic() <= plant.pipeline.hard_limit.total_seconds()


async def test_a_probe_of_the_project_first_asks_the_servers_whose_circuit_is_closed(
    time_stands_still: Callable[[Plant], None],
):
    plant = Plant()
    time_stands_still(plant)
    plant.models = Hanging(SERVERS, SERVERS[:2])

    await probe_of_the_project(plant, *SERVERS[:2])

    assert plant.models.asked == ["gordo-server/c"]
    assert await opened(plant) == set(SERVERS[:2])


async def test_after_a_time_out_no_other_server_is_asked():
    plant = a_plant_with_servers()
    plant.models.down["gordo-server/a"] = HANGS

    with pytest.raises(TimedOut) as late:
        await run(plant)

    assert (late.value.downstream, plant.models.asked) == ("gordo-server/a", ["gordo-server/a"])


# A server that takes calls and does not answer


async def test_a_server_that_hangs_opens_its_own_circuit_and_not_that_of_the_project():
    plant = a_plant_with_servers()
    plant.models.down["gordo-server/a"] = HANGS

    ends = [await settled(plant, f"pump-{number}") for number in range(FAILURES + 3)]

    first, *more = ends[: FAILURES + 1]
    assert isinstance(first, Retry)  # the model may be the one that is too slow
    assert [end.downstream for end in more if isinstance(end, Deferred)] == ["gordo-server/a"] * FAILURES
    assert all(isinstance(end, Stored) for end in ends[FAILURES + 1 :])
    assert plant.models.asked == ["gordo-server/a"] * (FAILURES + 1) + ["gordo-server/b"] * 2
    assert await opened(plant) == {"gordo-server/a"}


async def test_executors_that_probe_a_server_that_hangs_do_not_open_the_circuit_of_the_project():
    plant = a_plant_with_servers()
    plant.models.down["gordo-server/a"] = HANGS
    await plant.ledger.open_circuit("gordo-server/a", "300 s", alarm=False, pause=timedelta(seconds=15))

    for number in range(FAILURES + 1):
        await plant.clock.advance(timedelta(minutes=2))
        await plant.board.refresh()
        assert isinstance(await settled(plant, f"pump-{number}"), Deferred)

    assert plant.models.asked == ["gordo-server/a"] * (FAILURES + 1)
    assert await opened(plant) == {"gordo-server/a"}


async def test_where_all_servers_hang_their_circuits_open_and_then_that_of_the_project_and_none_is_called():
    plant = a_plant_with_servers()
    plant.models.down = dict.fromkeys(SERVERS, HANGS)

    ends = []
    for number in range(40):
        ends.append(await settled(plant, f"pump-{number}"))
        if await opened(plant) < set(SERVERS):
            assert "gordo/plant" not in await opened(plant)

    assert await opened(plant) == {"gordo/plant", *SERVERS}
    assert Counter(plant.models.asked) == {
        "gordo-server/a": FAILURES + 1,
        "gordo-server/b": FAILURES,
        "gordo-server/c": FAILURES,
    }
    assert [type(end) for end in ends] == [Retry] + [Deferred] * 39


async def test_where_all_servers_hang_that_have_a_model_each_no_model_loses_more_than_an_attempt():
    plant = a_plant_with_servers()
    plant.models.down = dict.fromkeys(SERVERS, HANGS)
    orders = [(*SERVERS[place:], *SERVERS[:place]) for place in range(len(SERVERS))]

    ends: list[Settlement] = []
    for _ in range(2 * FAILURES):
        for number, plant.models.several in enumerate(orders):
            ends.append(await settled(plant, f"pump-{number}"))

    assert [type(end) for end in ends] == [Retry] + [Deferred] * (len(ends) - 1)
    assert await opened(plant) == {"gordo/plant", *SERVERS}


async def test_a_model_that_is_too_slow_spends_its_attempts_and_stops_no_server():
    plant = a_plant_with_servers()
    slow: list[Settlement] = []

    for number in range(3 * FAILURES):
        plant.models.errors = [HANGS]
        slow.append(await settled(plant, "slow"))
        plant.models.several = SERVERS if number % 2 else SERVERS[::-1]
        assert isinstance(await settled(plant, "pump"), Stored)

    assert {type(end) for end in slow} == {Retry}
    assert await opened(plant) == set()


async def test_the_only_model_that_is_asked_for_spends_its_attempts_whatever_the_server():
    plant = a_plant_with_servers()
    plant.models.down = dict.fromkeys(SERVERS, HANGS)

    slow: list[Settlement] = []
    for place in (0, 1, 2) * FAILURES:
        plant.models.several = (*SERVERS[place:], *SERVERS[:place])
        slow.append(await settled(plant, "slow"))

    assert {type(end) for end in slow} == {Retry}
    assert await opened(plant) == set()


async def test_a_probe_of_the_project_that_no_server_answers_leaves_it_closed_to_others():
    plant = a_plant_with_servers()
    for downstream in ("gordo/plant", *SERVERS):
        await plant.ledger.open_circuit(downstream, "300 s", alarm=False, pause=timedelta(seconds=15))
    await plant.board.refresh()
    plant.models.down = dict.fromkeys(SERVERS, HANGS)

    with pytest.raises(Unavailable) as refused:
        await run(plant, replace(a_task(span=REQUESTED), probe=True))

    assert (refused.value.downstream, plant.models.asked) == ("gordo/plant", list(SERVERS))
    assert {circuit.pause for circuit in plant.ledger.board.open.values()} == {timedelta(seconds=30)}


class Asked(Doubler):
    """A model server in front of two real ones: the first hangs and gets little time, the other gets what it needs."""

    def __init__(self, hasty: Gordo, patient: Gordo, hangs: str) -> None:
        super().__init__()
        self.hasty, self.patient, self.hangs = hasty.execution, patient.execution, hangs
        self.several = [hangs, *(name for name in patient.execution.all_servers() if name != hangs)]

    async def execute_model(
        self, name: ModelSpec, window: Window, x: Frame, y: Frame, *, server: str = ""
    ) -> Execution:
        self.asked.append(server)
        gordo = self.hasty if server == self.hangs else self.patient
        return await gordo.execute_model(name, window, x, y, server=server)


async def test_of_two_real_servers_one_takes_calls_and_does_not_answer():
    names = [f"pump-{number}" for number in range(FAILURES + 3)]
    models = tuple(ModelDefinition(name, ("a", "b"), kind=ModelKind.PLAIN) for name in names)
    project = ProjectDefinition("plant", models, "1000")
    plant = Plant()
    async with open_sandbox_gordo(project) as hanging, open_sandbox_gordo(project) as well:
        hanging.controls.hang()
        hasty, patient = (
            GordoModels(url=(hanging.url, well.url), predict_timeout=limit)
            for limit in (timedelta(milliseconds=50), timedelta(minutes=5))
        )
        hangs, there = (server.url.replace("http://", "gordo-server/") for server in (hanging, well))
        async with open_gordo(hasty, DictRoster()) as first, open_gordo(patient, DictRoster()) as second:
            plant.models = Asked(first, second, hangs)
            plant.pipeline = replace(plant.pipeline, models=plant.models)
            ends = [await settled(plant, name, anomaly=False) for name in names]

    assert [type(end) for end in ends] == [Retry] + [Deferred] * FAILURES + [Stored] * 2
    assert plant.models.asked == [hangs] * (FAILURES + 1) + [there] * 2
    assert await opened(plant) == {hangs}
