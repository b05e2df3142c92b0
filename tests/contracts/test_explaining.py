"""Receipts in the ledger, and what it says about one moment of a model, whatever came of it."""

from datetime import datetime, timedelta

import pytest

from latigo.actions.backfill import Asked, pause_backfill, request_backfill
from latigo.actions.dismissing import Failing, dismiss
from latigo.actions.draining import drain
from latigo.actions.limits import set_limits
from latigo.actions.pausing import pause
from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason, UnknownName
from latigo.domain.limits import Limits
from latigo.domain.model import ModelRef
from latigo.domain.outcome import Copied, Deferred, Rejected, Retry, Settlement, SlotException, SlotState, Stored
from latigo.domain.receipt import Inputs, Receipt, Score
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Claim, ExecutorInfo, Planned, Term
from latigo.postgres.ranges import to_multirange, to_range
from latigo.reports.explain import Explanation, read_explanation
from latigo.reports.names import read_names
from latigo.reports.story import sentences
from tests.support.build import NOW, an_entry, at, window
from tests.support.ledgers import Ledgers

LEASE = timedelta(seconds=30)
HISTORY = timedelta(days=30)
PUMP = ModelRef("plant", "pump")
#: The model's slots are due until 12:00; its newest one is this.
NEWEST = window("11:30", "12:00")
RECEIPT = Receipt(
    stages={"claim": 3, "read": 20, "frame": 2, "predict": 300, "write": 5},
    elapsed=400,
    inputs=Inputs(readings=(80, 7), rows=(12, 1), labels=12, filled=11, newest_age=60),
    sinks=("sink/postgres",),
    score=Score(2.5, 3),
)


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """One model that is predicted from 10:00 on, a scheduler and an executor."""
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry("pump")])
    await ledgers.executor.register(ExecutorInfo("executor-1", "test", 1, 1, 8))
    await lead(ledgers)
    return ledgers


async def lead(ledger: Ledgers) -> Term:
    term = await ledger.scheduler.acquire_lease("scheduler-1", timedelta(days=90))
    assert term is not None
    return term


async def claimed(ledger: Ledgers, lane: Lane = Lane.LIVE, span: Window | None = None) -> Claim:
    """Plan a window of the model, by default the one it needs, and claim it."""
    term = await lead(ledger)
    (row,) = await ledger.fetch("SELECT id, epoch FROM model WHERE name = 'pump'")
    if span is None:
        span = (await ledger.scheduler.needs(timedelta(days=30)))[0].windows[lane]
    await ledger.scheduler.plan(term, [Planned(int(str(row["id"])), int(str(row["epoch"])), span, lane)])
    (task,) = await ledger.scheduler.unpublished(term, 10)
    await ledger.scheduler.mark_published(term, {task.id: "here"})
    claim = await ledger.executor.claim(task, "executor-1", LEASE)
    assert claim is not None
    return claim


async def settle(ledger: Ledgers, end: Settlement | None = None, receipt: Receipt = RECEIPT) -> Claim:
    claim = await claimed(ledger)
    await ledger.set_clock(NOW + timedelta(seconds=1))
    counted = await ledger.executor.settle([(claim, end or Stored.in_full(claim.window, 12))], {claim: receipt})
    assert counted == {claim.task_id}
    return claim


async def explain(ledger: Ledgers, time: datetime, model: str = "pump") -> Explanation:
    return await read_explanation(ledger.database, ModelRef("plant", model), time, HISTORY)


async def story(ledger: Ledgers, time: datetime) -> str:
    return " ".join(sentences(await explain(ledger, time)))


# --- receipts ---------------------------------------------------------------------------------------------------------


async def test_a_settled_window_has_its_receipt(ledger: Ledgers):
    claim = await settle(ledger)

    receipt = (await explain(ledger, at("11:35"))).receipt

    assert receipt is not None
    assert (receipt.task, receipt.lane, receipt.revision, receipt.epoch) == (claim.task_id, "live", "1000", 1)
    assert (receipt.start, receipt.end, receipt.outcome, receipt.rows) == (
        claim.window.start,
        claim.window.end,
        "stored",
        12,
    )
    assert (receipt.worker, receipt.sinks, receipt.claimed_at) == ("executor-1", ("sink/postgres",), NOW)
    assert (receipt.highest_total_anomaly, receipt.rows_over_threshold) == (2.5, 3)
    assert receipt.stages is not None
    # A second from claim to settle, of which 400 ms until it was handed over, and 327 ms of them in stages.
    assert dict(receipt.stages) == {
        "claim": 3,
        "waiting": 73,
        "read": 20,
        "frame": 2,
        "predict": 300,
        "write": 5,
        "settle": 600,
    }
    assert receipt.inputs is not None
    assert [(tag.tag, tag.readings, tag.rows) for tag in receipt.inputs.tags] == [("a", 80, 12), ("b", 7, 1)]
    assert receipt.inputs.newest_reading == claim.window.end - timedelta(minutes=1)
    assert receipt.inputs.filled_share == pytest.approx(11 / 24)


