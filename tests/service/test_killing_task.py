"""A task that takes its process with it, again and again."""

import signal
from datetime import timedelta

from latigo.domain.windows import iso
from tests.support.process import PROJECT, newest_due, serving
from tests.support.site import Site

LONELY_STARTS = 3


async def test_a_task_that_kills_its_process_is_parked_after_three_lonely_starts_and_all_else_is_covered(site: Site):
    deadly_time = newest_due() - timedelta(minutes=3)
    deadly_tag = site.gordo.projects[PROJECT].revisions[site.gordo.projects[PROJECT].latest]["pump-001"].tags[0]
    options = {"tag": deadly_tag, "time": iso(deadly_time)}
    config = site.config(sensors={"kind": "python:tests.support.killer:open_killer", "options": options})

    codes = []
    for _ in range(1 + LONELY_STARTS):
        async with serving(config) as service:
            codes.append(await service.ended(within=180))
    parked_too_early = await site.ledger.parked()
    async with serving(config) as service:
        until = await site.whole(service)
        code = await service.stop()

    assert codes == [-signal.SIGKILL] * 4
    assert parked_too_early == []
    assert code == 0
    (parked,) = await site.ledger.parked()
    (rejected,) = await site.ledger.tasks("rejected")
    assert (parked["model"], parked["reason"]) == ("pump-001", "kills_process")
    assert list(parked["windows"]) == [rejected["window"]]
    assert rejected["window"].lower <= deadly_time < rejected["window"].upper
    assert (rejected["starts"], rejected["attempts"]) == (1 + LONELY_STARTS, 0)
    assert "3 times while nothing else was running" in parked["detail"]
    await site.ledger.assert_adds_up(site.models, until)
