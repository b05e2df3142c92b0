"""What a plan lists: gaps, and windows that are predicted again since an overtaken executor may have written there."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from latigo.domain.errors import Reason
from latigo.domain.health import State
from latigo.domain.windows import Window
from latigo.ledger.protocol import ExecutorInfo
from latigo.postgres.ranges import to_range
from latigo.reports.plan import MissingWindow, read_plan
from latigo.reports.status import read_status
from tests.support.build import HALF_HOUR, NOW, an_entry, window
from tests.support.ledgers import Ledgers

DUE = window("10:00", "12:00")
#: Not whole slots: what a model had before its slots got longer.
DAMAGED, WHOLE = window("10:30", "11:10"), window("10:30", "11:30")


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """A healthy ledger with one model, of which everything is covered."""
    await ledgers.set_clock(NOW)
    await ledgers.scheduler.acquire_lease("scheduler-1", timedelta(days=1))
    await ledgers.executor.register(ExecutorInfo("executor-1", "test", 1, 1, 8))
    await ledgers.models.put_models([an_entry("pump", fold=HALF_HOUR)])
    await ledgers.fetch("UPDATE coverage SET covered = tstzmultirange($1)", to_range(DUE))
    return ledgers


async def damage(ledger: Ledgers, slots: Window, due_at: datetime = NOW, claim: int = 1) -> None:
    await ledger.fetch(
        "INSERT INTO repair (model_id, task_id, claim, due_at, slots)"
        " SELECT id, 1, $3, $2, tstzmultirange($1) FROM model",
        *(to_range(slots), due_at, claim),
    )


async def park(ledger: Ledgers, slots: Window) -> None:
    await ledger.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, revision, $2, 'because', tstzmultirange($1), ledger_now(), 'test' FROM model",
        *(to_range(slots), Reason.VALUES_REFUSED.value),
    )


async def planned(ledger: Ledgers, **chosen: Any) -> Mapping[tuple[datetime, datetime], MissingWindow]:
    return {(each.start, each.end): each for each in (await read_plan(ledger.database, **chosen)).windows}


async def test_a_pending_repair_is_planned_in_whole_slots_and_the_service_recovers(ledger: Ledgers):
    await damage(ledger, DAMAGED)
    await damage(ledger, DAMAGED, claim=2)

    plan, status = await read_plan(ledger.database), await read_status(ledger.database, "test")

    (repair,) = plan.windows
    assert (repair.start, repair.end, repair.slots, repair.calls) == (WHOLE.start, WHOLE.end, 2, 2)
    assert (repair.repair, repair.live, repair.held) == (True, False, False)
    assert [(each.project, each.models, each.slots, each.calls) for each in plan.projects] == [("plant", 1, 2, 2)]
    assert (plan.total, status.backlog.slots) == (1, 0)
    assert (status.repairs.models, status.repairs.slots) == (1, 2)
    assert status.state is State.RECOVERING
    (cause,) = status.causes
    assert (cause.kind, cause.projects, status.alarms) == ("repairs", ["plant"], [])
    assert cause.text == "2 slots of 1 model in plant may hold rows of an older write: predicted again"


async def test_a_repair_is_held_while_its_writer_may_still_write(ledger: Ledgers):
    await damage(ledger, WHOLE, due_at=NOW + HALF_HOUR)

    (repair,) = (await planned(ledger)).values()
    status = await read_status(ledger.database, "test")

    assert (repair.held, repair.repair) == (True, True)
    assert status.causes[0].text.endswith(": predicted again, the first from 2026-03-01T12:37:00Z on")


async def test_what_is_not_predicted_again_is_no_pending_repair(ledger: Ledgers):
    await damage(ledger, WHOLE)
    await park(ledger, Window(WHOLE.start, WHOLE.start + HALF_HOUR))
    part = await planned(ledger)
    await ledger.fetch("UPDATE parked SET windows = '{(,)}'")
    parked, parked_status = await planned(ledger), await read_status(ledger.database, "test")
    await ledger.fetch("DELETE FROM parked")
    await ledger.fetch("UPDATE model SET paused = true")
    paused, paused_status = await planned(ledger), await read_status(ledger.database, "test")

    assert list(part) == [(WHOLE.start + HALF_HOUR, WHOLE.end)]
    assert (parked, paused) == ({}, {})
    assert (parked_status.repairs.models, paused_status.repairs.models) == (0, 0)


async def test_windows_are_chosen_by_state_repairs_too(ledger: Ledgers):
    await ledger.fetch("UPDATE coverage SET covered = covered - tstzmultirange($1)", to_range(window("10:00", "10:30")))
    await ledger.fetch("UPDATE coverage SET covered = covered - tstzmultirange($1)", to_range(window("11:30", "12:00")))
    await damage(ledger, WHOLE)
    starts = {
        state: [start.strftime("%H:%M") for start, _ in await planned(ledger, state=state)]
        for state in ("live", "backfill", "repair", "held", None)
    }

    assert starts == {
        "live": ["11:30"],
        "backfill": ["10:00"],
        "repair": ["10:30"],
        "held": [],
        None: ["11:30", "10:30", "10:00"],
    }


@pytest.mark.parametrize("order", ["newest", "oldest", "slots", "name"])
async def test_windows_come_in_the_order_that_was_asked_for_also_where_the_list_is_cut(ledger: Ledgers, order: Any):
    gaps = [window("10:00", "10:30"), window("11:00", "12:00")]
    for gap in gaps:
        await ledger.fetch("UPDATE coverage SET covered = covered - tstzmultirange($1)", to_range(gap))

    first = await read_plan(ledger.database, order=order, most=1)
    both = await planned(ledger, order=order)

    in_order = gaps if order in {"oldest", "name"} else gaps[::-1]
    assert list(both) == [(gap.start, gap.end) for gap in in_order]
    assert [(each.start, each.end) for each in first.windows] == list(both)[:1]
    assert first.total == 2
    assert first.projects[0].slots == 3


async def test_windows_and_what_projects_need_are_of_the_same_moment(ledger: Ledgers):
    await ledger.fetch(
        "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE"
        " AS $$ SELECT timestamptz '2026-03-01T12:10Z' + interval '30 minutes' * set_config('test.looks',"
        " (coalesce(nullif(current_setting('test.looks', true), ''), '0')::int + 1)::text, true)::int $$"
    )

    plan = await read_plan(ledger.database)

    assert plan.projects[0].slots == sum(each.slots for each in plan.windows) > 0


async def test_a_status_shows_one_moment_whatever_is_written_while_it_is_read(ledger: Ledgers):
    async with ledger.database.transaction() as other:
        await other.execute("LOCK TABLE circuit")
        await other.execute("INSERT INTO project (name, listed_at) VALUES ('new', ledger_now())")
        await other.execute(
            "INSERT INTO circuit (downstream, reason, alarm, opened_at, pause, probe_at)"
            " VALUES ('gordo/new', '503', false, ledger_now(), '15 s', ledger_now())"
        )
        reading = asyncio.ensure_future(read_status(ledger.database, "test"))
        await ledger.someone_waits_in("%FROM circuit%")
    status = await reading

    assert ([each.project for each in status.projects], status.circuits) == (["plant"], [])
