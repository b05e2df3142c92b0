"""Executors as processes of their own below one parent."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import aiohttp
import psutil
import pytest
from structlog.testing import capture_logs

from latigo.cli.exits import Exit
from latigo.domain.errors import ConfigurationError
from latigo.runtime.clock import SystemClock
from latigo.wiring import executor_processes
from latigo.wiring.executor_processes import CONFIGURATION, ExecutorProcesses
from tests.support.process import Service, latigo, serving
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

EXECUTORS = 2


def children(service: Service) -> list[psutil.Process]:
    """The executor processes below a service, in order of their numbers."""
    found = []
    for child in psutil.Process(service.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # it has ended, and is not waited for yet
            if "--supervised" in child.cmdline():
                found.append(child)
    return sorted(found, key=lambda child: child.create_time())


async def all_run(service: Service, *, without: Sequence[int] = ()) -> list[psutil.Process]:
    def is_so() -> bool:
        pids = [child.pid for child in children(service)]
        return len(pids) == EXECUTORS and not set(pids) & set(without)

    await service.until(is_so, what="all executors run")
    return children(service)


async def get(service: Service, path: str) -> tuple[int, str]:
    async with aiohttp.request("GET", f"{await service.url()}/{path}") as response:
        return response.status, await response.text()


def number(metrics: str, name: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in metrics.splitlines() if re.match(rf"{name}(\{{| )", line))


async def test_executors_share_the_work_are_started_again_and_drained(sandbox: Sandbox):
    config = sandbox.config(executor={"lease": "6s", "renew": "2s"})
    async with serving(config, "--executors", str(EXECUTORS)) as service:
        first = await all_run(service)
        until = await sandbox.whole(service)
        assert await eventually_ready(service)
        before = number((await get(service, "metrics"))[1], "latigo_tasks_total")
        first[0].kill()
        second = await all_run(service, without=[first[0].pid])
        await sandbox.whole(service)
        after = (await get(service, "metrics"))[1]
        code = await service.stop()

    assert first[1].pid in [child.pid for child in second]
    assert code == 0
    assert not [child for child in (*first, *second) if is_alive(child)]
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
    assert number(after, "latigo_tasks_total") >= before > 0


@pytest.mark.parametrize("role", ["all", "executor"])
async def test_children_end_with_a_parent_that_is_killed(sandbox: Sandbox, role: str):
    async with serving(sandbox.config(), "--executors", str(EXECUTORS), role=role) as service:
        started = await all_run(service)

        await service.kill()

        await eventually(lambda: not [child for child in started if is_alive(child)], what="they have ended")


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_parent_of_executors_alone_is_ready_when_they_are_and_knows_no_status(sandbox: Sandbox):
    async with (
        serving(sandbox.config(), role="scheduler"),
        serving(sandbox.config(), "--executors", "2", role="executor") as service,
    ):
        await all_run(service)
        await sandbox.whole(service)
        ready = await eventually_ready(service)
        status = await get(service, "api/v1/status")
        metrics = (await get(service, "metrics"))[1]
        os.kill(service.process.pid, signal.SIGINT)
        code = await service.ended()

    assert ready
    assert status[0] == 503
    assert "only keeps executors" in status[1]
    assert number(metrics, "latigo_tasks_total") > 0
    assert code == 0


async def eventually_ready(service: Service) -> bool:
    async def is_ready() -> bool:
        return (await get(service, "readyz"))[0] == 200

    await eventually(is_ready, what="the parent is ready")
    return True


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--executors", "0"), "takes a number from 1 to 256, or auto"),
        (("--executors", "many"), "takes a number from 1 to 256, or auto"),
        (("--executors", "2", "--role", "scheduler"), "a scheduler has no executors"),
    ],
)
async def test_wrong_numbers_are_refused(tmp_path: Path, arguments: tuple[str, ...], says: str):
    code, _, errors = await latigo("serve", *arguments, folder=tmp_path)

    assert code == Exit.USAGE
    assert says in " ".join(errors.split())


#: Takes no connection, and does not end by SIGTERM.
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("runs", flush=True)
time.sleep(3600)
"""


def programs(tmp_path: Path, program: str, *, grace: timedelta = timedelta(minutes=1)) -> ExecutorProcesses:
    """A program in the place of an executor; what it prints goes to a file, by the shell."""
    command = ("sh", "-c", f'exec "{sys.executable}" -c "$0" > {tmp_path}/printed', program)
    return ExecutorProcesses(command, 1, grace, SystemClock(), lambda: 0.0)


async def test_an_executor_that_does_not_answer_for_a_while_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("WATCH", "_FIRST_PAUSE"):
        monkeypatch.setattr(executor_processes, name, timedelta(milliseconds=20))
    monkeypatch.setattr(executor_processes, "_ASKING", aiohttp.ClientTimeout(total=0.02))
    processes, stop = programs(tmp_path, DEAF, grace=timedelta(0)), asyncio.Event()

    with capture_logs() as logs:
        running = asyncio.create_task(processes.run(stop))
        await eventually(lambda: processes.pids, what="it runs")
        (first,) = processes.pids
        await eventually(lambda: set(processes.pids) - {first}, what="another one runs")
        stop.set()
        await running

    assert first in [entry["pid"] for entry in logs if entry["event"] == "executor.stuck"]
    assert not psutil.pid_exists(first)
    assert not processes.pids


async def test_an_executor_that_takes_longer_to_drain_than_it_may_is_killed(tmp_path: Path):
    processes, stop = programs(tmp_path, DEAF, grace=timedelta(milliseconds=50)), asyncio.Event()

    with capture_logs() as logs:
        running = asyncio.create_task(processes.run(stop))
        await eventually(lambda: (tmp_path / "printed").exists() and (tmp_path / "printed").read_text(), what="it runs")
        (pid,) = processes.pids
        stop.set()
        await running

    assert [entry["pid"] for entry in logs if entry["event"] == "executor.killed"] == [pid]
    assert not psutil.pid_exists(pid)


async def test_an_executor_that_cannot_use_the_configuration_ends_its_parent_and_is_not_tried_again(tmp_path: Path):
    processes = programs(tmp_path, f"import sys; sys.exit({CONFIGURATION})")

    with capture_logs() as logs, pytest.raises(ConfigurationError, match="executor 1 cannot use the configuration"):
        await processes.run(asyncio.Event())

    assert [entry["event"] for entry in logs].count("executor.started") == 1
