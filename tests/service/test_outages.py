"""Outages of what Latigo needs: nothing is lost, nothing runs hot, and all recovers without a restart."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from benchmarks.gordo_stub import StubPredictions
from latigo.postgres.embedded import EmbeddedServer
from latigo.sandbox.gordo import CallKind, Controls, Scope, Trouble, open_sandbox_gordo
from latigo.sandbox.gordo.controls import PREDICTING, PREDICTIONS, Hang
from tests.support.outside import Outside, looking_at
from tests.support.ports import free_port
from tests.support.postgres import FAST as FAST_POSTGRES
from tests.support.process import PROJECT, Service, a_project, latigo, newest_due, serving, write_config
from tests.support.sandbox import Sandbox, open_sandbox

GORDO = f"gordo/{PROJECT}"
MODELS = 6  #: 12 windows: an outage comes in the middle of work
MOST_AT_ONCE = 40  #: calls of what was out when it began


@pytest.fixture
async def sandbox(ledger_url: str, tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with open_sandbox(ledger_url, tmp_path, models=MODELS) as opened:
        yield opened


async def circuit_opens(ledger: Outside, service: Service) -> dict[str, Any]:
    """Wait until the circuit of Gordo is open and a probe has failed; return the status."""
    await service.logged("circuit.opened")
    await service.until(lambda: len(service.events("probe.planned")) > 1, what="a probe has failed")
    return await ledger.status()


async def goes_on(sandbox: Sandbox, service: Service) -> None:
    """All is covered without a restart or an operator, nothing is parked, and the process exits with 0."""
    until = await sandbox.whole(service)
    await service.until(lambda: _is_quiet(sandbox.ledger), what="no alarms")
    assert await service.stop() == 0
    assert await sandbox.ledger.parked() == []
    await sandbox.ledger.assert_adds_up(sandbox.models, until)


async def _is_quiet(ledger: Outside) -> bool:
    return not (await ledger.status())["alarms"]


async def _warns(ledger: Outside, of: str) -> bool:
    return any(of in alarm for alarm in (await ledger.status())["alarms"])


def most_calls(began: float) -> float:
    """How many calls an outage that began then may have seen: what was out, then a probe a second at most."""
    return MOST_AT_ONCE + now() - began


def now() -> float:
    return asyncio.get_running_loop().time()


def deferred(service: Service) -> int:
    return sum(event["outcome"] == "deferred" for event in service.events("task.finished"))


async def test_a_gordo_that_is_gone_is_one_line_in_status_for_all_of_its_projects(ledger_url: str, tmp_path: Path):
    names = [f"plant-{number:02}" for number in range(8)]
    projects = [replace(a_project(1), project=name) for name in names]
    async with looking_at(ledger_url) as ledger, AsyncExitStack() as opened:

        async def all_are_listed() -> bool:
            status = await ledger.status()
            return [project["project"] for project in status["projects"] if project["active"]] == names

        async def all_are_out() -> bool:
            outages = [cause for cause in (await ledger.status())["causes"] if cause["kind"] == "unavailable"]
            return any(sorted(cause["projects"]) == names for cause in outages)

        async def metrics() -> str:
            url = (await service.logged("http.started"))["url"]
            async with aiohttp.ClientSession() as session, session.get(f"{url}metrics") as answer:
                return await answer.text()

        async def state_is_known() -> bool:
            return re.search(r'^latigo_service_state\{state="\w+"\} 1', await metrics(), re.MULTILINE) is not None

        async with open_sandbox_gordo(projects, canned=StubPredictions()) as gordo:
            models = {"url": gordo.url, "projects": names, "refresh": "1s"}
            config = write_config(tmp_path, ledger={"kind": "postgres", "url": ledger_url}, models=models)
            service = await opened.enter_async_context(serving(config))
            await service.until(all_are_listed, what="all are listed")
            await service.until(state_is_known, what="the gauge of the state is set")
            assert "process_resident_memory_bytes" in await metrics()
        await service.until(all_are_out, what="circuits are open, and no list can be read")
        code, text, _ = await latigo("status", "--config", str(config), folder=tmp_path)

    causes = [line for line in text.splitlines() if line.startswith(("  ! ", "  ~ "))]
    about_gordo = [line for line in causes if "gordo" in line or "listed" in line]
    assert code == 3
    assert len(about_gordo) == 1, text
    assert about_gordo[0].startswith("  ~ gordo is unavailable for 8 projects (")


async def test_gordo_is_not_there_at_start_and_later_refuses_connections(ledger_url: str, tmp_path: Path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config = write_config(tmp_path, ledger={"kind": "postgres", "url": ledger_url}, models={"url": url})
    async with looking_at(ledger_url) as ledger, serving(config) as service:
        await service.until(lambda: _warns(ledger, "its models cannot be listed"), what="an alarm says so")
        async with open_sandbox_gordo(a_project(MODELS), canned=StubPredictions(), port=port) as gordo:
            await service.meets(gordo.controls.trouble(Hang(), PREDICTING, skip=4))
            began = now()
        during = await circuit_opens(ledger, service)
        parked, attempts = await ledger.parked(), await ledger.value("SELECT max(attempts) FROM v_tasks")
        in_vain, most = deferred(service), most_calls(began)
        async with open_sandbox_gordo(a_project(MODELS), canned=StubPredictions(), port=port) as gordo:
            await goes_on(Sandbox(gordo, ledger, tmp_path, models=MODELS), service)

    assert [circuit["downstream"] for circuit in during["circuits"]] == [GORDO]
    assert any(alarm.startswith(f"{GORDO} is unavailable") for alarm in during["alarms"])
    assert not during["healthy"]
    assert (parked, attempts) == ([], 0)
    assert 3 <= in_vain <= most


@pytest.mark.parametrize(
    ("begin", "says", "patience"),
    [
        (lambda controls: controls.unavailable(PREDICTING, retry_after=timedelta(seconds=1)), "503", "30s"),
        (lambda controls: controls.hang(), "no answer within 3 s", "3s"),
        (lambda controls: controls.garbage(PREDICTING), "not Gordo's answer", "30s"),
    ],
    ids=["answers 503", "hangs", "answers garbage"],
)
async def test_gordo_does_not_predict_for_a_while(
    sandbox: Sandbox, begin: Callable[[Controls], Trouble], says: str, patience: str
):
    config = sandbox.config(models={"predict_timeout": patience})
    controls = sandbox.gordo.controls
    held = controls.trouble(Hang(), PREDICTING, skip=4)
    async with serving(config) as service:
        await service.meets(held)
        before, began = controls.count(PREDICTING), now()
        with begin(controls) as trouble:
            held.lift()
            status = await circuit_opens(sandbox.ledger, service)
            parked = await sandbox.ledger.parked()
            calls, in_vain, most = controls.count(PREDICTING) - before, deferred(service), most_calls(began)
        await goes_on(sandbox, service)

    (circuit,) = status["circuits"]
    assert circuit["downstream"] == GORDO
    assert says in circuit["reason"]
    assert status["limited_by"] == f"waiting for {GORDO}"
    assert parked == []
    assert 0 < trouble.met <= calls <= most
    assert in_vain <= most


async def test_a_model_list_that_is_suddenly_empty_is_quarantined_and_every_model_goes_on(
    ledger_url: str, tmp_path: Path
):
    async with open_sandbox(ledger_url, tmp_path, models=5) as sandbox:
        controls = sandbox.gordo.controls
        held, began = controls.trouble(Hang(), PREDICTING, skip=4), now()
        async with serving(sandbox.config(models={"refresh": "1s"})) as service:
            await service.meets(held)
            with controls.empty_model_list():
                await service.logged("models.list_quarantined")
                code, reported, _ = await latigo("status", "--config", str(service.config), folder=tmp_path)
                held.lift()
                until = await sandbox.whole(service)
                states = {row["state"] for row in await sandbox.ledger.fetch("SELECT state FROM v_models")}
                requested, most = controls.count(Scope(kinds={CallKind.MODELS})), most_calls(began)
            await goes_on(sandbox, service)

    assert code == 3
    assert "lost too many models at once" in reported
    assert states == {"active"}
    assert until
    assert requested < most  # a list a second


async def test_a_model_that_always_fails_is_parked_after_its_attempts_and_the_others_do_not_notice(sandbox: Sandbox):
    sick = Scope(model="pump-001", kinds=PREDICTIONS)
    config = sandbox.config(
        schedule={"max_window": "6m"},
        executor={"max_attempts": 3, "backoff_first": "300ms", "backoff_longest": "600ms"},
    )
    async with serving(config) as service:
        with sandbox.gordo.controls.server_error(sick):
            began = now()
            await service.until(sandbox.ledger.parked, what="it is parked")
            until = await sandbox.whole(service)
            (parked,) = await sandbox.ledger.parked()
            calls, most = sandbox.gordo.controls.count(sick), most_calls(began)
            circuits = (await sandbox.ledger.status())["circuits"]
            failures = await sandbox.ledger.status()
        code, _, said = await latigo(
            *("retry", "--config", str(config), "--project", PROJECT, "--model", "pump-001"), folder=sandbox.folder
        )
        await goes_on(sandbox, service)

    tries = [event for event in service.events("task.finished") if event["outcome"] == "retry"]
    assert {event["model"] for event in tries} == {f"{PROJECT}/pump-001"}
    assert [event["attempt"] for event in tries if event["task"] == tries[0]["task"]] == [1, 2, 3]
    assert (parked["model"], parked["reason"]) == ("pump-001", "attempts")
    assert parked["detail"].startswith("3 attempts")
    assert circuits == []
    assert [each["reason"] for each in failures["failures"]] == ["attempts"]
    assert calls <= most
    assert (code, said) == (0, "")
    assert until


async def test_a_model_that_hangs_holds_one_call_and_the_others_do_not_notice(sandbox: Sandbox):
    sick = Scope(model="pump-001", kinds=PREDICTIONS)
    config = sandbox.config(models={"predict_timeout": "10m"}, executor={"lease": "1m"})  # it is not begun again
    async with serving(config) as service:
        with sandbox.gordo.controls.hang(sick):
            until = newest_due()
            await service.until(lambda: _only_misses(sandbox.ledger, "pump-001", until), what="the others are covered")
            calls = sandbox.gordo.controls.count(sick)
        await goes_on(sandbox, service)

    assert calls == 1


async def _only_misses(ledger: Outside, model: str, until: datetime) -> bool:
    missing = await ledger.missing(until)
    return len(missing) == MODELS and {name for name, slots in missing.items() if slots} == {model}


async def probe(url: str) -> tuple[int, dict[str, Any]]:
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as response:
        return response.status, await response.json()


async def is_ready(url: str) -> bool:
    return (await probe(f"{url}/readyz"))[0] == 200


async def is_unready(url: str) -> bool:
    return not await is_ready(url)


async def test_postgresql_refuses_everybody_for_a_while(sandbox: Sandbox):
    held = sandbox.gordo.controls.trouble(Hang(), PREDICTING, skip=4)
    async with serving(sandbox.config()) as service:
        url = await service.url()
        await service.meets(held)
        began = now()
        async with sandbox.without_ledger():
            await service.until(lambda: is_unready(url), what="it is not ready")
            held.lift()
            await service.logged("settlement.delayed")
            ready, live = await probe(f"{url}/readyz"), await probe(f"{url}/livez")
        await service.until(lambda: is_ready(url), what="it is ready again")
        most_events = 300 + 5 * (now() - began)
        await goes_on(sandbox, service)

    assert ready[0] == 503
    assert ready[1]["reasons"][0].startswith("ledger: ")
    assert live == (200, {"live": True})
    assert await sandbox.ledger.value("SELECT max(attempts) FROM v_tasks") == 0
    assert len(service.events()) < most_events


async def test_postgresql_is_not_there_at_start_and_stops_in_the_middle(tmp_path: Path, server_folder: Path):
    server = EmbeddedServer(server_folder, FAST_POSTGRES)
    server.open()
    ledger_url = server.url
    server.close()
    try:
        async with open_sandbox(ledger_url, tmp_path, models=MODELS) as sandbox, serving(sandbox.config()) as service:
            held = sandbox.gordo.controls.trouble(Hang(), PREDICTING, skip=4)
            url = await service.url()
            await service.logged("start.delayed")
            at_start = await probe(f"{url}/livez"), await probe(f"{url}/readyz"), await probe(f"{url}/api/v1/status")
            server.open()
            await service.meets(held)

            server.close()
            await service.until(lambda: is_unready(url), what="it is not ready")
            held.lift()
            await service.logged("settlement.delayed")
            live = await probe(f"{url}/livez")
            server.open()

            await goes_on(sandbox, service)
            attempts = await sandbox.ledger.value("SELECT max(attempts) FROM v_tasks")
    finally:
        server.close()

    assert [status for status, _ in at_start] == [200, 503, 503]
    assert at_start[1][1]["reasons"][0].startswith("start: waits for ledger: ")
    assert attempts == 0
    assert live == (200, {"live": True})