async def test_each_receipt_of_a_batch_is_that_of_its_task(ledger: Ledgers):
    await ledger.models.put_models([an_entry("fan")])
    first = await claimed(ledger)
    term = await lead(ledger)
    (need,) = [need for need in await ledger.scheduler.needs(HISTORY) if need.ref.name == "fan"]
    await ledger.scheduler.plan(term, [Planned(need.model_id, 1, need.windows[Lane.LIVE], Lane.LIVE)])
    (task,) = await ledger.scheduler.unpublished(term, 10)
    second = await ledger.executor.claim(task, "executor-1", LEASE)
    assert second is not None

    ended = [(second, Stored.in_full(second.window)), (first, Stored.in_full(first.window))]
    await ledger.executor.settle(ended, {first: Receipt(sinks=("first",)), second: Receipt(sinks=("second",))})

    rows = await ledger.fetch("SELECT id, receipt FROM task_history ORDER BY id")
    receipts = {row["id"]: Receipt.from_bytes(bytes(row["receipt"])) for row in rows}  # type: ignore[call-overload]
    assert {id_: receipt.sinks for id_, receipt in receipts.items() if receipt} == {
        first.task_id: ("first",),
        second.task_id: ("second",),
    }


async def test_a_task_that_is_parked_has_a_receipt_and_one_that_is_tried_again_has_none_yet(ledger: Ledgers):
    await settle(ledger, Retry("no answer"))
    assert (await explain(ledger, at("11:35"))).receipt is None
    await ledger.fetch("DELETE FROM task")

    await settle(ledger, Rejected(Reason.VALUES_REFUSED, "refused"), Receipt(stages={"read": 20}, elapsed=50))

    receipt = (await explain(ledger, at("11:35"))).receipt
    assert receipt is not None
    assert receipt.stages is not None
    assert (receipt.outcome, receipt.stages.read, receipt.inputs, receipt.sinks) == ("rejected", 20, None, ())


async def test_without_a_receipt_of_its_own_a_task_is_settled_all_the_same(ledger: Ledgers):
    claim = await claimed(ledger)

    assert await ledger.executor.settle([(claim, Stored.in_full(claim.window))]) == {claim.task_id}

    moment = await explain(ledger, at("11:35"))
    assert moment.receipt is not None
    assert (moment.state, moment.receipt.stages, moment.receipt.inputs) == ("covered", None, None)
    assert "another version of Latigo settled it" in " ".join(sentences(moment))


async def test_receipts_name_the_tags_that_the_model_had_then(ledger: Ledgers):
    await settle(ledger)
    await ledger.models.put_models([an_entry("pump", revision="2000", tags=("x", "y", "z"))])

    receipt = (await explain(ledger, at("11:35"))).receipt

    assert receipt is not None
    assert receipt.inputs is not None
    assert [tag.tag for tag in receipt.inputs.tags] == ["a", "b"]


async def test_tags_of_an_epoch_in_between_are_those_of_that_epoch(ledger: Ledgers):
    await ledger.models.put_models([an_entry("pump", revision="2000", tags=("x", "y"))])
    await settle(ledger)
    await ledger.models.put_models([an_entry("pump", revision="3000", tags=("x", "y"))])  # the same
    await ledger.models.put_models([an_entry("pump", revision="4000", tags=("p", "q"))])
    await ledger.models.put_unusable(PUMP, "5000", Reason.BAD_METADATA, "no tags", "test", timedelta(hours=1))

    receipt = (await explain(ledger, at("11:35"))).receipt

    assert receipt is not None
    assert receipt.inputs is not None
    assert [tag.tag for tag in receipt.inputs.tags] == ["x", "y"]
    rows = await ledger.fetch("SELECT epoch, tags FROM replaced_tags ORDER BY epoch")
    assert [row["tags"] for row in rows] == [["a", "b", "a", "b"], ["x", "y", "x", "y"], ["p", "q", "p", "q"]]


