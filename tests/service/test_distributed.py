"""Scheduler and executors as processes of their own, with a hub between them."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from azure.eventhub import EventData

from latigo.sandbox.eventhub import EventHubsEmulator, open_event_hubs
from latigo.task_queue.envelope import decode
from tests.support.event_hubs import HUB, open_producer
from tests.support.process import Service, latigo, serving, term_of
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

PARTITIONS = 4
PUBLISHED = "SELECT count(*) FROM v_tasks WHERE state = 'published'"


@dataclass
class Plant:
    """A small plant with a hub in the test's own loop."""

    sandbox: Sandbox
    hub: EventHubsEmulator
    opened: AsyncExitStack

    def config(self, task_queue: Mapping[str, Any] | None = None, **sections: Any) -> Path:
        queue = {"kind": "eventhub", "connection_string": self.hub.connection_string(HUB)}
        quick = {"balance": "500ms", "expiration": "3s"}
        return self.sandbox.config(task_queue={**queue, **quick, **(task_queue or {})}, **sections)

    def defaults(self, *, expiration: str = "30s") -> Path:
        """The default settings of leases and balancing."""
        times = {"lease": "30s", "renew": "10s", "grace": "25s"}
        planner = {"lease": "15s", "renew": "5s"}
        return self.config(task_queue={"balance": "10s", "expiration": expiration}, executor=times, planner=planner)

    async def start(self, role: str, config: Path | None = None) -> Service:
        return await self.opened.enter_async_context(serving(config or self.config(), role=role))

    def make_newer(self) -> int:
        """Let what is in the hub look as if a scheduler of a later version had sent it; how many events."""
        count = 0
        for partition in self.hub.hub(HUB).partitions:
            for at, event in enumerate(partition.events):
                written = re.sub(rb'"v":\d+,', b'"v":9,', event.message)
                count += written != event.message
                partition.events[at] = replace(event, message=written)
        return count

    async def owners(self) -> dict[str, int]:
        """How many partitions each owner has."""
        rows = await self.sandbox.ledger.fetch(
            "SELECT owner_id, count(*) AS partitions FROM queue_ownership WHERE owner_id <> '' GROUP BY owner_id"
        )
        return {row["owner_id"]: row["partitions"] for row in rows}

    async def checkpoints(self) -> dict[str, int]:
        """The newest event of each partition up to which everything is done with."""
        rows = await self.sandbox.ledger.fetch("SELECT partition, sequence FROM queue_checkpoint")
        return {row["partition"]: row["sequence"] for row in rows}

    async def renews(self, times: int) -> None:
        """Wait until ownership was claimed or renewed so many times more, over all partitions."""
        counted = "SELECT sum(etag) FROM queue_ownership"
        before = await self.sandbox.ledger.value(counted)

        async def has_renewed() -> bool:
            return bool(await self.sandbox.ledger.value(counted) >= before + times)

        await eventually(has_renewed, every=0.1, what="partitions are held")

    async def share(self, *, among: int) -> None:
        """Wait until all partitions are owned, by so many executors."""

        async def is_shared() -> bool:
            owners = await self.owners()
            return len(owners) == among and sum(owners.values()) == PARTITIONS

        await eventually(is_shared, every=0.2, what=f"{among} executors share all partitions")


@pytest.fixture
async def plant(sandbox: Sandbox) -> AsyncIterator[Plant]:
    async with open_event_hubs({HUB: PARTITIONS}) as hub, AsyncExitStack() as opened:
        yield Plant(sandbox, hub, opened)


async def whole(plant: Plant, service: Service) -> datetime:
    return await plant.sandbox.whole(service)


async def test_a_drained_executor_leaves_its_partitions_to_another_until_it_is_resumed(plant: Plant):
    config = plant.config()
    scheduler = await plant.start("scheduler", config)
    one, other = await plant.start("executor", config), await plant.start("executor", config)
    await plant.share(among=2)
    await whole(plant, scheduler)
    (pid,) = await plant.sandbox.ledger.fetch("SELECT id FROM executor WHERE id LIKE $1", f"%/{one.process.pid}/%")

    async def order(verb: str) -> None:
        command = ("executors", verb, pid["id"], "--reason", "a test", "--config", str(config))
        code, _, errors = await latigo(*command, folder=plant.sandbox.folder)
        assert code == 0, errors

    await order("drain")
    await plant.share(among=1)
    newest = await plant.sandbox.ledger.value("SELECT max(id) FROM v_tasks")
    await plant.sandbox.ledger.fetch("UPDATE coverage SET covered = '{}'")
    await whole(plant, other)
    # What it had in hand when it was drained may end later.
    taken = [event for event in one.events("task.finished") if event["task"] > newest]
    await order("resume")
    await plant.share(among=2)

    assert taken == []
    assert [await service.stop() for service in (one, other, scheduler)] == [0, 0, 0]


