"""The sentences about a moment."""

from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.reports.explain import (
    Dismissed,
    ExceptedSlot,
    Explanation,
    Gap,
    MomentState,
    OpenTask,
    ParkedSlot,
    PauseInForce,
)
from latigo.reports.limits import BackfillPause
from latigo.reports.receipts import InputCounts, ReceiptReport, StageTimes, TagCount
from latigo.reports.story import lasting, sentences, span
from tests.support.build import NOW, at

TIMES = st.integers(0, 24 * 60).map(lambda minutes: at("00:00") + timedelta(minutes=minutes))
LENGTHS = st.integers(0, 100 * 86_400_000).map(lambda ms: timedelta(milliseconds=ms))
for kind in (BackfillPause, Dismissed):
    kind.model_rebuild()  # built when it is first used; hypothesis reads its fields before that

TEXTS = st.text(max_size=30)
COUNTS = st.integers(0, 1000)

RECEIPT = ReceiptReport(
    task=7,
    lane="live",
    revision="1000",
    epoch=1,
    start=at("10:00"),
    end=at("12:00"),
    outcome="stored",
    reason="",
    detail="",
    attempts=0,
    starts=1,
    rows=12,
    covered=timedelta(hours=2),
    worker="host/1/abc",
    planned_at=at("12:05"),
    claimed_at=at("12:06"),
    settled_at=NOW,
)


def a_moment(state: MomentState, **changes: Any) -> Explanation:
    facts: dict[str, Any] = {
        "project": "plant",
        "model": "pump",
        "at": at("11:45"),
        "now": NOW,
        "state": state,
        "model_state": "active",
        "revision": "1000",
        "slot_start": at("11:30"),
        "slot_end": at("12:00"),
        "due_at": at("12:05"),
        "since": at("10:00"),
        "first_seen": NOW,
        "covered": state == "covered",
        "expired": state == "expired",
        "history": timedelta(days=30),
        "receipt": None,
        "earlier": [],
        "receipts": 0,
        "exception": None,
        "parked": [],
        "tasks": [],
        "pauses": [],
        "unregistered_by": "",
        "unregistered_at": None,
        "silent_since": None,
        "held_until": None,
        "held_for": "",
        "listing_error": "",
        "quarantined_since": None,
        "circuits": [],
        "requests": [],
        "repair_due_at": None,
        "gap": None,
        "planner": True,
        "executors": 1,
        "outstanding": 0,
    }
    if state in {"absent", "short", "provisional"}:
        facts["exception"] = ExceptedSlot(state=state, reason="no data: 'b'", tags=["b"], rechecks=0, next_check=None)
    return Explanation(**{**facts, **changes})