async def test_receipts_and_the_tags_they_count_by_are_kept_for_the_history(ledger: Ledgers):
    await settle(ledger)
    await ledger.models.put_models([an_entry("pump", revision="2000", tags=("x", "y"))])

    await ledger.set_clock(NOW + HISTORY)
    await ledger.scheduler.maintain(history=HISTORY)
    kept = await explain(ledger, at("11:35"))
    await ledger.set_clock(NOW + HISTORY + timedelta(days=3))
    await ledger.scheduler.maintain(history=HISTORY)
    dropped = await explain(ledger, at("11:35"))

    assert kept.receipt is not None
    assert kept.receipt.inputs is not None
    assert [tag.tag for tag in kept.receipt.inputs.tags] == ["a", "b"]
    assert (dropped.state, dropped.receipt) == ("covered", None)
    assert "receipts are kept for 30 d (ledger.history)" in " ".join(sentences(dropped))
    assert await ledger.fetch("SELECT FROM replaced_tags") == []


# --- what a moment can be ---------------------------------------------------------------------------------------------


async def test_an_unknown_model_is_refused(ledger: Ledgers):
    with pytest.raises(UnknownName):
        await read_explanation(ledger.database, ModelRef("plant", "nothing"), NOW, HISTORY)


async def test_a_covered_moment_has_the_task_that_covered_it(ledger: Ledgers):
    claim = await settle(ledger)

    text = await story(ledger, at("11:59"))

    assert text.startswith("plant/pump has its predictions for the slot 2026-03-01T11:30:00Z to 12:00:00Z.")
    assert (
        f"Task {claim.task_id} (lane live, revision 1000) predicted the window 2026-03-01T10:00:00Z to 12:00:00Z"
        in text
    )
    assert "thin: b (1 of 12)" in text
    assert "written to sink/postgres by executor-1" in text


async def test_a_moment_of_slots_of_another_length_is_stored_although_its_slot_is_a_gap(ledger: Ledgers):
    await settle(ledger)
    await ledger.fetch(
        "UPDATE coverage SET covered = '{}', partial = tstzmultirange(tstzrange($1, $2))", at("11:00"), at("11:20")
    )

    stored, beside = await explain(ledger, at("11:10")), await explain(ledger, at("11:25"))

    assert [(each.state, each.partial) for each in (stored, beside)] == [("missing", True), ("missing", False)]
    assert ["is stored, from when slots" in " ".join(sentences(each)) for each in (stored, beside)] == [True, False]


async def test_the_end_of_a_slot_belongs_to_the_next_one(ledger: Ledgers):
    await settle(ledger)

    assert (await explain(ledger, at("11:59"))).state == "covered"
    assert (await explain(ledger, at("12:00"))).state == "not_due"


async def test_a_slot_is_not_due_until_the_delay_is_over_nor_in_the_future(ledger: Ledgers):
    await ledger.set_clock(at("12:33"))
    await ledger.fetch("UPDATE model SET delay = interval '5 minutes'")

    just_ended, future = await explain(ledger, at("12:10")), await explain(ledger, at("12:10", 9))

    assert (just_ended.state, just_ended.due_at, future.state) == ("not_due", at("12:35"), "not_due")
    assert "The slot ended 3 min ago, and Latigo waits 5 min for late readings" in " ".join(sentences(just_ended))


async def test_before_the_beginning_a_request_helps(ledger: Ledgers):
    assert (await explain(ledger, at("09:59"))).state == "before_beginning"
    asked = Asked("fill", window("09:00", "10:00"), ("*",))
    await request_backfill(ledger.database, "operator@host", asked, why="a reason", expect="")

    moment = await explain(ledger, at("09:59"))

    assert [(request.kind, request.who) for request in moment.requests] == [("fill", "operator@host")]
    assert "made by operator@host at" in " ".join(sentences(moment))


