"""The readiness of both ends of an event hub, without a call."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from latigo.ledger.queue_outages import QueueOutages, keep_queue_outages
from latigo.reports.status import read_status
from latigo.runtime.clock import SystemClock
from latigo.wiring.ledger import connect_to
from tests.support.build import DEFAULTS
from tests.support.event_hub_queue import HUB, HubQueue, nothing_left, open_hub_queue, publish, some_tasks, working
from tests.support.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the client's, when it is cut short


@pytest.fixture
async def queue(ledger_url: str) -> AsyncIterator[HubQueue]:
    async with nothing_left(), open_hub_queue(ledger_url) as opened:
        yield opened


async def test_an_end_is_in_trouble_until_the_hub_has_answered_and_whenever_it_did_not(queue: HubQueue):
    async with queue.sender() as sender, queue.receiver() as receiver:
        begun = sender.trouble, receiver.trouble
        async with working(receiver):
            await eventually(lambda: not sender.trouble and not receiver.trouble, what="the hub answers")
            async with queue.emulator.outage():
                await eventually(lambda: sender.trouble and receiver.trouble, what="both notice")
                during = sender.trouble, receiver.trouble
            await eventually(lambda: not sender.trouble and not receiver.trouble, what="it is back")

    assert begun == ("event hub: has not answered yet",) * 2
    assert all(each.startswith("event hub, reading ") for each in during)


async def test_the_ledger_knows_of_an_outage_until_the_hub_answers_again(queue: HubQueue):
    stop = asyncio.Event()
    async with connect_to(queue.database, DEFAULTS) as database, queue.sender() as sender, queue.receiver() as receiver:

        def outages() -> dict[str, str]:
            ends = {"scheduler": sender.outage, "executor": receiver.outage}
            return {role: outage for role, outage in ends.items() if outage}

        async def roles() -> list[str]:
            return [each.role for each in (await read_status(database, "test")).queue_outages]

        async def both() -> bool:
            return await roles() == ["scheduler", "executor"]

        async def none() -> bool:
            return not await roles()

        reports = QueueOutages(database, "test")
        async with working(receiver), asyncio.TaskGroup() as group:
            group.create_task(
                keep_queue_outages(reports, outages, SystemClock(), stop, interval=timedelta(seconds=0.1))
            )
            async with queue.emulator.outage():
                await eventually(both, what="both ends are recorded")
            await eventually(none, what="the outage is over")
            stop.set()


async def test_a_hub_that_was_made_anew_is_a_trouble_that_says_what_to_do(queue: HubQueue):
    tasks = some_tasks(8)
    async with queue.sender() as sender, queue.receiver() as receiver, working(receiver) as worker:
        await publish(sender, tasks)
        await worker.sees(tasks)
        await eventually(queue.checkpoints, what="there are checkpoints")

        queue.emulator.namespace.recreate_hub(HUB)
        await eventually(lambda: "latigo queue reset" in receiver.trouble, what="it is reported")
        await queue.reset()
        await eventually(lambda: not receiver.trouble, what="it is over")