@st.composite
def moments(draw: st.DrawFn) -> Explanation:
    state: MomentState = draw(st.sampled_from(get_args(MomentState)))
    receipts = st.builds(
        RECEIPT.__class__,
        **{name: st.just(value) for name, value in dict(RECEIPT).items()}
        | {
            "rows": COUNTS,
            "attempts": COUNTS,
            "detail": TEXTS,
            "settled_at": TIMES,
            "claimed_at": st.none() | TIMES,
            "stages": st.none() | st.builds(StageTimes, **dict.fromkeys(StageTimes.model_fields, COUNTS)),
            "inputs": st.none()
            | st.builds(
                InputCounts,
                labels=COUNTS,
                tags=st.lists(st.builds(TagCount, tag=TEXTS, readings=COUNTS, rows=COUNTS), max_size=9),
                filled_share=st.floats(0, 1),
                newest_reading=st.none() | TIMES,
            ),
            "highest_total_anomaly": st.none() | st.floats(0, 1e6),
            "rows_over_threshold": st.none() | COUNTS,
        },
    )
    tasks = st.builds(
        OpenTask,
        task=COUNTS,
        lane=st.sampled_from(["live", "backfill"]),
        state=st.sampled_from(["planned", "published", "claimed", "waiting"]),
        place=TEXTS,
        start=st.just(at("11:30")),
        end=st.just(at("12:00")),
        attempts=COUNTS,
        planned_at=TIMES,
        published_at=st.none() | TIMES,
        claimed_at=st.none() | TIMES,
        worker=st.just("host/1/abc"),
        lease_until=st.none() | TIMES,
        not_before=st.none() | TIMES,
        detail=TEXTS,
        probe=st.booleans(),
        request=st.none(),
        paused_by=st.lists(st.sampled_from(["its model", "its project", "request 7", "backfill"]), unique=True),
        has_it=st.booleans(),
    )
    changes: dict[str, Any] = {
        "receipt": draw(st.none() | receipts),
        "tasks": draw(st.lists(tasks, max_size=3)),
        "silent_since": draw(st.none() | TIMES),
        "held_until": draw(st.none() | TIMES),
        "gap": draw(
            st.none()
            | st.builds(Gap, newer_slots=COUNTS, live=st.booleans(), live_out=st.booleans(), other_out=st.booleans())
        ),
        "planner": draw(st.booleans()),
        "executors": draw(COUNTS),
        "drained_executors": draw(COUNTS),
        "missing_since": draw(st.none() | TIMES),
        "backfill_paused": draw(st.none() | st.builds(BackfillPause, who=st.just("Anna"), at=TIMES, reason=TEXTS)),
        "dismissed": draw(st.lists(st.builds(Dismissed, who=st.just("Anna"), at=TIMES, note=TEXTS), max_size=2)),
        "model_state": draw(
            st.sampled_from(["active", "paused", "disabled", "unregistered", "missing", "retired", "unusable"])
        ),
        "repair_due_at": draw(st.none() | TIMES),
        "quarantined_since": draw(st.none() | TIMES),
        "due_at": draw(TIMES),
    }
    if state in {"absent", "short", "provisional"}:
        rechecks = draw(COUNTS)
        changes["exception"] = ExceptedSlot(
            state=state,
            reason=draw(TEXTS),
            tags=[],
            rechecks=rechecks,
            next_check=draw(st.none() | TIMES),
        )
    return a_moment(state, **changes)


@given(moments())
def test_whatever_is_known_each_sentence_is_one_and_the_first_names_model_and_slot(moment: Explanation) -> None:
    story = sentences(moment)

    assert story[0].startswith("plant/pump ")
    assert "the slot 2026-03-01T11:30:00Z to 12:00:00Z" in story[0]
    for sentence in story:
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence[0].isdigit() or sentence.startswith("plant/pump")
        assert "None" not in sentence
        assert len(sentence.splitlines()) == 1


@given(LENGTHS)
def test_a_duration_is_said_in_at_most_two_units_and_off_by_less_than_the_smaller_one(duration: timedelta) -> None:
    units = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    words = lasting(duration).split()

    assert len(words) in {2, 4}
    said = sum(float(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
    coarsest = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 60.0, "d": 3600.0}[words[1]]
    assert abs(said - duration.total_seconds()) < max(coarsest, 0.06)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        ({"milliseconds": 0}, "0 ms"),
        ({"milliseconds": 380}, "380 ms"),
        ({"seconds": 2}, "2 s"),
        ({"milliseconds": 2500}, "2.5 s"),
        ({"milliseconds": 9960}, "9 s"),
        ({"seconds": 59}, "59 s"),
        ({"seconds": 60}, "1 min"),
        ({"seconds": -75}, "1 min 15 s"),
        ({"hours": 2, "minutes": 10, "seconds": 5}, "2 h 10 min"),
        ({"days": 3, "hours": 4}, "3 d 4 h"),
    ],
)
def test_durations(duration: dict[str, int], text: str) -> None:
    assert lasting(timedelta(**duration)) == text


def test_a_span_repeats_no_date() -> None:
    assert span(at("10:00"), at("12:00")) == "2026-03-01T10:00:00Z to 12:00:00Z"
    assert span(at("10:00"), at("12:00", 2)) == "2026-03-01T10:00:00Z to 2026-03-02T12:00:00Z"