@pytest.mark.parametrize("state", [SlotState.ABSENT, SlotState.SHORT, SlotState.PROVISIONAL])
async def test_an_excepted_slot_names_its_tags_and_its_next_check(ledger: Ledgers, state: SlotState):
    claim = await claimed(ledger)
    ended = SlotException(state, Coverage((NEWEST,)), "no data: 'b'", ("b",))
    covered = Coverage((claim.window,)) - Coverage((NEWEST,))
    await ledger.executor.settle([(claim, Stored(covered, (ended,), rows=9))], {claim: RECEIPT})

    moment = await explain(ledger, at("11:45"))

    assert moment.state == state.value
    assert moment.exception is not None
    assert (moment.exception.tags, moment.exception.rechecks) == (["b"], 0)
    assert moment.exception.next_check == NOW + timedelta(hours=1)
    text = " ".join(sentences(moment))
    assert f"it is {state.value} (no data: 'b')" in text
    assert "the next time is at 2026-03-01T13:07:00Z, in 1 h" in text
    assert (await explain(ledger, at("11:15"))).state == "covered"


async def test_a_slot_of_a_silent_model_waits_for_readings(ledger: Ledgers):
    claim = await claimed(ledger)
    gone = SlotException(SlotState.ABSENT, Coverage((claim.window,)), "no data: 'b'", ("b",))
    await ledger.executor.settle([(claim, Stored(exceptions=(gone,), silent_since=claim.window.start))])

    moment = await explain(ledger, at("10:15"))

    assert (moment.state, moment.silent_since) == ("absent", at("10:00"))
    assert "tries its newest slot only, and this one when readings return" in " ".join(sentences(moment))


async def test_a_parked_slot_says_why_since_when_and_what_to_do(ledger: Ledgers):
    await settle(ledger, Rejected(Reason.VALUES_REFUSED, "predict: too hot", tags=("b",)))

    moment = await explain(ledger, at("11:45"))

    assert moment.state == "parked"
    text = " ".join(sentences(moment))
    assert "Since 2026-03-01T12:07:01Z, in revision 1000, as values_refused: predict: too hot. It is about b." in text
    assert "What you can do: Mend the readings or the model, then release it (latigo retry)." in text


async def test_a_task_is_followed_from_plan_to_claim_and_back_off(ledger: Ledgers):
    term = await lead(ledger)
    (need,) = await ledger.scheduler.needs(HISTORY)
    await ledger.scheduler.plan(term, [Planned(need.model_id, 1, need.windows[Lane.LIVE], Lane.LIVE)])
    planned = await explain(ledger, at("11:45"))
    (task,) = await ledger.scheduler.unpublished(term, 10)
    await ledger.scheduler.mark_published(term, {task.id: "here"})
    published = await explain(ledger, at("11:45"))
    claim = await ledger.executor.claim(task, "executor-1", LEASE)
    assert claim is not None
    working = await explain(ledger, at("11:45"))
    await ledger.executor.settle([(claim, Retry("predict: no answer"))])
    waiting = await explain(ledger, at("11:45"))

    steps = (planned, published, working, waiting)
    assert [step.state for step in steps] == ["in_task"] * 4
    assert [step.tasks[0].state for step in steps] == ["planned", "published", "claimed", "waiting"]
    texts = [sentences(step)[1] for step in steps]
    assert "was planned at 2026-03-01T12:07:00Z, and is not in the task queue yet" in texts[0]
    assert "is in the task queue (here) since 2026-03-01T12:07:00Z, not claimed" in texts[1]
    assert "is worked on by executor-1 since 2026-03-01T12:07:00Z" in texts[2]
    assert "its lease lasts until 2026-03-01T12:07:30Z" in texts[2]
    assert "has failed once and is tried again at" in texts[3]
    assert texts[3].endswith("predict: no answer.")


async def test_what_has_expired_can_be_requested(ledger: Ledgers):
    await ledger.set_clock(at("12:00", 3))
    await ledger.scheduler.expire(await lead(ledger), timedelta(days=1))

    moment = await explain(ledger, at("10:15"))

    assert moment.state == "expired"
    assert "latigo backfill plant/pump --from 2026-03-01T10:00:00Z --to 2026-03-01T10:30:00Z" in " ".join(
        sentences(moment)
    )


