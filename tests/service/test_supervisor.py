"""Latigo under supervisord, with the very file in ``deploy/``."""

import os
import signal
from datetime import datetime
from pathlib import Path

import aiohttp

from latigo.sandbox.eventhub import open_event_hubs
from tests.support.event_hubs import HUB
from tests.support.process import newest_due
from tests.support.sandbox import Sandbox
from tests.support.supervisor import PROGRAMS, Supervisor, open_supervisor
from tests.support.waiting import eventually

KILLED = "executor:executor_1"
OWNERS = "SELECT DISTINCT owner_id FROM queue_ownership WHERE owner_id <> ''"


async def test_a_killed_executor_is_restarted_and_stopping_all_drains(sandbox: Sandbox):
    async with open_event_hubs({HUB: 4}) as hub:
        queue = {"kind": "eventhub", "connection_string": hub.connection_string(HUB)}
        config = sandbox.config(task_queue=queue | {"balance": "500ms", "expiration": "3s"})
        async with open_supervisor(config) as supervisor:
            before = await supervisor.running(*PROGRAMS)
            owners = await two_owners(sandbox)
            await whole(sandbox)

            os.kill(before[KILLED].pid, signal.SIGKILL)
            after = await supervisor.running(*PROGRAMS, but=before[KILLED].pid)
            heirs = await two_owners(sandbox, but=owners)
            until = await whole(sandbox)
            probes = await probe(supervisor)
            await supervisor.control("stop", "all")
            stopped = await supervisor.states()

    assert {name for name in PROGRAMS if before[name].pid != after[name].pid} == {KILLED}
    assert len(heirs & owners) == 1  # the other executor is the one of before
    assert probes == [200] * 6
    assert [stopped[name].name for name in PROGRAMS] == ["STOPPED"] * 3
    assert supervisor.endings() == dict.fromkeys(("scheduler", "executor_1", "executor_2"), "exit status 0")
    await sandbox.ledger.assert_adds_up(sandbox.models, until)


async def test_a_program_that_cannot_start_is_not_restarted_and_its_log_says_why(tmp_path: Path):
    config = tmp_path / "latigo.toml"
    config.write_text('[ledger]\nkind = "postgres"\nurl_file = "/nowhere/ledger-url"\n', encoding="utf-8")

    async with open_supervisor(config) as supervisor:

        async def all_are_given_up() -> bool:
            # The latter where the machine is so slow that they have started first, by supervisor's reckoning.
            states = [each.name for each in (await supervisor.states()).values()]
            return len(states) == len(PROGRAMS) and set(states) <= {"FATAL", "EXITED"}

        await eventually(all_are_given_up, every=0.5, what="all are given up")

    for process in ("scheduler", "executor_1", "executor_2"):
        assert "ledger.url: /nowhere/ledger-url cannot be read" in supervisor.log(process)


async def whole(sandbox: Sandbox) -> datetime:
    """Wait until everything is covered that is due by now; return the end of that time."""
    until = newest_due()
    await eventually(lambda: sandbox.ledger.is_whole(sandbox.models, until), every=0.2, what="all is covered")
    return until


async def two_owners(sandbox: Sandbox, *, but: frozenset[str] = frozenset()) -> frozenset[str]:
    """Wait until two executors share the partitions, not both of them these."""
    result: frozenset[str] = frozenset()

    async def are_there() -> bool:
        nonlocal result
        result = frozenset(row["owner_id"] for row in await sandbox.ledger.fetch(OWNERS))
        return len(result) == 2 and result != but

    await eventually(are_there, every=0.2, what="two executors share the partitions")
    return result


async def probe(supervisor: Supervisor) -> list[int]:
    """What every process answers to both probes, at the port that supervisord's file gave it."""
    answers = []
    async with aiohttp.ClientSession() as session:
        for digit in range(3):
            for path in ("livez", "readyz"):
                async with session.get(f"http://127.0.0.1:{supervisor.port(digit)}/{path}") as answer:
                    answers.append(answer.status)
    return answers