async def test_of_two_schedulers_one_plans_and_when_it_is_killed_the_other_goes_on(plant: Plant):
    # Only the lease of the killed process expires, however busy the machine is.
    config = plant.config(planner={"lease": "6s"}, executor={"lease": "1m"})
    executor = await plant.start("executor", config)
    one, other = await plant.start("scheduler", config), await plant.start("scheduler", config)
    await whole(plant, executor)
    standby, leader = sorted((one, other), key=term_of)

    await leader.kill()
    await standby.until(lambda: term_of(standby) > term_of(leader), what="the other one plans")
    until = await whole(plant, executor)
    codes = [await standby.stop(), await executor.stop()]

    assert term_of(leader) > 0
    assert codes == [0, 0]
    await plant.sandbox.ledger.assert_adds_up(plant.sandbox.models, until)
    runs = plant.sandbox.executed()
    assert len(runs) == len(set(runs))


async def test_with_default_settings_the_work_of_a_killed_executor_goes_on_elsewhere_once_its_leases_end(plant: Plant):
    config = plant.defaults()
    await plant.start("scheduler", config)
    killed, heir = await plant.start("executor", config), await plant.start("executor", config)
    await plant.share(among=2)
    held = plant.sandbox.gordo.controls.hang()
    await held.reached()
    in_hand = {task["id"] for task in await plant.sandbox.ledger.tasks("claimed")}

    await killed.kill()
    held.lift()

    async with asyncio.timeout(120):  # both leases end after half a minute; the rest is for a busy machine
        await whole(plant, heir)
        await plant.share(among=1)
    stored = {task["id"] for task in await plant.sandbox.ledger.tasks("stored")}
    assert in_hand
    assert in_hand <= stored


async def test_the_partitions_of_a_stopped_executor_run_elsewhere_long_before_they_would_expire(plant: Plant):
    config = plant.defaults(expiration="10m")
    scheduler = await plant.start("scheduler", config)
    stopped = await plant.start("executor", config)
    await plant.share(among=1)
    await plant.start("executor", config)
    await plant.share(among=2)

    code = await stopped.stop()
    await plant.share(among=1)

    assert code == 0
    await whole(plant, scheduler)


async def test_a_stopped_executor_keeps_its_partitions_until_it_has_done_what_it_has_begun_and_leaves_the_rest(
    plant: Plant,
):
    config = plant.config(executor={"concurrency": 1, "lease": "1m", "grace": "2m"})
    scheduler, stopped = await plant.start("scheduler", config), await plant.start("executor", config)
    held = plant.sandbox.gordo.controls.hang()
    await plant.share(among=1)
    await held.reached()
    owners = await plant.owners()
    (begun,) = await plant.sandbox.ledger.tasks("claimed")

    stopped.process.send_signal(signal.SIGTERM)
    await stopped.logged("executor.draining")
    await plant.renews(12 * PARTITIONS)  # for longer than they would be held without that
    kept = await plant.owners()
    held.lift()
    code = await stopped.ended()
    stored = {task["id"]: task["starts"] for task in await plant.sandbox.ledger.tasks("stored")}
    passed, left = await plant.checkpoints(), await plant.owners()

    assert (code, kept, left) == (0, owners, {})
    assert stored == {begun["id"]: 1}
    events = [(each.id, event) for each in plant.hub.hub(HUB).partitions for event in each.events]
    done_with = [event for partition, event in events if event.sequence_number <= passed.get(partition, -1)]
    assert {decode(event.body).id for event in done_with} <= set(stored)
    heir = await plant.start("executor", config)
    until = await whole(plant, heir)
    assert [await scheduler.stop(), await heir.stop()] == [0, 0]
    await plant.sandbox.ledger.assert_adds_up(plant.sandbox.models, until)


async def test_a_drained_executor_leaves_its_partitions_to_others_while_its_task_hangs(plant: Plant):
    config = plant.config(executor={"concurrency": 1, "lease": "1m"})
    scheduler, drained = await plant.start("scheduler", config), await plant.start("executor", config)
    held = plant.sandbox.gordo.controls.hang()
    await plant.share(among=1)
    await held.reached()
    before = await plant.owners()
    (begun,) = await plant.sandbox.ledger.tasks("claimed")
    (row,) = await plant.sandbox.ledger.fetch("SELECT id FROM executor")
    heir = await plant.start("executor", config)
    command = ("executors", "drain", row["id"], "--reason", "a test", "--config", str(config))
    code, _, errors = await latigo(*command, folder=plant.sandbox.folder)
    assert code == 0, errors

    async def others_have_all() -> bool:
        owners = await plant.owners()
        return sum(owners.values()) == PARTITIONS and not owners.keys() & before.keys()

    await heir.until(others_have_all, what="the other executor has all partitions")
    held.lift()
    until = await whole(plant, heir)

    assert [await drained.stop(), await heir.stop(), await scheduler.stop()] == [0, 0, 0]
    stored = {task["id"]: task["starts"] for task in await plant.sandbox.ledger.tasks("stored")}
    assert stored[begun["id"]] == 1
    await plant.sandbox.ledger.assert_adds_up(plant.sandbox.models, until)


