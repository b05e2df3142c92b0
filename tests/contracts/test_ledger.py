"""What the ledger on PostgreSQL promises to the roles together; to each, see ``test_*_ledger.py``."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import get_args

import asyncpg
import pytest

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason
from latigo.domain.model import ModelRef
from latigo.domain.outcome import (
    NO_FINITE_VALUES,
    Crashed,
    Deferred,
    Rejected,
    Retry,
    Settlement,
    SlotException,
    SlotState,
    Split,
    Stored,
)
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Claim, ExecutorInfo, LeaseLost, Need, Planned, Term
from latigo.ledger.shared import read_identity
from latigo.postgres.migrate import migrate
from latigo.postgres.ranges import to_coverage
from latigo.reports.models import read_models
from tests.support.build import CONNECT_TIMEOUT, HALF_HOUR, NOW, an_entry, at, window
from tests.support.ledgers import VERSION, Ledgers, open_ledgers
from tests.support.postgres import fresh_database

LEASE = timedelta(seconds=30)
CATCH_UP = timedelta(days=30)


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    return ledgers


async def lead(ledger: Ledgers, holder: str = "scheduler-1") -> Term:
    term = await ledger.scheduler.acquire_lease(holder, timedelta(seconds=15))
    assert term is not None
    return term


async def needs(ledger: Ledgers) -> dict[str, Need]:
    return {need.ref.name: need for need in await ledger.scheduler.needs(CATCH_UP)}


async def plan(ledger: Ledgers, lane: Lane = Lane.LIVE, name: str = "pump") -> int:
    """Plan the one window that the model needs in this lane; the id of the task."""
    term = await lead(ledger)
    need = (await needs(ledger))[name]
    planned = Planned(need.model_id, need.epoch, need.windows[lane], lane)
    assert await ledger.scheduler.plan(term, [planned]) == 1
    return max(task.id for task in await ledger.scheduler.unpublished(term, 100) if task.model.ref.name == name)


async def claimed(ledger: Ledgers, lane: Lane = Lane.LIVE, name: str = "pump") -> Claim:
    task_id = await plan(ledger, lane, name)
    claim = await ledger.claim(task_id, 1, "executor-1", LEASE)
    assert claim is not None
    return claim


async def covered(ledger: Ledgers, name: str = "pump") -> list[tuple[object, object]]:
    rows = await ledger.fetch("SELECT covered FROM v_coverage WHERE model = $1", name)
    return [(part.lower, part.upper) for part in rows[0]["covered"]]  # type: ignore[attr-defined]


async def test_a_new_model_needs_its_whole_horizon_as_one_live_window(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])

    need = (await needs(ledger))["pump"]

    assert need.windows == {Lane.LIVE: window("10:00", "12:00")}


async def test_a_window_is_never_longer_than_the_fold_and_the_rest_is_backfill(ledger: Ledgers):
    await ledger.models.put_models([an_entry(fold=timedelta(hours=1))])

    need = (await needs(ledger))["pump"]

    assert need.windows == {Lane.LIVE: window("11:00", "12:00"), Lane.BACKFILL: window("10:00", "11:00")}


async def test_a_slot_is_due_only_after_its_delay(ledger: Ledgers):
    await ledger.models.put_models([an_entry(delay=timedelta(minutes=8))])

    need = (await needs(ledger))["pump"]

    assert need.windows.get(Lane.LIVE) == window("10:00", "11:30")


async def test_what_is_out_is_not_needed_again(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])

    await plan(ledger)

    assert await needs(ledger) == {}


async def test_settling_covers_the_window_and_ends_the_need(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)

    counted = await ledger.executor.settle([(claim, Stored.in_full(window("10:00", "12:00"), rows=12))])

    assert counted == {claim.task_id}
    assert await covered(ledger) == [(at("10:00"), at("12:00"))]
    assert await needs(ledger) == {}
    history = await ledger.fetch("SELECT state, lane, attempts, starts FROM v_tasks")
    assert history == [{"state": "stored", "lane": "live", "attempts": 0, "starts": 1}]


async def test_a_task_is_claimed_by_one_executor_only(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    task_id = await plan(ledger)

    first = await ledger.claim(task_id, 1, "executor-1", LEASE)
    second = await ledger.claim(task_id, 1, "executor-2", LEASE)

    assert first is not None
    assert second is None


async def test_a_claim_whose_lease_has_run_out_can_be_taken_over_and_its_settle_adds_nothing(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    first = await claimed(ledger)
    await ledger.set_clock(NOW + timedelta(seconds=31))

    second = await ledger.claim(first.task_id, 1, "executor-2", LEASE)
    late = await ledger.executor.settle([(first, Stored.in_full(window("10:00", "12:00")))])

    assert second is not None
    assert second.isolated
    assert late == frozenset()
    assert await covered(ledger) == []


async def test_a_renewed_lease_does_not_run_out(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)

    await ledger.set_clock(NOW + timedelta(seconds=20))
    assert await ledger.executor.renew([claim], LEASE) == {claim.task_id}
    await ledger.set_clock(NOW + timedelta(seconds=40))

    assert await ledger.claim(claim.task_id, 1, "executor-2", LEASE) is None


async def test_a_settle_under_an_old_epoch_adds_nothing(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)

    await ledger.models.put_models([an_entry(revision="1001")])
    counted = await ledger.executor.settle([(claim, Stored.in_full(window("10:00", "12:00")))])

    assert counted == frozenset()
    assert await covered(ledger) == []


async def test_a_new_revision_raises_the_epoch_and_an_older_one_is_ignored(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])

    assert await ledger.models.put_models([an_entry(revision="1001")]) == 1
    assert await ledger.models.put_models([an_entry(revision="1001")]) == 0
    assert await ledger.models.put_models([an_entry(revision="999")]) == 0

    assert await ledger.fetch("SELECT revision, epoch FROM v_models") == [{"revision": "1001", "epoch": 2}]


async def test_a_changed_dataset_configuration_raises_the_epoch_within_a_revision(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])

    assert await ledger.models.put_models([an_entry(tags=("a", "c"))]) == 1

    assert await ledger.fetch("SELECT epoch FROM v_models") == [{"epoch": 2}]


async def test_an_absent_slot_is_rechecked_after_1_then_6_then_24_hours_and_then_is_final(ledger: Ledgers):
    await ledger.models.put_models([an_entry(horizon=HALF_HOUR)])
    slot = window("11:30", "12:00")
    absent = Stored(exceptions=[SlotException(SlotState.ABSENT, Coverage((slot,)), "no 'a'")])
    gaps = []
    now = NOW
    claim = await claimed(ledger)
    for _ in range(3):
        await ledger.executor.settle([(claim, absent)])
        (row,) = await ledger.fetch("SELECT next_look FROM v_exceptions WHERE slot @> $1::timestamptz", slot.start)
        gaps.append(row["next_look"] - now)  # type: ignore[operator]
        now = row["next_look"]  # type: ignore[assignment]
        # keep everything newer covered, so that the old slot is the only thing to do
        await ledger.set_clock(now)
        await ledger.fetch(
            "UPDATE coverage SET covered = tstzmultirange(tstzrange($1::timestamptz, $1 + interval '40 hours'))",
            slot.end,
        )
        claim = await claimed(ledger, Lane.BACKFILL)
    await ledger.executor.settle([(claim, absent)])

    assert gaps == [timedelta(hours=1), timedelta(hours=6), timedelta(hours=24)]
    (row,) = await ledger.fetch("SELECT next_look, state, reason FROM v_exceptions")
    assert row == {"next_look": None, "state": "absent", "reason": "no 'a'"}


async def test_while_a_model_is_silent_only_its_newest_slot_is_tried_and_all_come_back_with_the_data(ledger: Ledgers):
    await ledger.models.put_models([an_entry(horizon=timedelta(hours=1))])
    silent = window("11:00", "12:00")
    exception = SlotException(SlotState.ABSENT, Coverage((silent,)), "no 'a'")
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, Stored(exceptions=[exception], silent_since=silent.start))])

    await ledger.set_clock(at("14:07"))
    while_silent = (await needs(ledger))["pump"]
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, Stored.in_full(window("13:30", "14:00")))])
    returned = (await needs(ledger))["pump"]

    assert while_silent.windows == {Lane.LIVE: window("13:30", "14:00")}
    assert returned.windows == {Lane.BACKFILL: window("11:00", "13:30")}


async def silent(ledger: Ledgers, now: datetime) -> Window:
    """Settle the newest slot of the model as without readings."""
    await ledger.set_clock(now)
    need = (await needs(ledger))["pump"]
    claim = await claimed(ledger)
    exception = SlotException(SlotState.ABSENT, Coverage((need.windows[Lane.LIVE],)), "no 'a'")
    ended = Stored(exceptions=[exception], silent_since=need.windows[Lane.LIVE].start)
    await ledger.executor.settle([(claim, ended)])
    return need.windows[Lane.LIVE]


@pytest.mark.parametrize("ours", ["fan", "pump"])
async def test_the_silence_of_one_model_is_not_that_of_another(ledger: Ledgers, ours: str):
    (others,) = {"fan", "pump"} - {ours}
    for name in ("fan", "pump"):
        await ledger.models.put_models([an_entry(name, horizon=timedelta(hours=1))])
    absent = [SlotException(SlotState.ABSENT, Coverage((window("11:00", "12:00"),)), "no 'a'")]
    silence = Stored(exceptions=absent, silent_since=at("11:00"))
    await ledger.executor.settle([(await claimed(ledger, name=others), silence)])
    await ledger.executor.settle([(await claimed(ledger, name=ours), Stored(exceptions=absent))])

    await ledger.set_clock(at("12:37"))
    claim = await claimed(ledger, name=ours)
    await ledger.executor.settle([(claim, Stored.in_full(window("12:00", "12:30")))])

    assert ours not in await needs(ledger), "its exceptions are rechecked after an hour, as before"


async def test_however_long_a_model_is_silent_its_exceptions_take_two_rows_until_the_data_returns(ledger: Ledgers):
    await ledger.models.put_models([an_entry(horizon=HALF_HOUR)])
    now, tried = NOW, []
    for number in range(10):
        tried.append(await silent(ledger, now))
        now += HALF_HOUR + timedelta(microseconds=number)
    silence = Window(tried[0].start, tried[-1].end)
    while_silent = await ledger.fetch("SELECT slots, next_look = 'infinity' AS final FROM slot_exception ORDER BY 2")

    await ledger.set_clock(now)
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, Stored.in_full(window("16:30", "17:00")))])

    assert silence == window("11:30", "16:30")
    assert [(to_coverage(row["slots"]), row["final"]) for row in while_silent] == [
        (Coverage((tried[-1],)), False),
        (Coverage((Window(silence.start, tried[-1].start),)), True),
    ]
    assert await ledger.fetch("SELECT next_look FROM slot_exception") == [{"next_look": now}]
    assert (await needs(ledger))["pump"].windows.get(Lane.BACKFILL) == silence


async def test_the_newest_slot_of_a_silent_model_is_rechecked_while_it_is_the_newest(ledger: Ledgers):
    day = timedelta(days=1)
    await ledger.models.put_models([an_entry(slot=day, horizon=day)])
    tried = []
    for hours in (0, 1, 7):
        tried.append(await silent(ledger, NOW + timedelta(hours=hours)))
        assert await needs(ledger) == {}

    assert tried == [Window(at("00:00") - day, at("00:00"))] * 3


def without_values(*windows: Window) -> Stored:
    """The model answered nothing finite in these windows."""
    return Stored(exceptions=[SlotException(SlotState.ABSENT, Coverage.of(windows), NO_FINITE_VALUES)], values=4)


async def test_when_a_model_answers_finite_values_again_what_leads_up_to_them_is_rechecked_and_heals(ledger: Ledgers):
    await ledger.models.put_models([an_entry(horizon=timedelta(hours=1))])
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, without_values(window("11:00", "12:00")))])
    await ledger.fetch("UPDATE slot_exception SET looks = 3, next_look = 'infinity'")  # a day and a half later
    lacking = await needs(ledger)

    await ledger.set_clock(at("12:37"))
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, Stored.in_full(window("12:00", "12:30")))])
    returned = (await needs(ledger))["pump"]
    claim = await claimed(ledger, Lane.BACKFILL)
    await ledger.executor.settle([(claim, Stored.in_full(window("11:00", "12:00")))])

    assert lacking == {}
    assert returned.windows == {Lane.BACKFILL: window("11:00", "12:00")}
    assert await covered(ledger) == [(at("11:00"), at("12:30"))]
    assert await ledger.fetch("SELECT * FROM slot_exception") == []


async def test_a_model_that_alternates_repeats_each_slot_once(ledger: Ledgers):
    await ledger.models.put_models([an_entry(horizon=HALF_HOUR)])
    repeated = []
    for number in range(6):
        slot = window("11:30", "12:00")
        slot = Window(slot.start + number * HALF_HOUR, slot.end + number * HALF_HOUR)
        await ledger.set_clock(NOW + number * HALF_HOUR)
        claim = await claimed(ledger)
        await ledger.executor.settle([(claim, Stored.in_full(slot) if number % 2 else without_values(slot))])
        while (need := (await needs(ledger)).get("pump")) and (again := need.windows.get(Lane.BACKFILL)):
            repeated.append(again)
            claim = await claimed(ledger, Lane.BACKFILL)
            await ledger.executor.settle([(claim, without_values(again))])

    assert repeated == [window("11:30", "12:00"), window("12:30", "13:00"), window("13:30", "14:00")]


async def test_the_share_of_values_that_are_not_finite_is_that_of_the_newest_answer(ledger: Ledgers):
    await ledger.models.put_models([an_entry(fold=timedelta(hours=1))])
    shares = [await not_finite_share(ledger)]
    live, backfill = await claimed(ledger), await claimed(ledger, Lane.BACKFILL)
    half = Stored(Coverage((window("11:00", "12:00"),)), values=8, not_finite=4)
    silent = SlotException(SlotState.ABSENT, Coverage((window("10:00", "11:00"),)), "no 'a'")

    await ledger.executor.settle([(live, half)])
    shares.append(await not_finite_share(ledger))
    await ledger.executor.settle([(backfill, Stored(exceptions=[silent]))])
    shares.append(await not_finite_share(ledger))
    await ledger.set_clock(at("12:37"))
    await ledger.executor.settle(
        [(await claimed(ledger), Stored(Coverage((window("12:00", "12:30"),)), values=8, not_finite=0))]
    )
    shares.append(await not_finite_share(ledger))

    assert shares == [None, 0.5, 0.5, 0]


async def not_finite_share(ledger: Ledgers) -> float | None:
    (model,) = await read_models(ledger.database)
    return model.not_finite_share


async def test_a_settle_keeps_the_exceptions_of_other_slots_unless_they_become_alike(ledger: Ledgers):
    await ledger.models.put_models([an_entry(fold=timedelta(hours=1))])
    await ledger.fetch(
        "INSERT INTO slot_exception SELECT id, 'short', reason, looks, next_look, slots::tstzmultirange FROM model,"
        " (VALUES ('no b', 2, $1::timestamptz, '{[2026-03-01 10:00Z, 2026-03-01 10:30Z)}'),"
        "         ('no a', 3, 'infinity', '{[2026-03-01 10:30Z, 2026-03-01 11:00Z)}'),"
        "         ('no a', 3, $1 - interval '1 day', '{[2026-03-01 11:00Z, 2026-03-01 11:30Z)}'))"
        " AS e (reason, looks, next_look, slots)",
        NOW + timedelta(hours=1),
    )
    claim = await claimed(ledger)
    before = await ledger.fetch("SELECT ctid, xmin, e FROM slot_exception e WHERE reason = 'no b'")

    result = SlotException(SlotState.SHORT, Coverage((window("11:00", "11:30"),)), "no a")
    ended = Stored(Coverage((window("11:30", "12:00"),)), [result])
    await ledger.executor.settle([(claim, ended)])

    assert await ledger.fetch("SELECT ctid, xmin, e FROM slot_exception e WHERE reason = 'no b'") == before
    (final,) = await ledger.fetch("SELECT slots FROM slot_exception WHERE reason = 'no a' AND next_look = 'infinity'")
    assert to_coverage(final["slots"]) == Coverage((window("10:30", "11:30"),))


async def test_slots_that_become_final_alike_share_a_row_also_when_tasks_are_settled_together(ledger: Ledgers):
    await ledger.models.put_models([an_entry(fold=timedelta(hours=1), horizon=timedelta(hours=3))])
    await ledger.fetch(
        "INSERT INTO slot_exception SELECT id, 'short', 'no a', looks, next_look, slots::tstzmultirange FROM model,"
        " (VALUES (3, 'infinity', '{[2026-03-01 10:30Z, 2026-03-01 11:00Z)}'),"
        "         (2, $1::timestamptz, '{[2026-03-01 11:30Z, 2026-03-01 12:00Z)}')) AS e (looks, next_look, slots)",
        NOW,
    )
    live, back = await claimed(ledger), await claimed(ledger, Lane.BACKFILL)

    def short(covered: Window, slot: Window) -> Settlement:
        return Stored(Coverage((covered,)), [SlotException(SlotState.SHORT, Coverage((slot,)), "no a")])

    await ledger.executor.settle(
        [
            (live, short(window("11:00", "11:30"), window("11:30", "12:00"))),
            (back, short(window("09:30", "10:00"), window("10:00", "10:30"))),
        ]
    )

    rows = await ledger.fetch("SELECT slots, looks FROM slot_exception ORDER BY looks")
    assert [(row["looks"], to_coverage(row["slots"])) for row in rows] == [
        (0, Coverage((window("10:00", "10:30"),))),
        (3, Coverage((window("10:30", "11:00"), window("11:30", "12:00")))),
    ]


async def test_a_failed_task_waits_with_its_window_and_is_parked_after_its_attempts(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)
    now = NOW
    for attempt in range(1, 5):
        await ledger.executor.settle([(claim, Retry(detail="server said 500"))])
        assert all(need.windows[Lane.LIVE].start >= at("12:00") for need in (await needs(ledger)).values())
        (row,) = await ledger.fetch("SELECT state, attempts FROM v_tasks WHERE state = 'waiting'")
        assert row == {"state": "waiting", "attempts": attempt}
        now += timedelta(hours=1)
        await ledger.set_clock(now)
        term = await lead(ledger)
        assert await ledger.scheduler.wake_waiting(term, blocked=["plant"], most=10) == 0
        assert await ledger.scheduler.wake_waiting(term, blocked=[], most=10) == 1
        again = await ledger.claim(claim.task_id, 1, "executor-1", LEASE)
        assert again is not None
        assert (again.attempts, again.isolated) == (attempt, False)
        claim = again

    await ledger.executor.settle([(claim, Retry(detail="a long traceback, " * 500 + "server said 500"))])

    (parked,) = await ledger.fetch("SELECT reason, detail, windows FROM v_parked")
    assert await ledger.fetch("SELECT id, state FROM v_tasks") == [{"id": claim.task_id, "state": "rejected"}]
    assert parked["reason"] == "attempts"
    assert "server said 500" in str(parked["detail"])
    assert [(part.lower, part.upper) for part in parked["windows"]] == [(at("10:00"), at("12:00"))]  # type: ignore[attr-defined]


async def test_back_off_honours_what_the_server_asks_for(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)

    await ledger.executor.settle([(claim, Retry(detail="x", retry_after=timedelta(hours=3)))])

    assert await ledger.fetch("SELECT not_before FROM task") == [{"not_before": NOW + timedelta(hours=3)}]


async def test_a_deferred_task_costs_no_attempt_and_folds_with_what_came_since(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)

    await ledger.executor.settle([(claim, Deferred(downstream="gordo/plant"))])
    at_once = await needs(ledger)
    await ledger.set_clock(at("13:07"))
    later = (await needs(ledger))["pump"]

    assert at_once == {}
    assert later.windows.get(Lane.LIVE) == window("10:00", "13:00")


async def test_one_outage_holds_a_model_no_longer_for_a_run_of_windows(ledger: Ledgers):
    await ledger.models.put_models([an_entry(fold=HALF_HOUR)])
    term, need = await lead(ledger), (await needs(ledger))["pump"]
    first = Planned(need.model_id, need.epoch, need.windows[Lane.BACKFILL], Lane.BACKFILL)
    run = [first, *(replace(first, window=window(*span)) for span in (("10:30", "11:00"), ("10:00", "10:30")))]
    await ledger.scheduler.plan(term, run)
    tasks = await ledger.scheduler.unpublished(term, 100)
    claims = [claim for task in tasks if (claim := await ledger.claim(task.id, 1, "executor-1", LEASE))]

    away = Deferred(downstream="gordo/plant")
    await ledger.executor.settle([(claims[0], away), (claims[1], away)])
    await ledger.set_clock(NOW + timedelta(seconds=10))
    await ledger.executor.settle([(claims[2], away)])

    (row,) = await ledger.fetch("SELECT deferrals, hold_until - ledger_now() AS held FROM coverage")
    assert (len(claims), row["deferrals"]) == (3, 1)
    assert row["held"] <= timedelta(seconds=2)  # type: ignore[operator]


KEEP_RESULTS = [kind for kind in get_args(Settlement) if "stored_in" in {each.name for each in fields(kind)}]


@pytest.mark.parametrize("kind", KEEP_RESULTS)
async def test_a_task_remembers_which_sinks_have_its_result(ledger: Ledgers, kind: Callable[..., Deferred | Retry]):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, kind(stored_in=["sink/influx"]))])
    await ledger.set_clock(NOW + timedelta(minutes=5))
    await ledger.scheduler.wake_waiting(await lead(ledger), blocked=[], most=10)

    again = await ledger.claim(claim.task_id, 1, "executor-1", LEASE)

    assert again is not None
    assert again.stored_in == {"sink/influx"}
    assert again.attempts == (1 if kind is Retry else 0)


async def test_a_rejected_model_is_parked_as_a_whole_until_a_new_revision(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)

    await ledger.executor.settle([(claim, Rejected(detail="gone", reason=Reason.MODEL_GONE, whole_model=True))])
    await ledger.set_clock(at("18:00"))
    while_parked = await needs(ledger)
    await ledger.models.put_models([an_entry(revision="1001")])
    afterwards = await needs(ledger)

    assert while_parked == {}
    assert afterwards["pump"].windows.get(Lane.LIVE) == window("10:00", "17:30")


async def test_a_window_that_was_too_large_is_planned_again_in_halves(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)

    await ledger.executor.settle([(claim, Split(detail="413"))])

    assert (await needs(ledger))["pump"].windows.get(Lane.LIVE) == window("11:00", "12:00")


async def test_a_model_that_only_answers_on_prediction_is_remembered_for_its_revision(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, Stored(Coverage((window("10:00", "12:00"),)), prediction_only=True))])

    same_revision = await ledger.fetch("SELECT anomaly FROM model")
    await ledger.set_clock(NOW + timedelta(hours=1))
    await plan(ledger)
    (task,) = await ledger.scheduler.unpublished(await lead(ledger), 10)
    await ledger.models.put_models([an_entry(revision="1001")])
    next_revision = await ledger.fetch("SELECT anomaly FROM model")

    assert (same_revision, next_revision) == ([{"anomaly": False}], [{"anomaly": None}])
    assert task.model.anomaly is False


async def test_what_is_learnt_is_learnt_of_one_model_and_nothing_else_with_it(ledger: Ledgers):
    await ledger.models.put_models([an_entry(name) for name in ("fan", "pump", "valve")])
    fan, pump = await claimed(ledger, name="fan"), await claimed(ledger, name="pump")

    answers = Stored(Coverage((window("10:00", "12:00"),)), prediction_only=True)
    await ledger.executor.settle([(fan, answers), (pump, Deferred("404", stale_metadata=True))])

    rows = await ledger.fetch("SELECT name, anomaly, stale_metadata FROM model ORDER BY name")
    assert [tuple(row.values()) for row in rows] == [
        ("fan", False, False),
        ("pump", None, True),
        ("valve", None, False),
    ]


async def test_one_scheduler_plans_and_another_takes_over_when_its_lease_runs_out(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    first = await lead(ledger, "scheduler-1")
    need = (await needs(ledger))["pump"]
    planned = [Planned(need.model_id, need.epoch, need.windows[Lane.LIVE], Lane.LIVE)]

    assert await ledger.scheduler.acquire_lease("scheduler-2", timedelta(seconds=15)) is None
    await ledger.set_clock(NOW + timedelta(seconds=16))
    second = await lead(ledger, "scheduler-2")

    assert second.number > first.number
    with pytest.raises(LeaseLost):
        await ledger.scheduler.plan(first, planned)
    assert await ledger.scheduler.plan(second, planned) == 1


async def test_a_lease_that_was_dropped_can_be_taken_at_once(ledger: Ledgers):
    await ledger.scheduler.release_lease(await lead(ledger, "scheduler-1"))

    assert await ledger.scheduler.acquire_lease("scheduler-2", timedelta(seconds=15)) is not None


async def test_a_task_that_is_not_marked_is_published_again_and_a_marked_one_is_not(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    task_id = await plan(ledger)
    term = await lead(ledger)

    again = [task.id for task in await ledger.scheduler.unpublished(term, 10)]
    await ledger.scheduler.mark_published(term, {task_id: "queue-1"})
    marked = await ledger.scheduler.unpublished(term, 10)

    assert (again, marked) == ([task_id], [])


async def test_tasks_in_the_queue_of_a_process_that_is_gone_are_published_again(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    task_id = await plan(ledger)
    term = await lead(ledger)
    await ledger.scheduler.mark_published(term, {task_id: "queue-1"})

    same = await ledger.scheduler.recover(term, "queue-1", isolated_starts=3, version="test")
    other = await ledger.scheduler.recover(term, "queue-2", isolated_starts=3, version="test")

    assert (same["lost"], other["lost"]) == (0, 1)
    assert [task.id for task in await ledger.scheduler.unpublished(term, 10)] == [task_id]


@pytest.mark.parametrize(
    ("partition", "drained_to", "lost"),
    [("3", NOW + timedelta(seconds=1), 1), ("3", NOW, 0), ("3", None, 0), ("4", NOW + timedelta(seconds=1), 0)],
)
async def test_an_unclaimed_task_whose_partition_was_drained_since_it_was_published_is_published_again(
    ledger: Ledgers, partition: str, drained_to: datetime | None, lost: int
):
    await ledger.models.put_models([an_entry()])
    task_id = await plan(ledger)
    term = await lead(ledger)
    await ledger.scheduler.mark_published(term, {task_id: "hub#3"})
    await ledger.fetch(
        "INSERT INTO queue_partition (channel, consumer_group, partition, begin_sequence, last_sequence, read_at,"
        " drained_to) VALUES ('hub', 'group', $1, 0, 9, $2, $3)",
        partition,
        NOW,
        drained_to,
    )

    recovered = await ledger.scheduler.recover(term, "hub", isolated_starts=3, version="test")

    assert recovered["lost"] == lost
    assert len(await ledger.scheduler.unpublished(term, 10)) == lost


async def test_a_task_in_an_envelope_that_an_executor_could_not_read_is_published_again(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    task_id = await plan(ledger)
    term = await lead(ledger)
    await ledger.scheduler.mark_published(term, {task_id: "hub#3"})

    before = await ledger.scheduler.recover(term, "hub", isolated_starts=3, version="test")
    await ledger.fetch(
        "INSERT INTO queue_refused (channel, partition, sequence, task_id, reason, detail, at)"
        " VALUES ('hub', '3', 17, $1, 'too_new', 'version 2 is newer than 1', $2)",
        task_id,
        NOW + timedelta(seconds=1),
    )
    after = await ledger.scheduler.recover(term, "hub", isolated_starts=3, version="test")
    await ledger.set_clock(NOW + timedelta(seconds=2))
    await ledger.scheduler.mark_published(term, {task_id: "hub#3"})
    later = await ledger.scheduler.recover(term, "hub", isolated_starts=3, version="test")

    assert (before["lost"], after["lost"], later["lost"]) == (0, 1, 0)


async def test_a_task_that_no_message_can_hold_is_parked(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    task_id = await plan(ledger)
    await ledger.fetch(
        "INSERT INTO queue_refused (channel, partition, task_id, reason, detail, at)"
        " VALUES ('hub', '3', $1, 'too_large', '300000 bytes', $2)",
        task_id,
        NOW,
    )

    recovered = await ledger.scheduler.recover(await lead(ledger), "hub", isolated_starts=3, version="test")

    assert recovered["parked"] == 1
    assert await ledger.fetch("SELECT reason, detail FROM v_parked") == [
        {"reason": "task_too_large", "detail": "300000 bytes"}
    ]
    assert await needs(ledger) == {}


async def test_tasks_of_a_paused_model_are_not_published(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    await plan(ledger)
    await ledger.fetch("UPDATE model SET paused = true")

    assert await ledger.scheduler.unpublished(await lead(ledger), 10) == []


async def test_what_is_out_is_counted_by_lane_and_what_waits_for_another_attempt_is_not(ledger: Ledgers):
    names = {"live": Lane.LIVE, "back": Lane.BACKFILL, "repair": Lane.REPAIR, "manual": Lane.MANUAL, "waits": Lane.LIVE}
    await ledger.models.put_models([an_entry(name) for name in names])
    term = await lead(ledger)
    lacking = await needs(ledger)
    await ledger.scheduler.plan(
        term,
        [Planned(lacking[n].model_id, 1, lacking[n].windows[Lane.LIVE], lane) for n, lane in names.items()],
    )
    (waits,) = [task for task in await ledger.scheduler.unpublished(term, 10) if task.ref.name == "waits"]
    claim = await ledger.claim(waits.id, 1, "executor-1", LEASE)
    assert claim is not None
    await ledger.executor.settle([(claim, Retry())])

    out = await ledger.scheduler.outstanding()

    assert (out.lanes, out.waiting) == (dict.fromkeys(Lane, 1), 1)
    assert (out.total, out.background) == (4, 3)


@pytest.mark.parametrize("lane", Lane)
async def test_a_task_that_waits_is_counted_in_no_lane(ledger: Ledgers, lane: Lane):
    await ledger.models.put_models([an_entry()])
    need = (await needs(ledger))["pump"]
    term = await lead(ledger)
    await ledger.scheduler.plan(term, [Planned(need.model_id, 1, need.windows[Lane.LIVE], lane)])
    (task,) = await ledger.scheduler.unpublished(term, 10)
    claim = await ledger.claim(task.id, 1, "executor-1", LEASE)
    assert claim is not None
    await ledger.executor.settle([(claim, Retry())])

    out = await ledger.scheduler.outstanding()

    assert (out.total, out.waiting) == (0, 1)


async def test_what_was_settled_counts_for_two_minutes(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    await ledger.executor.settle([(await claimed(ledger), Stored.in_full(window("10:00", "12:00")))])

    async def settled_after(time: timedelta) -> int:
        await ledger.set_clock(NOW + time)
        return (await ledger.scheduler.outstanding()).settled

    two = timedelta(minutes=2)
    assert [await settled_after(time) for time in (two - timedelta(seconds=1), two)] == [1, 0]


async def test_history_has_of_each_task_what_it_was_and_how_it_ended(ledger: Ledgers):
    await ledger.models.put_models([an_entry("fan"), an_entry("pump", revision="2000")])
    claims = [await claimed(ledger, name=name) for name in ("fan", "pump")]
    await ledger.set_clock(NOW + timedelta(seconds=5))
    stored, refused = Stored.in_full(window("10:00", "12:00"), rows=12), Rejected(Reason.VALUES_REFUSED, "too hot")
    await ledger.executor.settle([(claims[0], stored), (claims[1], refused)])

    rows = await ledger.fetch("SELECT * FROM task_history ORDER BY revision")

    assert [(row["id"], row["revision"], row["outcome"], row["reason"], row["detail"]) for row in rows] == [
        (claims[0].task_id, "1000", "stored", "", ""),
        (claims[1].task_id, "2000", "rejected", "values_refused", "too hot"),
    ]
    assert [(row["rows"], row["covered"]) for row in rows] == [(12, timedelta(hours=2)), (0, timedelta(0))]
    for row in rows:
        assert (row["lane"], row["epoch"], row["attempts"], row["starts"]) == ("live", 1, 0, 1)
        assert (row["claimed_by"], row["claimed_at"]) == ("executor-1", NOW)
        assert (row["planned_at"], row["settled_at"]) == (NOW, NOW + timedelta(seconds=5))


async def test_the_newest_envelope_that_every_executor_reads_is_known(ledger: Ledgers):
    none = (await ledger.scheduler.outstanding()).readable
    await ledger.executor.register(ExecutorInfo("new", "2", 1, 3, 8))
    await ledger.executor.register(ExecutorInfo("old", "1", 1, 2, 8))
    both = (await ledger.scheduler.outstanding()).readable
    await ledger.set_clock(NOW + timedelta(minutes=3))
    await ledger.executor.heartbeat("new", in_flight=0, limit=1, concurrency=8)

    assert (none, both) == (None, 2)
    assert (await ledger.scheduler.outstanding()).readable == 3


async def test_a_task_that_kills_its_process_in_three_isolated_starts_is_parked(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)
    now = NOW
    for _ in range(3):
        now += timedelta(seconds=31)
        await ledger.set_clock(now)
        await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")
        again = await ledger.claim(claim.task_id, 1, "executor-1", LEASE)
        assert again is not None
        assert again.isolated
        assert await ledger.executor.start_isolated(again, LEASE)

    await ledger.set_clock(now + timedelta(seconds=31))
    recovered = await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")

    assert recovered["parked"] == 1
    assert await ledger.fetch("SELECT reason FROM v_parked") == [{"reason": "kills_process"}]
    assert await needs(ledger) == {}


async def test_each_task_of_a_model_has_isolated_starts_of_its_own(ledger: Ledgers):
    await ledger.models.put_models([an_entry(fold=timedelta(hours=1))])
    live, back = await claimed(ledger), await claimed(ledger, Lane.BACKFILL)
    now, parked = NOW, []
    for task in [live, live, live, back, back, back]:
        now += timedelta(seconds=31)
        await ledger.set_clock(now)
        recovered = await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")
        parked.append(recovered["parked"])
        again = await ledger.claim(task.task_id, 1, "executor-1", LEASE)
        assert again is not None
        assert await ledger.executor.start_isolated(again, LEASE)

    await ledger.set_clock(now + timedelta(seconds=31))
    recovered = await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")

    assert [*parked, recovered["parked"]] == [0, 0, 0, 1, 0, 0, 1]
    (row,) = await ledger.fetch("SELECT reason, windows FROM v_parked")
    assert (row["reason"], to_coverage(row["windows"])) == ("kills_process", Coverage((window("10:00", "12:00"),)))


async def test_a_settled_task_starts_counting_anew(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    await claimed(ledger)
    await ledger.set_clock(NOW + timedelta(seconds=31))
    await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")
    (task,) = await ledger.scheduler.unpublished(await lead(ledger), 1)
    isolated_claim = await ledger.claim(task.id, 1, "executor-1", LEASE)
    assert isolated_claim is not None
    await ledger.executor.start_isolated(isolated_claim, LEASE)

    await ledger.executor.settle([(isolated_claim, Retry(detail="500"))])

    await ledger.set_clock(NOW + timedelta(hours=1))
    assert await ledger.scheduler.wake_waiting(await lead(ledger), blocked=[], most=10) == 1
    again = await ledger.claim(task.id, 1, "executor-1", LEASE)
    assert again is not None
    assert not again.isolated


async def test_waiting_for_an_isolated_start_does_not_count_as_a_start(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)
    now = NOW
    for _ in range(5):
        now += timedelta(seconds=31)
        await ledger.set_clock(now)
        await ledger.scheduler.recover(await lead(ledger), "queue", isolated_starts=3, version="test")
        assert await ledger.claim(claim.task_id, 1, "executor-1", LEASE) is not None

    assert await ledger.fetch("SELECT starts FROM v_tasks") == [{"starts": 1}]


async def test_a_task_that_is_handed_back_goes_out_again_as_if_never_started(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)

    await ledger.executor.release([claim])

    again = await ledger.claim(claim.task_id, 1, "executor-2", LEASE)
    assert again is not None
    assert not again.isolated


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("starts", [1, 3])
async def test_a_task_that_needs_isolation_still_needs_it_when_it_is_handed_back_and_keeps_its_starts(
    ledger: Ledgers, starts: int, begun: bool
):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)
    await ledger.fetch("UPDATE task SET starts = $1", starts)
    await ledger.set_clock(NOW + timedelta(seconds=31))
    isolated_claim = await ledger.claim(claim.task_id, 1, "executor-2", LEASE)
    assert isolated_claim is not None
    if begun:
        await ledger.executor.start_isolated(isolated_claim, LEASE)

    await ledger.executor.release([isolated_claim])

    assert await ledger.fetch("SELECT starts FROM v_tasks") == [{"starts": starts}]
    again = await ledger.claim(claim.task_id, 1, "executor-3", LEASE)
    assert again is not None
    assert again.isolated


async def test_holes_older_than_the_catch_up_expire_and_are_recorded(ledger: Ledgers):
    await ledger.models.put_models([an_entry(horizon=timedelta(hours=2))])
    term = await lead(ledger)

    expired = await ledger.scheduler.expire(term, timedelta(hours=1))

    assert list(expired.values()) == [3]
    assert (await ledger.scheduler.needs(timedelta(hours=1)))[0].windows.get(Lane.LIVE) == window("11:30", "12:00")


async def test_exceptions_older_than_the_catch_up_are_forgotten_and_reported_if_a_recheck_was_due(
    ledger: Ledgers,
):
    await ledger.models.put_models([an_entry()])
    await ledger.fetch(
        "INSERT INTO slot_exception SELECT id, 'absent', reason, 0, next_look, slots::tstzmultirange FROM model,"
        " (VALUES ('old', 'infinity', '{[2026-03-01 10:00Z, 2026-03-01 10:30Z)}'),"
        "         ('both', $1::timestamptz, '{[2026-03-01 10:30Z, 2026-03-01 12:00Z)}'))"
        " AS e (reason, next_look, slots)",
        NOW + timedelta(hours=1),
    )
    term = await lead(ledger)

    expired = await ledger.scheduler.expire(term, timedelta(hours=1))
    left = await ledger.fetch("SELECT reason, slots FROM slot_exception")

    assert list(expired.values()) == [2]
    assert [(row["reason"], to_coverage(row["slots"])) for row in left] == [
        ("both", Coverage((window("11:30", "12:00"),)))
    ]
    assert await ledger.scheduler.expire(term, timedelta(hours=1)) == {}
    assert await ledger.scheduler.needs(timedelta(days=1)) == []


async def test_only_exceptions_of_the_model_itself_expire_and_none_is_left_that_ends_where_it_begins(ledger: Ledgers):
    await ledger.models.put_models([an_entry("old"), an_entry("new")])
    await ledger.fetch("UPDATE model SET since = $1 WHERE name = 'new'", at("11:30"))
    await ledger.fetch(
        "INSERT INTO slot_exception SELECT id, 'absent', reason, 0, 'infinity', tstzmultirange(tstzrange(low, high))"
        " FROM model, (VALUES ('before', $1::timestamptz, $2::timestamptz), ('across', $2 - interval '30 minutes', $3))"
        " AS e (reason, low, high)",
        at("10:00"),
        at("11:30"),
        at("12:00"),
    )

    await ledger.scheduler.expire(await lead(ledger), timedelta(hours=1))

    rows = await ledger.fetch(
        "SELECT name, reason, slots FROM slot_exception JOIN model m ON m.id = model_id ORDER BY name, reason"
    )
    assert [(row["name"], row["reason"], to_coverage(row["slots"])) for row in rows] == [
        ("new", "across", Coverage((window("11:00", "12:00"),))),
        ("new", "before", Coverage((window("10:00", "11:30"),))),
        ("old", "across", Coverage((window("11:30", "12:00"),))),
    ]


async def test_a_circuit_is_open_for_everyone_until_it_is_closed(ledger: Ledgers):
    pause = timedelta(seconds=15)
    await ledger.executor.open_circuit("gordo/plant", "503", alarm=False, pause=pause)
    (just_opened,) = await ledger.scheduler.circuits()
    await ledger.set_clock(NOW + pause)
    (due,) = await ledger.scheduler.circuits()
    await ledger.executor.probe_failed("gordo/plant", "still 503", longest=timedelta(minutes=2))
    (doubled,) = await ledger.scheduler.circuits()

    assert (just_opened.probe_due, due.probe_due, doubled.probe_due) == (False, True, False)
    assert doubled.pause == 2 * pause
    assert await ledger.executor.close_circuit("gordo/plant")
    assert await ledger.scheduler.circuits() == []


async def test_what_a_model_with_another_slot_length_had_covered_stays_and_counts_in_whole_slots(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, Stored.in_full(window("10:00", "12:00")))])
    await ledger.set_clock(at("12:37"))
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, Stored.in_full(window("12:00", "12:30")))])

    await ledger.models.put_models([an_entry(revision="1001", slot=timedelta(hours=1))])

    await ledger.set_clock(at("13:07"))
    (need,) = await ledger.scheduler.needs(timedelta(days=30))
    assert await covered(ledger) == [(at("10:00"), at("12:30"))]
    assert need.windows == {Lane.LIVE: window("12:00", "13:00")}


async def test_two_tasks_of_one_model_can_be_settled_in_one_batch(ledger: Ledgers):
    await ledger.models.put_models([an_entry(fold=timedelta(hours=1))])
    live, back = await claimed(ledger), await claimed(ledger, Lane.BACKFILL)

    counted = await ledger.executor.settle(
        [
            (live, Stored.in_full(window("11:00", "12:00"))),
            (back, Stored.in_full(window("10:00", "11:00"))),
        ]
    )

    assert counted == {live.task_id, back.task_id}
    assert await covered(ledger) == [(at("10:00"), at("12:00"))]


async def test_an_unusable_model_is_parked_with_its_reason_and_never_needed(ledger: Ledgers):
    ref = ModelRef("plant", "odd")

    await ledger.models.put_unusable(ref, "1000", Reason.BAD_METADATA, "resolution: 'H'", "test", CATCH_UP)

    assert await needs(ledger) == {}
    assert await ledger.fetch("SELECT model, reason, detail FROM v_parked") == [
        {"model": "odd", "reason": "bad_metadata", "detail": "resolution: 'H'"}
    ]


async def test_executors_are_known_while_they_send_heartbeats(ledger: Ledgers):
    info = ExecutorInfo("executor-1", "0.1.0", 1, 1, 32)

    await ledger.executor.register(info)
    await ledger.executor.register(replace(info, id="executor-2"))
    await ledger.executor.heartbeat("executor-1", in_flight=3, limit=8, concurrency=8)
    known = await ledger.fetch("SELECT id, in_flight, working_limit FROM executor")
    await ledger.executor.deregister("executor-1")

    assert min(known, key=lambda row: str(row["id"])) == {"id": "executor-1", "in_flight": 3, "working_limit": 8}
    assert await ledger.fetch("SELECT id, in_flight FROM executor") == [{"id": "executor-2", "in_flight": 0}]


async def test_an_executor_is_forgotten_an_hour_after_its_last_heartbeat(ledger: Ledgers):
    await ledger.executor.register(ExecutorInfo("executor-1", "0.1.0", 1, 1, 32))

    async def known_after(time: timedelta) -> int:
        await ledger.set_clock(NOW + time)
        await ledger.scheduler.maintain(history=timedelta(days=1))
        return len(await ledger.fetch("SELECT FROM executor"))

    hour = timedelta(hours=1)
    assert [await known_after(time) for time in (hour, hour + timedelta(seconds=1))] == [1, 0]


async def test_a_window_that_was_covered_meanwhile_is_not_planned(ledger: Ledgers):
    await ledger.models.put_models([an_entry()])
    need = (await needs(ledger))["pump"]
    claim = await claimed(ledger)
    await ledger.executor.settle([(claim, Stored.in_full(window("10:00", "12:00")))])

    overlapping = Planned(need.model_id, need.epoch, Window(at("11:00"), at("12:30")), Lane.LIVE)

    assert await ledger.scheduler.plan(await lead(ledger), [overlapping]) == 0


async def test_what_crashed_is_parked_until_another_version_plans(ledger: Ledgers):
    await ledger.models.put_models([an_entry(horizon=HALF_HOUR)])
    await ledger.executor.settle([(await claimed(ledger), Crashed("ValueError: a bug"))])

    assert await ledger.scheduler.forgive_crashes(VERSION) == 0
    assert await needs(ledger) == {}
    assert await ledger.scheduler.forgive_crashes("the next version") == 1
    assert list(await needs(ledger)) == ["pump"]


async def test_another_version_releases_nothing_but_what_crashed(ledger: Ledgers):
    await ledger.models.put_models([an_entry(horizon=HALF_HOUR)])
    await ledger.executor.settle([(await claimed(ledger), Rejected(Reason.COLUMNS_REFUSED, "422"))])

    assert await ledger.scheduler.forgive_crashes("the next version") == 0
    assert await needs(ledger) == {}


async def test_history_is_kept_for_its_time_and_dropped_by_the_day(ledger: Ledgers):
    await ledger.models.put_models([an_entry(horizon=HALF_HOUR)])
    await ledger.executor.settle([(await claimed(ledger), Stored.in_full(window("11:30", "12:00")))])
    kept_for = timedelta(days=2)

    async def history_after(days: int) -> int:
        await ledger.set_clock(NOW + timedelta(days=days))
        await ledger.scheduler.maintain(history=kept_for)
        return len(await ledger.fetch("SELECT FROM task_history"))

    assert [await history_after(days) for days in (1, 2, 3)] == [1, 1, 0]


async def test_a_ledger_has_one_identity_of_its_own(ledger: Ledgers, postgres_server: str):
    async with ledger.database.connection() as connection:
        identity = await read_identity(connection)
        assert await read_identity(connection) == identity
    async with fresh_database(postgres_server) as url:
        await migrate(url, connect_timeout=CONNECT_TIMEOUT)
        async with open_ledgers(url) as other, other.database.connection() as connection:
            other_identity = await read_identity(connection)

    assert (identity.incarnation, other_identity.incarnation) == (1, 1)
    assert identity.id != other_identity.id
    with pytest.raises(asyncpg.UniqueViolationError):
        await ledger.fetch("INSERT INTO ledger_identity SELECT true, gen_random_uuid(), 1, ledger_now()")