def test_only_the_thinnest_tags_are_named_and_the_rest_is_counted() -> None:
    tags = [TagCount(tag=f"T-{number}", readings=9, rows=number) for number in range(8)]
    inputs = InputCounts(labels=7, tags=tags, filled_share=0.004, newest_reading=None)

    (said,) = [text for text in sentences(a_moment("covered", receipt=RECEIPT.model_copy(update={"inputs": inputs})))
               if "thin" in text]  # fmt: skip

    assert said == (
        "1 of its 8 tags had readings in each of the 7 rows; thin: T-0 (0 of 7), T-1 (1 of 7), T-2 (2 of 7),"
        " T-3 (3 of 7), T-4 (4 of 7) and 2 more."
    )


def test_attempts_and_starts_that_came_to_nothing_are_counted() -> None:
    receipt = RECEIPT.model_copy(update={"attempts": 1, "starts": 2})

    story = sentences(a_moment("covered", receipt=receipt))

    assert story[1].endswith("7 min after the end of the slot, after 1 failed attempt, started twice.")


def test_stages_that_took_no_time_are_left_out() -> None:
    stages = StageTimes(claim=9, waiting=0, read=20, frame=0, predict=1300, write=5, settle=0)

    story = sentences(a_moment("covered", receipt=RECEIPT.model_copy(update={"stages": stages})))

    assert "It took 1.3 s: reading 20 ms, the model server 1.3 s, writing 5 ms." in story


def test_the_receipt_of_a_covered_slot_is_that_of_the_task_that_wrote_it() -> None:
    failed = RECEIPT.model_copy(update={"task": 8, "rows": 0, "covered": timedelta(0), "outcome": "rejected"})

    story = sentences(a_moment("covered", receipt=failed, earlier=[RECEIPT], receipts=2))

    assert story[1].startswith("Task 7 ")
    assert "1 other task had this slot as well: task 8 ended as rejected with 0 rows" in story[-1]


@pytest.mark.parametrize(("days", "said"), [(31, "ledger.history"), (29, "no task that this ledger remembers")])
def test_without_a_receipt_it_is_said_whether_it_was_dropped(days: int, said: str) -> None:
    (_, why) = sentences(a_moment("covered", now=NOW + timedelta(days=days)))

    assert said in why


def test_a_final_exception_is_final() -> None:
    slot = ExceptedSlot(state="absent", reason="no data: 'b'", tags=["b"], rechecks=3, next_check=None)

    assert "It was rechecked 3 times and is final" in " ".join(sentences(a_moment("absent", exception=slot)))


def test_of_a_traceback_the_last_line_is_enough() -> None:
    crash = ParkedSlot(
        revision="1000",
        reason="crashed",
        detail="Traceback\n  File\nValueError: no such key.\n",
        since=NOW,
        tags=[],
        latigo_does="It tries again",
        you_can_do="Report it",
    )

    story = sentences(a_moment("parked", parked=[crash]))

    assert "Since 2026-03-01T12:07:00Z, in revision 1000, as crashed: ValueError: no such key." in story


def test_who_paused_backfill_is_said_of_a_task_that_another_pause_holds_too() -> None:
    task = OpenTask(
        task=8,
        lane="repair",
        state="waiting",
        place="",
        start=at("11:30"),
        end=at("12:00"),
        attempts=1,
        planned_at=NOW,
        published_at=None,
        claimed_at=None,
        worker=None,
        lease_until=None,
        not_before=NOW,
        detail="no answer.",
        probe=False,
        request=None,
        paused_by=["its model", "backfill"],
        has_it=True,
    )

    story = sentences(a_moment("in_task", tasks=[task], backfill_paused=BackfillPause(who="Anna", at=NOW, reason="")))

    _, waits, paused = story
    assert waits.endswith("waits for the end of the pauses of its model and backfill; it has failed once: no answer.")
    assert paused.startswith("Anna paused backfill at 2026-03-01T12:07:00Z.")


def test_a_pause_of_a_model_that_is_covered_is_said_as_well() -> None:
    paused = PauseInForce(of_model=False, who="me@here", at=NOW, reason="overhaul.")

    story = sentences(a_moment("covered", model_state="paused", pauses=[paused], receipt=RECEIPT))

    assert story[-1] == (
        "me@here paused the whole project at 2026-03-01T12:07:00Z: overhaul."
        " latigo resume plant goes on, with what became due meanwhile."
    )
