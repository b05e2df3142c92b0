"""A process is not ready until it has everything that it needs, and waits for that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from latigo.sandbox.eventhub import open_event_hubs
from tests.support.event_hubs import HUB
from tests.support.late_sensors import KIND
from tests.support.process import Service, serving
from tests.support.sandbox import Sandbox


async def readiness(service: Service) -> tuple[int, Any]:
    """Status and answer of the probe."""
    url = await service.url()
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout) as http, http.get(f"{url}/readyz") as response:
        return response.status, await response.json()


async def is_ready(service: Service) -> bool:
    return (await readiness(service))[0] == 200


async def test_an_unavailable_system_is_named_and_the_ledger_stays_open_while_it_is_waited_for(
    sandbox: Sandbox, server_folder: Path
):
    sign = sandbox.folder / "open"
    config = sandbox.config(
        ledger={"kind": "embedded", "data_dir": str(server_folder)},
        sensors={"kind": KIND, "options": {"sign": str(sign)}},
    )
    async with serving(config) as service:
        delayed = await service.logged("start.delayed")
        await service.until(lambda: len(service.events("start.delayed")) >= 3, what="it tries again and again")
        status, answer = await readiness(service)
        sign.touch()
        await service.until(lambda: is_ready(service), what="it is ready")
        await service.logged("planner.elected")
        code = await service.stop()

    assert (delayed["downstream"], delayed["error"]) == ("sensors/late", "the historian is closed on Sundays")
    assert (status, answer["reasons"]) == (503, ["start: waits for sensors/late: the historian is closed on Sundays"])
    assert len(service.events("embedded.started")) == len(service.events("embedded.stopped")) == 1
    assert code == 0


async def test_what_turns_out_to_be_wrong_while_it_is_waited_for_ends_the_process(sandbox: Sandbox):
    sign, written = sandbox.folder / "open", sandbox.folder / "written"
    written.write_text("sensors.options: nobody knows this plant")
    async with serving(sandbox.config(sensors={"kind": KIND, "options": {"sign": str(sign)}})) as service:
        await service.logged("start.delayed")
        written.rename(sign)

        assert await service.ended() == 78

    assert "nobody knows this plant" in service.log()


async def test_no_role_is_ready_before_the_event_hub_has_answered(sandbox: Sandbox):
    async with open_event_hubs({HUB: 2}) as hub:
        queue = {"kind": "eventhub", "connection_string": hub.connection_string(HUB)}
        config = sandbox.config(task_queue={**queue, "balance": "500ms", "expiration": "3s"})
        async with hub.outage(), both_roles(config) as services:
            for service in services:
                await service.until(partial(waits_for_the_hub, service), what="only the hub is missing")
        async with both_roles(config) as services:
            for service in services:
                await service.until(partial(is_ready, service), what="it is ready")


async def waits_for_the_hub(service: Service) -> bool:
    status, answer = await readiness(service)
    reasons = answer.get("reasons", [])
    assert status == 503
    return len(reasons) == 1 and reasons[0].startswith("queue: event hub")


@asynccontextmanager
async def both_roles(config: Path) -> AsyncIterator[list[Service]]:
    async with serving(config, role="scheduler") as scheduler, serving(config, role="executor") as executor:
        yield [scheduler, executor]
        assert set(await asyncio.gather(scheduler.stop(), executor.stop())) == {0}