@pytest.mark.parametrize(("model", "said"), [("pump", "paused the model"), (None, "paused the whole project")])
async def test_a_pause_has_who_when_and_why(ledger: Ledgers, model: str | None, said: str):
    await pause(ledger.database, "operator@host", "plant", model, "overhaul")

    moment = await explain(ledger, at("11:45"))

    assert (moment.state, moment.model_state) == ("not_predicted", "paused")
    assert f"operator@host {said} at 2026-03-01T12:07:00Z: overhaul." in " ".join(sentences(moment))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("unregistered", "The settings leave it out"),
        ("disabled", "enabled = false"),
        ("unusable", "Its metadata in revision 1000 cannot be used"),
    ],
)
async def test_a_model_that_is_not_predicted_says_why(ledger: Ledgers, state: str, said: str):
    await ledger.fetch("UPDATE model SET state = $1", state)

    moment = await explain(ledger, at("11:45"))

    assert (moment.state, moment.model_state) == ("not_predicted", state)
    assert said in " ".join(sentences(moment))


@pytest.mark.parametrize(
    ("missing_for", "state", "said"),
    [
        (
            timedelta(hours=2),
            "missing",
            "has not listed it since 2026-03-01T10:07:00Z. Latigo goes on when it is listed",
        ),
        (timedelta(days=2), "retired", "has not listed it since 2026-02-27T12:07:00Z. Its coverage is kept"),
        (None, "retired", "does not list it any more. Its coverage is kept"),
    ],
)
async def test_a_model_that_vanished_is_missing_and_then_retired(
    ledger: Ledgers, missing_for: timedelta | None, state: str, said: str
):
    since = NOW - missing_for if missing_for else None
    await ledger.fetch("UPDATE model SET state = 'gone', missing_since = $1", since)

    moment = await explain(ledger, at("11:45"))

    assert (moment.state, moment.model_state, moment.missing_since) == ("not_predicted", state, since)
    assert said in " ".join(sentences(moment))


async def test_a_model_that_is_expected_and_not_built_is_not_just_unknown(ledger: Ledgers):
    await ledger.fetch("INSERT INTO expected_model VALUES ('plant', 'valve', $1)", NOW)

    with pytest.raises(
        UnknownName, match="plant/valve is not built: its model server expects it since 2026-03-01T12:07"
    ):
        (await read_names(ledger.database)).require("plant", "valve")


async def test_before_the_beginning_of_a_paused_model_nothing_becomes_due_meanwhile(ledger: Ledgers):
    await pause(ledger.database, "operator@host", "plant", "pump", "overhaul")

    moment = await explain(ledger, at("09:59"))

    assert moment.state == "before_beginning"
    assert "operator@host paused the model" in " ".join(sentences(moment))


async def test_a_model_that_a_person_took_off_the_roster_names_that_person(ledger: Ledgers):
    await ledger.roster.remove(PUMP)
    await ledger.models.set_state("plant", ["pump"], "unregistered")

    assert "test took it off the roster at 2026-03-01T12:07:00Z" in await story(ledger, at("11:45"))


# --- a gap, and why it is not planned yet -----------------------------------------------------------------------------


async def test_a_gap_that_nothing_is_in_the_way_of_is_planned_next(ledger: Ledgers):
    moment = await explain(ledger, at("11:45"))

    assert moment.state == "missing"
    assert "Nothing is in its way" in " ".join(sentences(moment))


async def test_a_gap_waits_for_scheduler_and_executor(ledger: Ledgers):
    await ledger.executor.deregister("executor-1")
    await ledger.scheduler.release_lease(await lead(ledger))

    text = await story(ledger, at("11:45"))

    assert "no scheduler holds the lease to plan" in text
    assert "No executor is running" in text
    assert "Nothing is in its way" not in text


async def test_a_task_that_is_planned_waits_for_a_scheduler(ledger: Ledgers):
    (need,) = await ledger.scheduler.needs(HISTORY)
    term = await lead(ledger)
    await ledger.scheduler.plan(term, [Planned(need.model_id, 1, need.windows[Lane.LIVE], Lane.LIVE)])
    led = await story(ledger, at("11:45"))
    await ledger.scheduler.release_lease(term)

    without = await story(ledger, at("11:45"))

    text = "It is not published, because no scheduler holds the lease to plan"
    assert (text in led, text in without) == (False, True)


async def test_a_gap_waits_for_circuits_that_concern_it_and_no_others(ledger: Ledgers):
    for downstream in ("gordo/plant", "gordo/other", "sensors/influx"):
        await ledger.executor.open_circuit(downstream, "503 of 10.0.0.1", alarm=False, pause=timedelta(seconds=15))

    moment = await explain(ledger, at("11:45"))

    assert [circuit.downstream for circuit in moment.circuits] == ["gordo/plant", "sensors/influx"]
    assert "The circuit of gordo/plant is open since 2026-03-01T12:07:00Z" in " ".join(sentences(moment))


