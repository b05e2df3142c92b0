"""The controls of the sandbox's Gordo, and the record of its calls."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from latigo.providers.simulated import Plant
from latigo.sandbox.gordo import CallKind, SandboxGordo, Scope, demo_project, open_sandbox_gordo
from tests.support.waiting import eventually

START = datetime(2025, 10, 20, tzinfo=UTC)
TEN = timedelta(minutes=10)


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxGordo]:
    plant = Plant()
    projects = [demo_project(plant, name, 3, tags_per_model=5, special=False) for name in ("plant-a", "plant-b")]
    async with open_sandbox_gordo(projects, plant) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def get(http: aiohttp.ClientSession, sandbox: SandboxGordo, path: str) -> tuple[int, Any]:
    async with http.get(f"{sandbox.url}/gordo/v0/{path}") as response:
        return response.status, await response.json(content_type=None)


def frame(sandbox: SandboxGordo, model: str, rows: int = 4) -> dict[str, dict[str, float]]:
    definition = sandbox.projects["plant-a"].revisions[sandbox.projects["plant-a"].latest][model]
    times = [f"{START + n * TEN}" for n in range(rows)]
    return {tag: {time: 50.0 + n for n, time in enumerate(times)} for tag in definition.tags}


async def predict(
    http: aiohttp.ClientSession,
    sandbox: SandboxGordo,
    model: str = "pump-001",
    project: str = "plant-a",
    **query: str,
) -> tuple[int, bytes]:
    x = frame(sandbox, model)
    path = f"{sandbox.url}/gordo/v0/{project}/{model}/anomaly/prediction"
    async with http.post(path, json={"X": x, "y": x}, params=query) as response:
        return response.status, await response.read()


async def test_it_says_that_it_is_a_development_part(http: aiohttp.ClientSession, sandbox: SandboxGordo) -> None:
    async with http.get(f"{sandbox.url}/healthcheck") as response:
        assert "development" in response.headers["Server"]
        assert (response.status, await response.read()) == (200, b"")


async def test_several_projects_are_served_under_their_names_and_others_are_not(
    http: aiohttp.ClientSession, sandbox: SandboxGordo
) -> None:
    listed = [await get(http, sandbox, f"{name}/models") for name in ("plant-a", "plant-b")]

    assert [status for status, _ in listed] == [200, 200]
    assert sorted(listed[0][1]["models"]) == ["compressor-002", "pump-001", "separator-003"]
    async with http.get(f"{sandbox.url}/gordo/v0/plant-c/models") as response:
        assert response.status == 404


async def test_every_call_and_every_window_is_on_record(http: aiohttp.ClientSession, sandbox: SandboxGordo) -> None:
    await get(http, sandbox, "plant-b/models")
    await predict(http, sandbox)
    await predict(http, sandbox, project="plant-b")

    controls = sandbox.controls
    assert controls.count(Scope(kinds={CallKind.MODELS})) == 1
    assert controls.count(Scope(project="plant-b")) == 2
    assert controls.count(Scope(model="pump-001", kinds={CallKind.ANOMALY})) == 2
    assert controls.count() == 3
    [first, second] = controls.executed
    assert (first.project, first.model, first.rows) == ("plant-a", "pump-001", 4)
    assert (first.first, first.last) == (START, START + 3 * TEN)
    assert second.project == "plant-b"


async def test_nothing_is_trained_before_it_is_needed_and_no_more_is_kept_than_allowed(
    http: aiohttp.ClientSession,
) -> None:
    plant = Plant()
    async with open_sandbox_gordo(demo_project(plant, "plant-a", 5, tags_per_model=4), plant, models_kept=2) as sandbox:
        await get(http, sandbox, "plant-a/models")
        assert len(sandbox._fitted) == 0

        for model in ("pump-001", "cooler-005", "turbine-004"):
            await predict(http, sandbox, model)

        assert [model.name for model, _ in sandbox._fitted] == ["cooler-005", "turbine-004"]


async def test_a_held_call_is_counted_and_answered_when_it_is_released(
    http: aiohttp.ClientSession, sandbox: SandboxGordo
) -> None:
    held = sandbox.controls.hold(nth=2)

    first = await predict(http, sandbox)
    second = asyncio.create_task(predict(http, sandbox))
    await held.reached()

    assert first[0] == 200
    assert not second.done()
    assert sandbox.controls.in_flight == 1
    held.lift()
    assert (await second)[0] == 200
    assert (await predict(http, sandbox))[0] == 200
    assert sandbox.controls.most_in_flight == 1


async def test_waiting_for_calls_ends_with_the_last_of_them(http: aiohttp.ClientSession, sandbox: SandboxGordo) -> None:
    waiting = asyncio.create_task(sandbox.controls.called(2))

    await predict(http, sandbox)
    assert not waiting.done()
    await predict(http, sandbox)

    await asyncio.wait_for(waiting, 5)


async def test_an_unavailable_project_answers_503_and_does_not_affect_the_other(
    http: aiohttp.ClientSession, sandbox: SandboxGordo
) -> None:
    with sandbox.controls.unavailable(Scope(project="plant-a"), retry_after=timedelta(seconds=7)):
        async with http.get(f"{sandbox.url}/gordo/v0/plant-a/models") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "7")
        assert (await predict(http, sandbox, project="plant-b"))[0] == 200

    assert (await get(http, sandbox, "plant-a/models"))[0] == 200


async def test_trouble_ends_by_itself_after_so_many_times(http: aiohttp.ClientSession, sandbox: SandboxGordo) -> None:
    trouble = sandbox.controls.server_error(Scope(model="pump-001"), times=2)

    statuses = [(await predict(http, sandbox))[0] for _ in range(3)]

    assert statuses == [500, 500, 200]
    assert trouble.met == 2


async def test_garbage_is_200_and_not_gordos(http: aiohttp.ClientSession, sandbox: SandboxGordo) -> None:
    sandbox.controls.garbage(Scope(kinds={CallKind.ANOMALY}))

    status, body = await predict(http, sandbox, format="parquet")

    assert status == 200
    assert not body.startswith(b"PAR1")


async def test_an_empty_model_list_is_200_while_the_models_go_on(
    http: aiohttp.ClientSession, sandbox: SandboxGordo
) -> None:
    sandbox.controls.empty_model_list("plant-a")

    status, listed = await get(http, sandbox, "plant-a/models")

    assert (status, listed["models"]) == (200, [])
    assert listed["revision"] == sandbox.projects["plant-a"].latest
    assert len((await get(http, sandbox, "plant-b/models"))[1]["models"]) == 3
    assert (await predict(http, sandbox))[0] == 200


@pytest.mark.parametrize("after_bytes", [None, 100])
async def test_a_connection_may_be_closed_before_or_within_an_answer(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, after_bytes: int | None
) -> None:
    sandbox.controls.close(after_bytes=after_bytes, times=1)

    with pytest.raises(aiohttp.ClientConnectionError if after_bytes is None else aiohttp.ClientPayloadError):
        await predict(http, sandbox, format="parquet")

    assert (await predict(http, sandbox, format="parquet"))[0] == 200


async def test_a_call_that_hangs_runs_to_its_end_although_its_caller_has_left(
    http: aiohttp.ClientSession, sandbox: SandboxGordo
) -> None:
    hang = sandbox.controls.hang()
    call = asyncio.create_task(predict(http, sandbox))
    await hang.reached()

    call.cancel()
    await asyncio.wait([call])
    assert sandbox.controls.in_flight == 1
    hang.lift()

    await eventually(lambda: sandbox.controls.in_flight == 0)
    assert len(sandbox.controls.executed) == 1


async def test_no_more_predictions_are_worked_on_than_there_are_workers(http: aiohttp.ClientSession) -> None:
    plant = Plant()
    async with open_sandbox_gordo(
        demo_project(plant, "plant-a", 1, tags_per_model=4), plant, workers=2, service_seconds=0.05
    ) as sandbox:
        hang = sandbox.controls.hang()
        calls = [asyncio.create_task(predict(http, sandbox)) for _ in range(6)]
        await eventually(lambda: sandbox.controls.in_flight == 6, what="all have come")

        began = asyncio.get_running_loop().time()
        hang.lift()
        answers = await asyncio.gather(*calls)

        assert {status for status, _ in answers} == {200}
        assert asyncio.get_running_loop().time() - began >= 3 * 0.05  # three turns of two
        assert sandbox.controls.most_in_flight == 6


async def test_a_new_revision_is_the_latest_and_the_old_one_is_still_served_until_it_is_gone(
    http: aiohttp.ClientSession, sandbox: SandboxGordo
) -> None:
    project = sandbox.projects["plant-a"]
    old = project.latest

    before = await predict(http, sandbox, format="parquet")
    project.publish("1764633600000")
    _, revisions = await get(http, sandbox, "plant-a/revisions")
    new, pinned = [await predict(http, sandbox, format="parquet", **q) for q in ({}, {"revision": old})]
    project.forget(old)
    gone = await predict(http, sandbox, revision=old)

    assert revisions["latest"] == "1764633600000"
    assert revisions["available-revisions"] == ["1764633600000", old]
    assert pinned == before
    assert new != before
    assert gone[0] == 410


async def test_a_removed_model_is_listed_no_more_and_404(http: aiohttp.ClientSession, sandbox: SandboxGordo) -> None:
    sandbox.projects["plant-a"].remove("separator-003")

    _, listed = await get(http, sandbox, "plant-a/models")
    async with http.post(f"{sandbox.url}/gordo/v0/plant-a/separator-003/prediction", json={}) as response:
        text = await response.text()

    assert "separator-003" not in listed["models"]
    assert response.status == 404
    assert "No such model found" in text


async def test_a_sandbox_server_with_calls_in_flight_ends_all_the_same() -> None:
    async with aiohttp.ClientSession() as http:
        async with open_sandbox_gordo(demo_project(Plant(), "plant-a", 1)) as sandbox:
            hang = sandbox.controls.hang()
            call = asyncio.create_task(predict(http, sandbox))
            await hang.reached()

        assert (await call)[0] == 200


class Remote:
    """The controls over HTTP."""

    def __init__(self, http: aiohttp.ClientSession, sandbox: SandboxGordo) -> None:
        self._http, self._url = http, f"{sandbox.url}/sandbox"

    async def __call__(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        data = json.dumps(content) if content else None
        async with self._http.request(method, f"{self._url}/{path}", data=data) as response:
            return {"status": response.status, **await response.json()}


async def test_everything_can_be_controlled_from_another_process(
    http: aiohttp.ClientSession, sandbox: SandboxGordo
) -> None:
    remote = Remote(http, sandbox)
    hold = await remote("POST", "troubles", kind="hang", paths=["anomaly/prediction"], times=1, project="plant-a")
    call = asyncio.create_task(predict(http, sandbox))

    met = await remote("GET", f"troubles/{hold['id']}?wait=5")
    under_way = await remote("GET", "calls")
    await remote("DELETE", f"troubles/{hold['id']}")

    assert (met["met"], met["lifted"]) == (1, False)
    assert under_way["in_flight"] == 1
    assert under_way["calls"] == [{"kind": "anomaly/prediction", "project": "plant-a", "model": "pump-001", "count": 1}]
    assert (await call)[0] == 200
    executed = (await remote("GET", "executed"))["executed"]
    assert [(run["model"], run["first"]) for run in executed] == [("pump-001", "2025-10-20T00:00:00+00:00")]


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        ({"kind": "unavailable", "retry_after": 3}, 503),
        ({"kind": "garbage"}, 200),
        ({"kind": "server_error"}, 500),
        ({"kind": "status", "status": 429}, 429),
        ({"kind": "delay", "seconds": 0.001}, 200),
    ],
)
async def test_trouble_can_be_made_from_another_process(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, trouble: dict[str, Any], status: int
) -> None:
    made = await Remote(http, sandbox)("POST", "troubles", **trouble)

    answered, _ = await predict(http, sandbox)

    assert made["status"] == 200
    assert answered == status


async def test_revisions_and_models_can_be_changed_from_another_process(
    http: aiohttp.ClientSession, sandbox: SandboxGordo
) -> None:
    remote = Remote(http, sandbox)

    await remote("POST", "revisions", project="plant-a", revision="1764633600000")
    await remote("DELETE", "models/plant-a/pump-001")
    await remote("POST", "troubles", kind="empty_models", project="plant-b")

    _, listed = await get(http, sandbox, "plant-a/models")
    assert (sorted(listed["models"]), listed["revision"]) == (["compressor-002", "separator-003"], "1764633600000")
    assert (await get(http, sandbox, "plant-b/models"))[1]["models"] == []


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", "troubles", {"kind": "no-such-kind"}),
        ("POST", "troubles", {"kind": "hang", "paths": ["no-such-path"]}),
        ("GET", "troubles/77", {}),
        ("GET", "nothing", {}),
        ("POST", "revisions", {"project": "plant-a", "revision": "not-digits"}),
    ],
)
async def test_a_control_that_makes_no_sense_is_refused_with_the_reason(
    http: aiohttp.ClientSession, sandbox: SandboxGordo, method: str, path: str, content: dict[str, Any]
) -> None:
    answer = await Remote(http, sandbox)(method, path, **content)

    assert answer["status"] == 400
    assert answer["error"]
