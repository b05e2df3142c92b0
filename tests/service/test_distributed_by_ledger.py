"""Scheduler and executors as processes of their own, with nothing between them but the ledger's database."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from latigo.cli.exits import Exit
from tests.support.process import Service, latigo, serving
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def start(opened: AsyncExitStack, role: str, config: Path) -> Service:
    return await opened.enter_async_context(serving(config, role=role))


async def receivers(sandbox: Sandbox) -> list[str]:
    return [row["id"] for row in await sandbox.ledger.fetch("SELECT id FROM queue_receiver ORDER BY id")]


async def test_processes_share_the_tasks_without_any_setting_and_one_that_stops_or_is_killed_leaves_its_own(
    sandbox: Sandbox, opened: AsyncExitStack
):
    config = sandbox.config(executor={"lease": "6s", "renew": "2s"})
    scheduler = await start(opened, "scheduler", config)
    killed, stopped, heir = [await start(opened, "executor", config) for _ in range(3)]

    async def are_all_there() -> bool:
        return len(await receivers(sandbox)) == 3

    await eventually(are_all_there, within=60, what="every executor receives tasks")
    held = sandbox.gordo.controls.hang()
    await held.reached()
    code, output, errors = await latigo("queue", "--json", "--config", str(config), folder=config.parent)
    text = await latigo("queue", "--config", str(config), folder=config.parent)
    await killed.kill()
    held.lift()
    codes = [await stopped.stop()]
    until = await sandbox.whole(heir, within=120)
    codes += [await heir.stop(), await scheduler.stop()]

    assert codes == [0, 0, 0]
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
    assert code == Exit.DONE, errors
    assert len(json.loads(output)["receivers"]) == 3
    assert re.search(r"^Tasks: \d+ outstanding", text[1], re.MULTILINE)
    assert len(await receivers(sandbox)) <= 1, "only that of the killed one may be left"
