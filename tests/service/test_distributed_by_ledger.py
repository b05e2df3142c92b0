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

    await eventually(are_all_there, what="every executor receives tasks")
    held = sandbox.gordo.controls.hang()
    await held.reached()
    code, output, errors = await latigo("queue", "--json", "--config", str(config), folder=config.parent)
    text = await latigo("queue", "--config", str(config), folder=config.parent)
    await killed.kill()
    held.lift()
    codes = [await stopped.stop()]
    until = await sandbox.whole(heir)
    codes += [await heir.stop(), await scheduler.stop()]

    assert codes == [0, 0, 0]
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
    assert code == Exit.DONE, errors
    assert len(json.loads(output)["receivers"]) == 3
    assert re.search(r"^Tasks: \d+ outstanding", text[1], re.MULTILINE)
    assert len(await receivers(sandbox)) <= 1, "only that of the killed one may be left"


@pytest.mark.parametrize("drained", [False, True], ids=["full", "drained"])
async def test_what_an_executor_has_not_begun_goes_to_others_while_its_own_tasks_hang(
    sandbox: Sandbox, opened: AsyncExitStack, drained: bool
):
    config = sandbox.config(schedule={"max_window": "30s"}, backfill={"horizon": "30m"}, executor={"concurrency": 1})
    held = sandbox.gordo.controls.hang()
    scheduler = await start(opened, "scheduler", config)
    first = await start(opened, "executor", config)
    await held.reached()

    async def has_taken_more_than_it_runs() -> bool:
        return bool(await sandbox.ledger.value("SELECT count(*) > 2 FROM queued_task WHERE taken_by IS NOT NULL"))

    await first.until(has_taken_more_than_it_runs, what="it has taken tasks ahead")
    (receiver,) = await receivers(sandbox)
    second = await start(opened, "executor", config)
    if drained:
        (row,) = await sandbox.ledger.fetch("SELECT id FROM executor ORDER BY started_at LIMIT 1")
        command = ("executors", "drain", row["id"], "--reason", "a test", "--config", str(config))
        code, _, errors = await latigo(*command, folder=config.parent)
        assert code == Exit.DONE, errors

    async def has_what_it_runs() -> bool:
        sql = "SELECT count(*) = 1 FROM queued_task WHERE taken_by = $1"
        return bool(await sandbox.ledger.value(sql, receiver))

    async def others_have_the_rest() -> bool:
        sql = "SELECT count(*) > 1 FROM queued_task WHERE taken_by <> $1"
        return bool(await sandbox.ledger.value(sql, receiver))

    await first.until(has_what_it_runs, what="it has nothing but what it runs")
    await second.until(others_have_the_rest, what="the other one has the rest")
    given_back = await first.logged("deliveries.given_back")
    held.lift()
    until = await sandbox.whole(second)
    codes = [await first.stop(), await second.stop(), await scheduler.stop()]

    assert given_back["count"] > 0
    assert codes == [0, 0, 0]
    await sandbox.ledger.assert_adds_up(sandbox.models, until)


async def test_a_killed_executor_leaves_what_it_has_taken_and_given_back_to_others(
    sandbox: Sandbox, opened: AsyncExitStack
):
    lease = {"lease": "6s", "renew": "2s", "concurrency": 1}
    config = sandbox.config(schedule={"max_window": "30s"}, backfill={"horizon": "30m"}, executor=lease)
    held = sandbox.gordo.controls.hang()
    scheduler = await start(opened, "scheduler", config)
    killed = await start(opened, "executor", config)
    await held.reached()
    heir = await start(opened, "executor", config)
    await killed.logged("deliveries.given_back")
    await killed.kill()
    held.lift()
    until = await sandbox.whole(heir)
    codes = [await heir.stop(), await scheduler.stop()]

    assert codes == [0, 0]
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
