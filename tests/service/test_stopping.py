"""On SIGTERM, Latigo exits within its grace, with nothing half done, and another process can go on at once."""

import signal
from collections import Counter
from contextlib import suppress

from tests.support.process import RESOLUTION, serving, write_config
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually

#: Five seconds to finish, three are kept for handing back; and no claim runs out while a machine stands still.
GRACE = {"grace": "8s", "lease": "1m"}
#: A call that hangs is not waited for: it would last much longer than all that a busy machine takes.
HANGS = {"predict_timeout": "10m"}


async def test_tasks_in_flight_are_finished_when_that_takes_less_than_the_grace(sandbox: Sandbox):
    held = sandbox.gordo.controls.hang()
    async with serving(sandbox.config(executor={"lease": "1m"})) as service:
        await service.meets(held)
        in_hand = await sandbox.ledger.tasks("claimed")

        service.process.send_signal(signal.SIGTERM)
        await service.logged("executor.draining")
        held.lift()
        code = await service.ended()

    assert code == 0
    assert in_hand
    stored = {task["id"]: task["starts"] for task in await sandbox.ledger.tasks("stored")}
    assert {task["id"] for task in in_hand} <= set(stored)
    assert set(stored.values()) == {1}
    assert await sandbox.ledger.tasks("claimed") == []
    assert service.events("tasks.handed_back") == []


async def test_what_takes_longer_than_the_grace_is_handed_back_and_was_never_started(sandbox: Sandbox):
    held = sandbox.gordo.controls.hang()
    config = sandbox.config(executor=GRACE, models=HANGS)
    async with serving(config) as service:
        await service.meets(held)
        in_hand = {task["id"] for task in await sandbox.ledger.tasks("claimed")}

        code = await service.stop()
        handed_back = await sandbox.ledger.fetch("SELECT id, state, starts FROM v_tasks")
        held.lift()
    async with serving(config) as again:
        until = await sandbox.whole(again)
        await again.stop()

    assert code == 0
    assert in_hand
    assert {(task["state"], task["starts"]) for task in handed_back if task["id"] in in_hand} == {("planned", 0)}
    assert again.events("task.isolated") == []
    stored = {task["id"]: task["starts"] for task in await sandbox.ledger.tasks("stored")}
    assert {stored[task] for task in in_hand} == {1}
    assert await sandbox.ledger.parked() == []
    await sandbox.ledger.assert_adds_up(sandbox.models, until)


async def test_what_is_written_is_settled_rather_than_handed_back(sandbox: Sandbox):
    held = sandbox.gordo.controls.hang()
    # All of the grace is for handing back; and one task at a time, so that no other is half-way when the signal comes.
    async with serving(sandbox.config(executor={"grace": "3s", "lease": "1m", "concurrency": 1})) as service:
        await service.meets(held)
        async with sandbox.holding("SELECT FROM coverage FOR UPDATE"):
            held.lift()
            await sandbox.waits_in(service, "%FOR UPDATE OF t, c%")
            service.process.send_signal(signal.SIGTERM)
            await service.logged("executor.draining")
        code = await service.ended()

    assert code == 0
    runs = Counter(sandbox.executed())
    stored = {(task["model"], task["window"].upper - RESOLUTION) for task in await sandbox.ledger.tasks("stored")}
    assert stored
    assert {run for run in runs if run not in stored} == set()


async def test_the_lease_to_plan_is_released_at_once(sandbox: Sandbox):
    config = sandbox.config(planner={"lease": "1h"})
    async with serving(config) as first:
        await first.logged("planner.elected")
        async with serving(config) as second:
            await second.logged("http.started")
            term = await sandbox.ledger.value("SELECT term FROM planner")

            assert await first.stop() == 0
            leading = await second.logged("planner.elected")
            until = await sandbox.whole(second)
            assert await second.stop() == 0

    assert leading["term"] == term + 1
    await sandbox.ledger.assert_adds_up(sandbox.models, until)


async def test_a_second_signal_that_does_not_come_with_the_first_ends_it_at_once(sandbox: Sandbox):
    held = sandbox.gordo.controls.hang()
    async with serving(sandbox.config(executor={"grace": "1h"})) as service:
        await service.meets(held)
        service.process.send_signal(signal.SIGTERM)
        await service.logged("executor.draining")

        def ends_when_asked() -> bool:
            if service.process.returncode is None:
                with suppress(ProcessLookupError):  # it has ended a moment ago
                    service.process.send_signal(signal.SIGTERM)
            return service.process.returncode is not None

        await eventually(ends_when_asked, every=0.1, what="it ends, though the model server hangs")

        assert await service.ended() == -signal.SIGTERM


async def test_a_process_that_still_waits_for_its_ledger_ends_at_once(sandbox: Sandbox):
    nowhere = {"kind": "postgres", "url": f"postgresql://postgres@/none?host={sandbox.folder}"}
    async with serving(write_config(sandbox.folder, ledger=nowhere)) as service:
        await service.logged("start.delayed")

        assert await service.stop() == 0


async def test_it_does_not_wait_for_a_call_that_hangs_while_the_ledger_is_unavailable(sandbox: Sandbox):
    """The call would last longer than its end is waited for here."""
    held = sandbox.gordo.controls.hang()
    async with serving(sandbox.config(executor=GRACE, models=HANGS)) as service:
        await service.meets(held)
        async with sandbox.without_ledger():
            code = await service.stop()

    assert code == 0
    assert sandbox.executed() == []