async def test_a_deferred_model_is_held(ledger: Ledgers):
    await settle(ledger, Deferred("no answer", "gordo/plant", retry_after=timedelta(minutes=1)))

    moment = await explain(ledger, at("11:45"))

    assert (moment.state, moment.held_for) == ("missing", "gordo/plant")
    text = " ".join(sentences(moment))
    assert "ended as deferred with 0 rows" in text
    assert "held until 2026-03-01T12:08:01Z: its last task was deferred, and waits for gordo/plant." in text


async def test_an_old_gap_waits_for_newer_ones_and_for_the_task_of_history(ledger: Ledgers):
    await claimed(ledger, Lane.BACKFILL, window("11:00", "11:30"))

    moment = await explain(ledger, at("10:15"))

    assert moment.gap is not None
    assert (moment.gap.newer_slots, moment.gap.other_out) == (2, True)
    text = " ".join(sentences(moment))
    assert "2 newer slots of the model are missing as well" in text
    assert "one window of history out at a time, or one run of several. Task" in text


async def test_while_every_executor_is_drained_neither_gap_nor_task_says_that_nothing_is_in_its_way(ledger: Ledgers):
    await ledger.executor.register(ExecutorInfo("executor-2", "test", 1, 1, 8))
    await drain(ledger.database, "operator@host", "executor-1", "patched")
    one = await story(ledger, at("11:45"))
    await drain(ledger.database, "operator@host", "executor-2", "patched")
    gap = await story(ledger, at("11:45"))
    (need,) = await ledger.scheduler.needs(HISTORY)
    await ledger.scheduler.plan(await lead(ledger), [Planned(need.model_id, 1, need.windows[Lane.LIVE], Lane.LIVE)])
    planned = await story(ledger, at("11:45"))

    drained = "Every executor is drained, so nothing is started"
    assert [drained in text for text in (one, gap, planned)] == [False, True, True]
    assert "Nothing is in its way" not in gap


async def paused_backfill(ledger: Ledgers) -> None:
    await set_limits(ledger.database, "operator@host", Limits(backfill_paused=True), "month end\nreports")


PAUSED_BACKFILL = "operator@host paused backfill at 2026-03-01T12:07:00Z: month end reports."


async def test_a_gap_waits_while_backfill_is_paused_unless_a_live_window_reaches_it(ledger: Ledgers):
    await ledger.fetch("UPDATE coverage SET covered = tstzmultirange(tstzrange($1, $2))", at("11:00"), at("11:30"))
    await paused_backfill(ledger)

    live, old = await story(ledger, at("11:45")), await story(ledger, at("10:15"))

    assert (PAUSED_BACKFILL in live, "Nothing is in its way" in live) == (False, True)
    assert (PAUSED_BACKFILL in old, "Nothing is in its way" in old) == (True, False)


async def test_a_request_fills_what_latigo_would_not_predict_by_itself(ledger: Ledgers):
    asked = Asked("fill", window("09:00", "10:00"), ("*",))
    await request_backfill(ledger.database, "operator@host", asked, why="a reason", expect="")

    moment = await explain(ledger, at("09:59"))
    text = " ".join(sentences(moment))
    await paused_backfill(ledger)
    held = await story(ledger, at("09:59"))

    assert moment.state == "missing"
    assert "it is a gap, which a request fills" in text
    assert "latigo backfill plant/pump" not in text
    assert (PAUSED_BACKFILL in held, "Nothing is in its way" in held) == (True, False)


async def test_what_a_request_wants_waits_while_it_is_paused(ledger: Ledgers):
    asked = Asked("fill", window("09:00", "10:00"), ("*",))
    number, _ = await request_backfill(ledger.database, "operator@host", asked)
    assert number is not None
    await pause_backfill(ledger.database, "operator@host", number)

    text = await story(ledger, at("09:59"))

    assert ("wants it, but is paused" in text, "Nothing is in its way" in text) == (True, False)


