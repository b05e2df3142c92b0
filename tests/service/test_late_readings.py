"""A source whose readings arrive late: the status says how late, and which delay would do."""

import orjson

from tests.support.late_sensors import BEHIND
from tests.support.process import latigo, serving
from tests.support.sandbox import Sandbox


async def test_the_delay_that_a_source_needs_is_named(sandbox: Sandbox):
    config = sandbox.config(sensors={"kind": BEHIND, "options": {"seconds": "10"}})
    async with serving(config) as service:
        await service.until(lambda: sandbox.ledger.value("SELECT count(*) FROM lateness"), what="it is recorded")
        _, document, _ = await latigo("status", "--json", "--config", str(config), folder=sandbox.folder)
        _, text, _ = await latigo("status", "--config", str(config), folder=sandbox.folder)
        assert await service.stop() == 0

    (source,) = orjson.loads(document)["lateness"]
    # the newest reading is 10 s old and, at one a second, up to 11 s; on a busy machine it is read later
    assert (source["source"], source["delay"] >= 10) == ("sensors/simulated", True)
    assert source["complete_share"] < 0.99
    assert f"a delay of {source['delay']:g}s would make it 99%" in text
