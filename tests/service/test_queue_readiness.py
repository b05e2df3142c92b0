"""The readiness of both ends of an event hub, without a call."""

from collections.abc import AsyncIterator

import pytest

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
            await eventually(lambda: not sender.trouble and not receiver.trouble, within=20, what="the hub answers")
            async with queue.emulator.outage():
                await eventually(lambda: sender.trouble and receiver.trouble, within=20, what="both notice")
                during = sender.trouble, receiver.trouble
            await eventually(lambda: not sender.trouble and not receiver.trouble, within=20, what="it is back")

    assert begun == ("event hub: has not answered yet",) * 2
    assert all(each.startswith("event hub, reading ") for each in during)


async def test_a_hub_that_was_made_anew_is_a_trouble_that_says_what_to_do(queue: HubQueue):
    tasks = some_tasks(8)
    async with queue.sender() as sender, queue.receiver() as receiver, working(receiver) as worker:
        await publish(sender, tasks)
        await worker.sees(tasks)
        await eventually(queue.checkpoints, what="there are checkpoints")

        queue.emulator.namespace.recreate_hub(HUB)
        await eventually(lambda: "latigo queue reset" in receiver.trouble, within=20, what="it is reported")
        await queue.reset()
        await eventually(lambda: not receiver.trouble, within=20, what="it is over")