@pytest.mark.parametrize("has_a_task", [False, True])
async def test_what_a_request_wants_waits_while_as_many_of_its_tasks_are_out_as_may_be(
    ledger: Ledgers, has_a_task: bool
):
    await ledger.models.put_models([an_entry("fan")])
    asked = Asked("fill", window("09:00", "10:00"), ("*",), at_most=1)
    number, _ = await request_backfill(ledger.database, "operator@host", asked)
    for model, state in (("fan", "published"), *((("pump", "waiting"),) if has_a_task else ())):
        await ledger.fetch(
            "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, not_before, request_id)"
            " SELECT id, epoch, $1, 'manual', $2, ledger_now(), ledger_now(), $3 FROM model WHERE name = $4",
            *(to_range(window("09:00", "10:00")), state, number, model),
        )

    waits, fan = await story(ledger, at("09:59")), await explain(ledger, at("09:59"), "fan")

    full = "wants it, but has as many tasks out as it may"
    assert [full in text for text in (waits, " ".join(sentences(fan)))] == [True, False]
    assert "Nothing is in its way" not in waits


async def test_rechecks_wait_while_backfill_is_paused(ledger: Ledgers):
    claim = await claimed(ledger)
    ended = SlotException(SlotState.SHORT, Coverage((claim.window,)), "no data: 'b'", ("b",))
    await ledger.executor.settle([(claim, Stored(exceptions=(ended,), rows=9))])
    await paused_backfill(ledger)

    assert PAUSED_BACKFILL in await story(ledger, at("11:45"))


async def test_a_dismissed_failure_names_who_dismissed_it_until_when(ledger: Ledgers):
    await settle(ledger, Rejected(Reason.VALUES_REFUSED, "predict: too hot", tags=("b",)))
    await dismiss(ledger.database, "operator@host", Failing("plant"), "being retrained")

    moment = await explain(ledger, at("11:45"))

    assert [each.reason for each in moment.dismissed] == ["values_refused"]
    text = " ".join(sentences(moment))
    assert "operator@host dismissed values_refused at 2026-03-01T12:07:01Z: being retrained." in text
    assert "It is no alarm while the model has revision 1000." in text


async def test_a_copy_to_a_sink_is_not_what_predicted_it(ledger: Ledgers):
    made = await settle(ledger)
    copy = await claimed(ledger, Lane.MANUAL, NEWEST)
    await ledger.executor.settle([(copy, Copied(Coverage((NEWEST,)), rows=6))], {copy: Receipt(sinks=("sink/second",))})

    text = await story(ledger, at("11:45"))

    assert f"Task {made.task_id} (lane live, revision 1000) predicted" in text
    assert f"task {copy.task_id} ended as copied with 6 rows" in text


async def test_what_only_a_copy_is_known_of_was_copied(ledger: Ledgers):
    await settle(ledger)
    await ledger.fetch("DELETE FROM task_history")
    copy = await claimed(ledger, Lane.MANUAL, NEWEST)
    await ledger.executor.settle([(copy, Copied(Coverage((NEWEST,)), rows=6))])

    assert f"Task {copy.task_id} (lane manual, revision 1000) copied this slot alone: 6 rows" in await story(
        ledger, at("11:45")
    )


async def test_a_quarantined_and_unlisted_project_is_named(ledger: Ledgers):
    await ledger.models.project_listed("plant", "1000", ["pump"])
    await ledger.models.project_quarantined("plant", 1)
    await ledger.fetch("UPDATE project SET error = 'no answer'")

    text = await story(ledger, at("11:45"))

    assert "quarantined since 2026-03-01T12:07:00Z" in text
    assert "The models of plant cannot be listed: no answer." in text


async def test_a_covered_slot_that_is_predicted_again_says_so(ledger: Ledgers):
    claim = await settle(ledger)
    await ledger.fetch(
        "INSERT INTO repair (model_id, task_id, claim, due_at, slots)"
        " SELECT id, 1, 1, ledger_now(), $1::text::tstzmultirange FROM model",
        to_multirange([NEWEST]),
    )
    again = await claimed(ledger, Lane.REPAIR, NEWEST)
    await ledger.executor.settle([(again, Stored.in_full(NEWEST, 3))], {again: RECEIPT})
    await claimed(ledger, Lane.MANUAL, NEWEST)

    moment = await explain(ledger, at("11:45"))

    assert moment.receipt is not None
    assert (moment.receipt.task, [each.task for each in moment.earlier]) == (again.task_id, [claim.task_id])
    text = " ".join(sentences(moment))
    assert f"1 other task had this slot as well: task {claim.task_id} ended as stored with 12 rows" in text
    assert "A task has it again. Task" in text
