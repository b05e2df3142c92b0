"""The Metadata API, on the emulator: it names the projects, and takes one description of each model and revision."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from benchmarks.gordo_stub import StubPredictions
from latigo.actions.accept_loss import accept_discovery_loss
from latigo.domain.errors import Failed, TimedOut, Unavailable
from latigo.domain.health import State
from latigo.domain.model import DiscoveredProject
from latigo.domain.series import Series
from latigo.providers.metadata_api import MetadataApi, open_metadata_api
from latigo.providers.simulated import Plant
from latigo.reports.status import Status, read_status
from latigo.runtime.clock import SystemClock
from latigo.sandbox.gordo import SandboxGordo, open_sandbox_gordo
from latigo.sandbox.gordo.definition import REVISION, demo_project
from latigo.sandbox.timeseries import FaultKind, SandboxTimeseries, open_sandbox_timeseries
from latigo.scheduler import prediction_metadata
from latigo.settings import MetadataApiSettings, Settings
from latigo.wiring.checking import SystemCheck, check_systems
from latigo.wiring.resources import Resources
from tests.support.build import NOW
from tests.support.running_latigo import ShiftedClock, all_done, all_known, running_latigo
from tests.support.sensor_sources import fill_timeseries
from tests.support.waiting import eventually

KEY = {"Ocp-Apim-Subscription-Key": "a-key"}
BIG, SMALL = "ioc-1000", "ioc-1099"
COUNTS = {BIG: 6, SMALL: 2}


# --- the client ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[SandboxTimeseries]:
    async with open_sandbox_timeseries(projects=[BIG, SMALL]) as running:
        running.controls.required_metadata_headers = dict(KEY)
        yield running


@asynccontextmanager
async def client(server: SandboxTimeseries, **options: Any) -> AsyncIterator[MetadataApi]:
    section = {"url": server.metadata_url, "token": SecretStr("a-token"), "headers": KEY, **options}
    async with open_metadata_api(MetadataApiSettings(**section), SystemClock()) as api:
        yield api


def a_document(server: SandboxTimeseries) -> dict[str, Any]:
    """A description that the service takes."""
    series = [server.store.create({"name": name, "facility": "1903"}) for name in ("1903.R1", "1903.R1|pump|output")]
    read, written = ({"name": each.name, "time_series_id": each.id} for each in series)
    names = {"project_name": BIG, "model_name": "pump", "revision": REVISION}
    return {**names, "input_tags": [read], "output_tags": [{**written, "type": "derived"}]}


async def test_the_projects_are_read_and_descriptions_posted_with_every_header(server: SandboxTimeseries) -> None:
    document = a_document(server)
    async with client(server) as api:
        projects, answer = await api.get_projects(), await api.ping()
        await api.post_model(document)

    assert list(projects) == [DiscoveredProject(BIG), DiscoveredProject(SMALL)]
    assert answer == "names 2 projects"
    assert server.models == [document]
    posted = server.controls.requests[-1]
    assert (posted.headers["Authorization"], posted.headers["Content-Type"]) == ("Bearer a-token", "application/json")


FAULTS: dict[str, tuple[dict[str, Any], bool]] = {
    "backend": ({"kind": FaultKind.EMPTY, "status": 502}, False),
    "rate limit": ({"kind": FaultKind.GATEWAY, "status": 429, "retry_after": 7}, False),
    "token": ({"kind": FaultKind.STATUS, "status": 401}, True),
    "rights": ({"kind": FaultKind.STATUS, "status": 403}, True),
    "redirect": ({"kind": FaultKind.STATUS, "status": 302}, True),
    "hang up": ({"kind": FaultKind.HANG_UP}, False),
    "cut short": ({"kind": FaultKind.TRUNCATE}, False),
}


@pytest.mark.parametrize(("fault", "alarm"), FAULTS.values(), ids=FAULTS)
async def test_what_fails_is_unavailable_and_not_tried_again(
    server: SandboxTimeseries, fault: dict[str, Any], alarm: bool
) -> None:
    document = a_document(server)
    server.controls.fault(**fault, times=9)
    async with client(server) as api:
        for call in (api.get_projects, lambda: api.post_model(document)):
            with pytest.raises(Unavailable) as raised:
                await call()
            assert (raised.value.downstream, raised.value.alarm) == ("metadata_api", alarm)

    assert server.controls.count("/models") == 1
    if "retry_after" in fault:
        assert raised.value.retry_after == timedelta(seconds=7)


async def test_a_call_ends_with_its_time_limit(server: SandboxTimeseries) -> None:
    server.controls.fault(FaultKind.DELAY, seconds=30)
    async with client(server, timeout=timedelta(milliseconds=50)) as api:
        with pytest.raises(TimedOut, match=r"GET /projects: no answer within 0\.05 s"):
            await api.get_projects()


async def test_a_description_that_is_refused_has_failed_and_another_address_is_an_alarm(
    server: SandboxTimeseries,
) -> None:
    async with client(server) as api, client(server, url=f"{server.metadata_url}/other") as elsewhere:
        with pytest.raises(Failed, match=r"status 400.*input_tags"):
            await api.post_model({"project_name": BIG})
        with pytest.raises(Unavailable, match="status 404") as raised:
            await elsewhere.get_projects()

    assert raised.value.alarm


@pytest.mark.parametrize("projects", [None, "ioc-1000", [1, 2], {"ioc-1000": {}}])
async def test_something_else_than_a_list_of_projects_is_no_empty_list(
    server: SandboxTimeseries, projects: Any
) -> None:
    server.projects = projects
    async with client(server) as api:
        with pytest.raises(Unavailable, match="no list of projects"):
            await api.get_projects()


# --- all of Latigo ---------------------------------------------------------------------------------------------------


@dataclass
class World:
    """Latigo on emulators of the Metadata API, the Timeseries API and Gordo."""

    settings: Settings
    clock: ShiftedClock
    gordo: SandboxGordo
    server: SandboxTimeseries
    models: dict[str, list[str]] = field(default_factory=dict)  #: names by project

    def described(self) -> list[tuple[str, str, str]]:
        """Return what was taken, sorted."""
        keys = ("project_name", "model_name", "revision")
        return sorted(tuple(posted[key] for key in keys) for posted in self.server.models)

    def all_of(self, *revisions: str) -> list[tuple[str, str, str]]:
        """Return every model in these revisions, sorted."""
        pairs = ((project, model) for project, models in self.models.items() for model in models)
        return sorted((*pair, revision) for pair in pairs for revision in revisions)

    async def until_described(self, expected: Sequence[tuple[str, str, str]]) -> None:
        await eventually(lambda: len(self.described()) >= len(expected), what="all are described")


@pytest.fixture
async def world(ledger_url: str, server: SandboxTimeseries, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for name in ("POLL", "FIRST_WAIT", "LONGEST_OUTAGE", "FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(prediction_metadata, name, timedelta(milliseconds=20))
    minutes, plant = timedelta(minutes=10), Plant()
    projects = [demo_project(plant, name, count, minutes, 2, special=False) for name, count in COUNTS.items()]
    tags = {tag for project in projects for model in project.models for tag in model.tags}
    fill_timeseries(server, {tag: Series.empty() for tag in sorted(tags)})
    clock = ShiftedClock(NOW)
    await clock.share(ledger_url)
    async with open_sandbox_gordo(projects, canned=StubPredictions()) as gordo:
        login = {"token": "a-token", "headers": KEY}
        sink = {"kind": "timeseries_api", "url": server.url, "token": "a-token", "facility": "1903"}
        settings = Settings.model_validate(
            {
                "backfill": {"horizon": "1h"},
                "ledger": {"kind": "postgres", "url": ledger_url},
                "models": {"url": gordo.url, "discover": {"kind": "metadata_api"}, "refresh": "200ms"},
                "metadata_api": {"url": server.metadata_url, **login},
                "sensors": {"kind": "simulated"},
                "predictions": [{**sink, "project_in_name": True, "metadata": True}],
                "http": {"enabled": False},
            }
        )
        models = {project.project: [model.name for model in project.models] for project in projects}
        yield World(settings, clock, gordo, server, models)


async def state_of(latigo: Resources) -> Status:
    return await read_status(latigo.database, "test")


async def test_each_model_and_revision_is_described_once_under_502s_and_restarts(world: World) -> None:
    outage = world.server.controls.fault(FaultKind.EMPTY, "/models", status=502, times=10**6)
    async with running_latigo(world.settings, world.clock) as latigo:
        await all_known(latigo, world.models[BIG], REVISION)
        await all_done(latigo)  # predictions do not wait
        await eventually(lambda: outage.met >= 3, what="it is tried again")
        status = await state_of(latigo)
    assert world.described() == []
    (cause,) = [each for each in status.causes if each.kind == "metadata_not_posted"]
    assert "Metadata API, POST /models: status 502" in cause.text
    assert cause.state is State.RECOVERING

    world.server.controls.faults.clear()
    world.server.controls.fault(FaultKind.EMPTY, "/models", status=502, times=4, skip=2)
    async with running_latigo(world.settings, world.clock):
        await world.until_described(world.all_of(REVISION))
    later = str(int(REVISION) + 1000)
    for project in world.gordo.projects.values():
        project.publish(later)
    await world.clock.set(NOW + timedelta(hours=2), world.settings.ledger.url.get_secret_value())  # type: ignore[union-attr]
    async with running_latigo(world.settings, world.clock) as latigo:
        await all_known(latigo, world.models[BIG], later)
        await world.until_described(world.all_of(REVISION, later))
        await all_done(latigo)
        status = await state_of(latigo)

    assert world.described() == world.all_of(REVISION, later)
    assert [cause for cause in status.causes if cause.kind == "metadata_not_posted"] == []


async def test_a_description_whose_answer_is_lost_comes_again_as_it_was(world: World) -> None:
    count = len(world.all_of(REVISION))
    lost = world.server.controls.fault(FaultKind.TRUNCATE, "/models", times=count)
    async with running_latigo(world.settings, world.clock):
        await eventually(lambda: len(set(world.described())) == count, what="all are described")
        await eventually(lambda: len(world.described()) == 2 * count, what="each of them twice")

    assert lost.met == count
    documents = {orjson.dumps(document, option=orjson.OPT_SORT_KEYS) for document in world.server.models}
    assert len(documents) == count  # a service that keeps one a model and revision has the same as after one


async def test_a_description_has_the_ids_of_every_series_and_the_times_of_training(world: World) -> None:
    async with running_latigo(world.settings, world.clock):
        await world.until_described(world.all_of(REVISION))

    model = world.gordo.projects[SMALL].revisions[REVISION][world.models[SMALL][0]]
    (posted,) = [
        each for each in world.server.models if (each["project_name"], each["model_name"]) == (SMALL, model.name)
    ]
    series = {stored.name: stored for stored in world.server.store}
    assert [tag["name"] for tag in posted["input_tags"]] == list(model.tags)
    written = {name for name, stored in series.items() if f"|{SMALL}.{model.name}|" in name and stored.points}
    assert written <= {tag["name"] for tag in posted["output_tags"]}
    assert all(series[tag["name"]].id == tag["time_series_id"] for tag in posted["input_tags"] + posted["output_tags"])
    by_type = {tag["type"]: tag for tag in posted["output_tags"]}
    assert by_type["derived"]["derived_from"] in model.tags
    assert by_type["aggregated"]["derived_from"] == ""
    assert by_type["aggregated"]["name"].startswith("1903.INDICATOR|")
    assert posted["training_time_from"] < posted["training_time_to"] == "2025-12-01T00:00:00+00:00"
    assert (posted["status"], posted["labels"]) == ("not_defined", None)


async def states_of(latigo: Resources) -> dict[str, set[str]]:
    async with latigo.database.connection() as connection:
        rows = await connection.fetch("SELECT project, name, state FROM model")
    return {project: {row["state"] for row in rows if row["project"] == project} for project in COUNTS}


async def cause_of(latigo: Resources, kind: str) -> str:
    return next((cause.text for cause in (await state_of(latigo)).causes if cause.kind == kind), "")


async def test_what_the_metadata_api_names_is_predicted_and_an_outage_retires_nothing(world: World) -> None:
    async with running_latigo(world.settings, world.clock) as latigo:
        await all_known(latigo, world.models[BIG], REVISION)
        await all_done(latigo)
        before = await states_of(latigo)
        world.server.controls.fault(FaultKind.EMPTY, "/projects", status=503, times=10**6)
        await eventually(lambda: cause_of(latigo, "discovery_failing"), what="the status has it")
        during = await states_of(latigo)
    later = str(int(REVISION) + 1000)
    world.gordo.projects[BIG].publish(later)
    async with running_latigo(world.settings, world.clock) as latigo:  # the last list holds after a restart
        await all_known(latigo, world.models[BIG], later)
        text, after = await cause_of(latigo, "discovery_failing"), await states_of(latigo)
        world.server.controls.faults.clear()
        await eventually(lambda: _none(latigo, "discovery_failing"), what="it has passed")

    assert before == during == after == {BIG: {"active"}, SMALL: {"active"}}
    assert f"metadata_api {world.server.metadata_url}" in text
    assert "GET /projects: status 503" in text


async def _none(latigo: Resources, kind: str) -> bool:
    return not await cause_of(latigo, kind)


async def test_a_list_that_lacks_much_is_quarantined_for_an_hour(world: World) -> None:
    async with running_latigo(world.settings, world.clock) as latigo:
        await all_known(latigo, world.models[BIG], REVISION)
        await all_known(latigo, world.models[SMALL], REVISION)
        world.server.projects = []
        await eventually(lambda: cause_of(latigo, "discovery_quarantined"), what="the status has it")
        quarantined = await states_of(latigo)
        world.server.projects = [BIG, SMALL]
        await eventually(lambda: _none(latigo, "discovery_quarantined"), what="it has passed")
        accepted_without = await accept_discovery_loss(latigo.database, "ann@desk")
        world.server.projects = [BIG]
        await eventually(lambda: cause_of(latigo, "discovery_quarantined"), what="two of eight are too many as well")
        url = world.settings.ledger.url.get_secret_value()  # type: ignore[union-attr]
        await world.clock.set(NOW + timedelta(hours=1, minutes=1), url)
        await eventually(lambda: _none(latigo, "discovery_quarantined"), what="it has stood for an hour")
        accepted = await states_of(latigo)

    assert quarantined == {BIG: {"active"}, SMALL: {"active"}}
    assert not accepted_without
    assert accepted == {BIG: {"active"}, SMALL: {"unregistered"}}


async def test_a_quarantined_list_of_projects_can_be_accepted(world: World) -> None:
    async with running_latigo(world.settings, world.clock) as latigo:
        await all_known(latigo, world.models[BIG], REVISION)
        await all_known(latigo, world.models[SMALL], REVISION)
        world.server.projects = [BIG]
        await eventually(lambda: cause_of(latigo, "discovery_quarantined"), what="the status has it")
        assert await accept_discovery_loss(latigo.database, "ann@desk")
        await eventually(lambda: _none(latigo, "discovery_quarantined"), what="it is accepted")
        states = await states_of(latigo)
        async with latigo.database.connection() as connection:
            requests = await connection.fetch("SELECT kind, who, selector FROM request")

    assert states == {BIG: {"active"}, SMALL: {"unregistered"}}
    assert [tuple(row) for row in requests] == [("accept_loss", "ann@desk", {"discovery": True})]


async def test_check_reaches_what_names_the_projects_and_those_projects(world: World) -> None:
    works = {check.system: check for check in await check_systems(world.settings)}
    world.server.controls.fault(FaultKind.STATUS, "/projects", status=403, times=9)
    fails = {check.system: check for check in await check_systems(world.settings)}

    assert works["discovery"].answer == "metadata_api, names 2 projects"
    assert works["metadata_api"].answer == "names 2 projects"
    assert f"{COUNTS[BIG]} models" in works[f"gordo/{BIG}"].answer
    assert [name for name, check in works.items() if check.error] == []
    assert _failed(fails) == ["discovery", "models", "metadata_api"]
    assert "status 403" in fails["discovery"].answer


def _failed(checks: dict[str, SystemCheck]) -> list[str]:
    return [name for name, check in checks.items() if check.error]