async def test_a_single_scheduler_answers_its_probes_and_reports_the_lag(plant: Plant):
    scheduler = await plant.start("scheduler")
    await eventually(lambda: plant.sandbox.ledger.value(PUBLISHED), what="tasks are published")
    config = scheduler.config

    async def lag() -> int:
        _, output, _ = await latigo("queue", "status", "--config", str(config), "--json", folder=plant.sandbox.folder)
        return sum(each["lag"] for each in orjson.loads(output))

    await eventually(lag, every=1.0, what="the lag is known")
    executor = await plant.start("executor")
    await whole(plant, executor)

    assert await scheduler.stop() == 0
    assert await executor.stop() == 0
    checked = await latigo("check", "--config", str(config), folder=plant.sandbox.folder)
    forgot = await latigo("queue", "reset", "--yes", "--json", "--config", str(config), folder=plant.sandbox.folder)
    assert checked[0] == 0
    assert re.search(rf"ok   task_queue: eventhub/\S+/{HUB}, {PARTITIONS} partitions", checked[1])
    assert 1 <= orjson.loads(forgot[1])["forgotten"] <= PARTITIONS
    assert await plant.sandbox.ledger.value("SELECT count(*) FROM queue_checkpoint") == 0


async def test_a_hub_that_processes_cannot_reach_is_an_alarm_in_status(plant: Plant):
    async with plant.hub.outage():
        scheduler, executor = await plant.start("scheduler"), await plant.start("executor")

        async def both_report_it() -> bool:
            return len((await plant.sandbox.ledger.status())["queue_outages"]) == 2

        await scheduler.until(both_report_it, what="both report it")
        code, text, _ = await latigo("status", "--config", str(plant.config()), folder=plant.sandbox.folder)
        queue = await latigo("queue", "--config", str(plant.config()), folder=plant.sandbox.folder)
        codes = [await scheduler.stop(), await executor.stop()]

    first, *others = text.splitlines()
    assert (code, codes) == (3, [0, 0])
    assert first.endswith(", needs attention")
    (alarm,) = [line for line in others if "the task queue" in line and line.startswith("  ! ")]
    assert alarm.startswith("  ! the task queue is unreachable for 1 scheduler and 1 executor: event hub")
    assert queue[0] == 3
    assert queue[2].startswith("the task queue is unreachable for 1 scheduler and 1 executor: event hub")
    assert (await plant.sandbox.ledger.status())["queue_outages"] == []  # those that were stopped report nothing


async def test_what_is_no_task_is_recorded_once_passed_over_and_listed(plant: Plant):
    async with open_producer(plant.hub) as producer:
        batch = await producer.create_batch(partition_id="2")
        batch.add(EventData(b"no task at all"))
        await producer.send_batch(batch)
    scheduler, executor = await plant.start("scheduler"), await plant.start("executor")
    await executor.until(
        lambda: plant.sandbox.ledger.value("SELECT count(*) FROM queue_refused"), what="the message is recorded"
    )
    await whole(plant, executor)
    _, listed, _ = await latigo("failures", "--config", str(executor.config), "--json", folder=plant.sandbox.folder)
    await executor.kill()
    again = await plant.start("executor")
    await whole(plant, again)
    await scheduler.stop()

    (refused,) = orjson.loads(listed)
    assert refused["reason"] == "unreadable"
    assert refused["model"].endswith(f"/{HUB}#2@0")
    assert await plant.sandbox.ledger.value("SELECT count(*) FROM queue_refused") == 1


async def test_a_task_in_a_newer_envelope_is_passed_over_and_done_in_one_that_all_can_read(plant: Plant):
    scheduler = await plant.start("scheduler")
    await eventually(lambda: plant.sandbox.ledger.value(PUBLISHED), what="tasks are published")
    await scheduler.kill()
    newer = plant.make_newer()

    executor = await plant.start("executor")
    refused = "SELECT count(*) FROM queue_refused WHERE reason = 'too_new' AND task_id IS NOT NULL"
    await executor.until(lambda: _equals(plant, refused, newer), what="all of them are passed over")
    again = await plant.start("scheduler")
    until = await whole(plant, executor)

    assert newer
    assert [await again.stop(), await executor.stop()] == [0, 0]
    await plant.sandbox.ledger.assert_adds_up(plant.sandbox.models, until)


async def _equals(plant: Plant, question: str, number: int) -> bool:
    return bool(await plant.sandbox.ledger.value(question) == number)
