"""A task that takes its process with it, again and again."""

import signal
from datetime import timedelta

from latigo.domain.windows import iso
from tests.support.process import PROJECT, newest_due, serving
from tests.support.sandbox import Sandbox

LONELY_STARTS = 3


async def test_a_poison_task_is_parked_after_three_isolated_starts_and_all_else_is_covered(
    sandbox: Sandbox,
):
    deadly_time = newest_due() - timedelta(minutes=2)  # which the horizon still holds when a slow start is over
    deadly_tag = sandbox.gordo.projects[PROJECT].revisions[sandbox.gordo.projects[PROJECT].latest]["pump-001"].tags[0]
    options = {"tag": deadly_tag, "time": iso(deadly_time)}
    config = sandbox.config(
        sensors={"kind": "python:tests.support.poison_sensors:open_poison_sensors", "options": options}
    )

    codes = []
    for _ in range(1 + LONELY_STARTS):
        async with serving(config) as service:
            codes.append(await service.ended(within=180))
    parked_too_early = await sandbox.ledger.parked()
    async with serving(config) as service:
        until = await sandbox.whole(service)
        code = await service.stop()

    assert codes == [-signal.SIGKILL] * 4
    assert parked_too_early == []
    assert code == 0
    (parked,) = await sandbox.ledger.parked()
    (rejected,) = await sandbox.ledger.tasks("rejected")
    assert (parked["model"], parked["reason"]) == ("pump-001", "kills_process")
    assert list(parked["windows"]) == [rejected["window"]]
    assert rejected["window"].lower <= deadly_time < rejected["window"].upper
    assert (rejected["starts"], rejected["attempts"]) == (1 + LONELY_STARTS, 0)
    assert "3 times while nothing else was running" in parked["detail"]
    await sandbox.ledger.assert_adds_up(sandbox.models, until)
