"""Sweeps for late readings: what slots were predicted from, when that is compared, and what follows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest

from latigo.actions.backfill import cancel_backfill, pause_backfill
from latigo.domain.coverage import Coverage
from latigo.domain.outcome import Compared, Outcome, Stored
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger import sweep
from latigo.ledger.protocol import Claim
from latigo.postgres.ranges import to_coverage
from latigo.reports.backfills import Backfill, read_backfills
from latigo.scheduler.plan import Agenda
from tests.contracts.test_requests import CATCH_UP, ask, covered, lead, plan, settle, show
from tests.support.build import NOW, an_entry, at, lane_share, window
from tests.support.ledgers import Ledgers

HOUR = timedelta(hours=1)
SLOT = timedelta(minutes=30)
AGES = (6 * HOUR, 24 * HOUR)
DUE = window("10:00", "12:00")
#: The last of `DUE` reaches the ages here.
FIRST, SECOND = DUE.end + AGES[0], DUE.end + AGES[1]


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """Two models that were predicted from their beginning on, and what from."""
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry("fan", fold=4 * HOUR), an_entry("pump", fold=4 * HOUR)])
    await settle(ledgers, await plan(ledgers), predicted)
    return ledgers


def predicted(claim: Claim, cells: bytes = b"cells") -> Stored:
    slots = claim.window.slots(SLOT)
    return Stored(Coverage((claim.window,)), rows=1, fingerprints={slot.start: cells for slot in slots})


def compared(*moved: Window) -> Compared:
    return Compared(Coverage.of(moved))


async def begin(ledger: Ledgers, time: datetime) -> int | None:
    """Begin a sweep at a time at which nothing else is missing."""
    await ledger.set_clock(time)
    await ledger.fetch("UPDATE coverage SET covered = covered + tstzmultirange(tstzrange($1, $2))", DUE.start, time)
    return await ledger.scheduler.begin_sweep(await lead(ledger), AGES)


async def begun(ledger: Ledgers, time: datetime) -> int:
    number = await begin(ledger, time)
    assert number is not None
    return number


async def sweeps(ledger: Ledgers) -> Sequence[Backfill]:
    return list(reversed(await read_backfills(ledger.database)))


async def wanted(ledger: Ledgers, number: int) -> dict[str, Coverage]:
    rows = await ledger.fetch(
        "SELECT m.name, q.wanted FROM request_model q JOIN model m ON m.id = q.model_id"
        " WHERE q.request_id = $1 AND q.open",
        number,
    )
    return {str(row["name"]): to_coverage(row["wanted"]) for row in rows}


async def known(ledger: Ledgers, name: str = "pump") -> Mapping[object, object]:
    rows = await ledger.fetch(
        "SELECT f.low, f.cells FROM fingerprint f JOIN model m ON m.id = f.model_id WHERE m.name = $1 ORDER BY f.low",
        name,
    )
    return {row["low"]: row["cells"] for row in rows}


async def add_newer(ledger: Ledgers, start: datetime) -> None:
    """Have another slot of one model predicted as soon as it had ended."""
    await ledger.fetch(
        "INSERT INTO fingerprint SELECT id, $1, $2, $2, 'cells' FROM model WHERE name = 'pump'", start, start + SLOT
    )


async def test_a_slot_is_compared_when_it_has_reached_an_age_and_once_at_each(ledger: Ledgers):
    too_early = await begin(ledger, DUE.start + SLOT + AGES[0] - timedelta(seconds=1))
    number = await begun(ledger, at("17:00"))
    first = await wanted(ledger, number)
    claims = await plan(ledger)
    await settle(ledger, claims, lambda _: compared())
    ended = await show(ledger, number)
    again = await begin(ledger, at("20:30"))
    assert again is not None
    rest = await wanted(ledger, again)
    await settle(ledger, await plan(ledger), lambda _: compared())
    nothing = await begin(ledger, at("23:59"))
    last = await wanted(ledger, await begun(ledger, at("12:00", day=2)))

    assert too_early is None
    assert nothing is None
    assert first == dict.fromkeys(("fan", "pump"), Coverage((window("10:00", "11:00"),)))
    assert [(claim.ref.name, claim.window) for claim in claims] == [
        ("fan", window("10:00", "11:00")),
        ("pump", window("10:00", "11:00")),
    ]
    assert {claim.recorded is not None and tuple(claim.recorded.items()) for claim in claims} == {
        ((at("10:00"), b"cells"), (at("10:30"), b"cells"))
    }
    assert (ended.kind, ended.who, ended.state, ended.models, ended.slots) == ("sweep", "latigo", "done", 2, 4)
    assert (ended.start, ended.end) == (at("10:00"), at("11:00"))
    assert rest == dict.fromkeys(("fan", "pump"), Coverage((window("11:00", "12:00"),)))
    assert last == dict.fromkeys(("fan", "pump"), Coverage((DUE,)))


async def test_what_has_moved_stays_wanted_until_it_is_predicted_and_coverage_stays_meanwhile(ledger: Ledgers):
    number = await begun(ledger, FIRST)
    before = await covered(ledger, "pump")
    moved = window("10:30", "11:00")
    await settle(ledger, await plan(ledger), lambda claim: compared(*[moved] * (claim.ref.name == "pump")))
    left = await wanted(ledger, number)
    (claim,) = await plan(ledger)
    during = await covered(ledger, "pump")
    await settle(ledger, [claim], lambda claim: predicted(claim, b"newer"))

    assert left == {"pump": Coverage((moved,))}
    assert (claim.window, claim.recorded) == (moved, {moved.start: b""})
    assert before == during == await covered(ledger, "pump")
    assert (await show(ledger, number)).state == "done"
    assert list((await known(ledger)).values()) == [b"cells", b"newer", b"cells", b"cells"]
    assert await begin(ledger, FIRST + 3 * HOUR) is None
    history = await ledger.fetch("SELECT outcome, detail FROM task_history WHERE lane = 'manual' ORDER BY id")
    assert [(row["outcome"], row["detail"]) for row in history] == [
        (Outcome.COMPARED, "0 of 4 slots have moved"),
        (Outcome.COMPARED, "1 of 4 slots have moved"),
        (Outcome.STORED, ""),
    ]


async def test_what_was_not_compared_is_part_of_the_next_sweep_which_ends_the_one_before(ledger: Ledgers):
    number = await begun(ledger, FIRST)
    moved = window("10:00", "10:30")
    fan, pump = await plan(ledger)
    await settle(ledger, [pump], lambda _: compared(moved))
    assert await begin(ledger, FIRST + AGES[0] / 2 - timedelta(seconds=1)) is None
    later = await begun(ledger, FIRST + AGES[0] / 2)

    assert await wanted(ledger, number) == {}
    assert await wanted(ledger, later) == {"fan": Coverage((DUE,)), "pump": Coverage((moved,))}
    before, after = await sweeps(ledger)
    assert (before.state, before.note) == ("cancelled", f"superseded by request {later}")
    assert (after.state, after.slots) == ("active", 5)
    await settle(ledger, [fan], lambda _: compared())  # it was claimed, so it ends by itself
    assert [claim.recorded for claim in await plan(ledger) if claim.ref.name == "pump"] == [{moved.start: b""}]


async def test_a_prediction_without_it_and_one_whose_slots_are_not_covered_leave_nothing_to_compare(ledger: Ledgers):
    await begun(ledger, FIRST)
    fan, pump = await plan(ledger)
    await settle(ledger, [pump], lambda _: Stored(Coverage((DUE,)), fingerprints={DUE.start: b"newer"}))
    await settle(ledger, [fan], lambda _: Stored(Coverage((DUE,)), fingerprints={}))

    assert await known(ledger, "pump") == {DUE.start: b"newer"}
    assert await known(ledger, "fan") == {}


async def test_live_comes_before_it_and_it_counts_as_backfill(ledger: Ledgers):
    await begun(ledger, FIRST)
    await ledger.set_clock(FIRST + timedelta(minutes=35))

    agenda = Agenda.of(await ledger.scheduler.needs(CATCH_UP))
    live = agenda.take(2, 0, lane_share())

    assert [planned.lane for planned in live] == [Lane.LIVE, Lane.LIVE]
    assert [planned.lane for planned in agenda.take(10, 10, lane_share())] == [Lane.MANUAL, Lane.MANUAL]


async def test_only_so_many_of_its_tasks_are_out_at_once(ledger: Ledgers, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sweep, "AT_MOST", 1)
    number = await begun(ledger, FIRST)

    assert [claim.ref.name for claim in await plan(ledger)] == ["fan"]
    assert (await show(ledger, number)).at_most == 1


async def test_a_sweep_has_only_so_many_models_and_those_that_have_waited_longest(
    ledger: Ledgers, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sweep, "MOST_MODELS", 1)
    first = await wanted(ledger, await begun(ledger, FIRST))
    await settle(ledger, await plan(ledger), lambda _: compared())
    second = await wanted(ledger, await begun(ledger, FIRST + 3 * HOUR))

    assert [list(first), list(second)] == [["fan"], ["pump"]]


async def test_a_person_may_pause_it_and_what_is_cancelled_is_due_still(ledger: Ledgers):
    number = await begun(ledger, FIRST)
    await pause_backfill(ledger.database, "operator@host", number)
    paused = await begin(ledger, FIRST + 12 * HOUR)
    await cancel_backfill(ledger.database, "operator@host", number)

    assert paused is None
    assert await wanted(ledger, await begun(ledger, FIRST + 12 * HOUR)) == dict.fromkeys(
        ("fan", "pump"), Coverage((DUE,))
    )


async def test_what_a_person_wants_replaced_is_not_compared(ledger: Ledgers):
    await ask(ledger, DUE, "plant/pump", kind="replace")
    (claim,) = await plan(ledger)

    assert (claim.window, claim.recorded) == (DUE, None)


async def test_models_that_are_not_predicted_are_not_compared(ledger: Ledgers):
    await ledger.fetch("UPDATE model SET paused = true WHERE name = 'fan'")

    assert list(await wanted(ledger, await begun(ledger, FIRST))) == ["pump"]


async def test_nothing_is_kept_of_slots_that_are_not_read_again(ledger: Ledgers):
    await begun(ledger, FIRST)
    await settle(ledger, await plan(ledger), lambda _: compared())
    await begun(ledger, SECOND)
    await settle(ledger, await plan(ledger), lambda _: compared())
    await add_newer(ledger, DUE.end)
    await begun(ledger, SECOND + 3 * HOUR)

    assert await known(ledger) == {DUE.end: b"cells"}


async def test_nor_of_slots_that_are_not_those_of_the_model_any_more(ledger: Ledgers):
    await ledger.fetch("UPDATE model SET slot = '1 hour' WHERE name = 'pump'")

    assert list(await wanted(ledger, await begun(ledger, FIRST))) == ["fan"]
    assert await known(ledger) == {}


async def test_sweeps_that_ended_a_while_ago_are_deleted(ledger: Ledgers):
    first = await begun(ledger, FIRST)
    await settle(ledger, await plan(ledger), lambda _: compared())
    await show(ledger, first)
    second = await begun(ledger, SECOND)
    both = [each.id for each in await sweeps(ledger)]
    await settle(ledger, await plan(ledger), predicted)
    await add_newer(ledger, DUE.end)
    third = await begun(ledger, FIRST + timedelta(days=2, minutes=1))

    assert both == [first, second]
    assert [each.id for each in await sweeps(ledger)] == [second, third]


async def test_when_sweeps_are_off_nothing_is_left_of_them(ledger: Ledgers):
    number = await begun(ledger, FIRST)
    await ledger.scheduler.end_sweeps(await lead(ledger))

    (ended,) = await sweeps(ledger)
    after = await known(ledger)
    await add_newer(ledger, DUE.end)  # by an executor that is set otherwise
    await ledger.scheduler.end_sweeps(await lead(ledger))

    assert (ended.id, ended.state, ended.note) == (number, "cancelled", "late_data.sweep is off")
    assert after == await known(ledger) == {}
    assert await plan(ledger) == []


async def test_what_is_settled_without_it_leaves_nothing(ledgers: Ledgers):
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry("pump", fold=4 * HOUR)])
    claims = await plan(ledgers)
    await settle(ledgers, claims)

    assert [claim.recorded for claim in claims] == [None]
    assert await known(ledgers) == {}
    assert await begin(ledgers, FIRST) is None
    assert await sweeps(ledgers) == []
