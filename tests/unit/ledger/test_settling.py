"""What follows from the way a task ended."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason
from latigo.domain.outcome import (
    NO_FINITE_VALUES,
    NOT_STORED,
    Crashed,
    Deferred,
    Outcome,
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
from latigo.ledger.settling import (
    FIRST_HOLD,
    LONGEST_HOLD,
    NEVER,
    RECHECK_AFTER,
    Claimed,
    Exceptions,
    Parking,
    Verdict,
    Waiting,
    decide,
    reopen_unstored,
    revise,
    within,
)
from tests.support.build import HALF_HOUR, NOW, at, retry_rules, window

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
REQUESTED = window("10:00", "12:00")
OTHERS = [lane for lane in Lane if not lane.is_live]
RULES = retry_rules()


def a_claimed(**changes: object) -> Claimed:
    usual = Claimed(
        id=1,
        model_id=1,
        window=REQUESTED,
        lane=Lane.LIVE,
        attempts=0,
        revision="1000",
        slot=HALF_HOUR,
        silent_since=None,
        deferrals=0,
        now=NOW,
        planned_at=NOW - HALF_HOUR,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]  # fields by name, of any type


def decided(task: Claimed, settlement: Settlement, random: float = 0.0) -> Verdict:
    return decide(task, settlement, RULES, lambda: random)


# --- stored -----------------------------------------------------------------------------------------------------------


def test_a_task_that_was_stored_is_finished():
    assert decided(a_claimed(deferrals=3), Stored.in_full(REQUESTED)) == Verdict(Outcome.STORED)


@pytest.mark.parametrize("before", [None, at("09:00"), at("11:00")])
def test_a_model_is_silent_from_the_earliest_moment_on_that_was_noticed(before: datetime | None):
    verdict = decided(a_claimed(silent_since=before), Stored(silent_since=at("10:30")))

    assert verdict.silent_since == min(before or at("10:30"), at("10:30"))
    assert not verdict.data_returned


def test_the_first_live_success_after_silence_says_that_the_data_has_returned():
    verdict = decided(a_claimed(silent_since=at("08:00")), Stored.in_full(REQUESTED))

    assert (verdict.silent_since, verdict.data_returned) == (None, True)


def test_a_success_without_silence_before_is_no_return():
    assert not decided(a_claimed(), Stored.in_full(REQUESTED)).data_returned


@pytest.mark.parametrize("known", [at("12:00"), at("13:00")])
def test_a_live_window_that_ended_before_the_silence_began_does_not_end_it(known: datetime):
    """Its task waited for another attempt while newer slots were silent."""
    verdict = decided(a_claimed(silent_since=known), Stored.in_full(REQUESTED))

    assert (verdict.silent_since, verdict.data_returned) == (known, False)


@pytest.mark.parametrize(("known", "since"), [(at("12:00"), at("11:00")), (at("12:30"), at("12:30"))])
def test_an_older_silence_counts_only_where_nothing_lies_between(known: datetime, since: datetime):
    verdict = decided(a_claimed(silent_since=known), Stored(silent_since=at("11:00")))

    assert verdict.silent_since == since


@pytest.mark.parametrize(
    ("known", "newest", "silence"),
    [
        (None, "10:30", window("10:30", "11:30")),
        (at("08:00"), "11:30", window("08:00", "11:30")),
        (None, "11:30", None),
    ],
)
def test_of_a_silent_model_all_but_the_newest_slot_waits_for_the_data(
    known: datetime | None, newest: str, silence: Window | None
):
    verdict = decided(a_claimed(silent_since=known), Stored(silent_since=at(newest)))

    assert verdict.silence == silence


@pytest.mark.parametrize("lane", OTHERS)
@pytest.mark.parametrize("silent_since", [None, at("10:00")])
def test_history_says_nothing_about_silence_now(lane: Lane, silent_since: datetime | None):
    task = a_claimed(lane=lane, silent_since=at("11:00"))

    verdict = decided(task, Stored(silent_since=silent_since))

    assert (verdict.silent_since, verdict.data_returned) == (at("11:00"), False)


# --- rows that were not stored ----------------------------------------------------------------------------------------


def test_the_first_live_rows_after_slots_without_them_say_that_they_have_returned():
    assert decided(a_claimed(unstored=True), Stored.in_full(REQUESTED)).rows_returned
    assert not decided(a_claimed(unstored=False), Stored.in_full(REQUESTED)).rows_returned


def test_rows_have_not_returned_while_the_newest_slot_lacks_them():
    assert not decided(a_claimed(unstored=True), Stored(Coverage((window("10:00", "11:30"),)))).rows_returned


@pytest.mark.parametrize("lane", OTHERS)
def test_history_says_nothing_about_rows_now(lane: Lane):
    assert not decided(a_claimed(lane=lane, unstored=True), Stored.in_full(REQUESTED)).rows_returned


def test_what_leads_up_to_the_returned_rows_becomes_due_and_nothing_else():
    final = (SlotState.ABSENT, NO_FINITE_VALUES, 3, NEVER)
    known = [
        Exceptions(*final, Coverage.of([window("04:00", "05:00"), window("06:00", "08:00")])),
        Exceptions(SlotState.SHORT, f"{NOT_STORED}: sink/a", 1, NOW + HOUR, Coverage((window("08:00", "10:00"),))),
        Exceptions(SlotState.ABSENT, "no 'a'", 3, NEVER, Coverage((window("05:00", "05:30"),))),
    ]

    rows = reopen_unstored(known, at("10:00"), NOW)

    assert sorted(rows, key=lambda row: row.slots.windows) == [
        Exceptions(*final, Coverage((window("04:00", "05:00"),))),
        known[2],
        Exceptions(*final[:3], NOW, Coverage((window("06:00", "08:00"),))),
        Exceptions(SlotState.SHORT, f"{NOT_STORED}: sink/a", 1, NOW, Coverage((window("08:00", "10:00"),))),
    ]


def test_what_a_request_has_tried_before_the_beginning_of_a_model_is_not_rechecked_also_when_data_returns():
    absent = SlotException(SlotState.ABSENT, Coverage((window("09:00", "11:00"),)), "no 'a'")

    rows = revise([], window("09:00", "11:00"), [absent], NOW, since=at("10:00"))
    reopened = revise(rows, None, (), NOW + HOUR, reopen=True, since=at("10:00"))

    assert [(row.recheck_at, row.slots.windows) for row in rows] == [
        (NEVER, (window("09:00", "10:00"),)),
        (NOW + HOUR, (window("10:00", "11:00"),)),
    ]
    assert [row.recheck_at for row in reopened] == [NEVER, NOW + HOUR]


def test_what_ended_before_a_good_slot_stays_as_it_is():
    known = [Exceptions(SlotState.ABSENT, NO_FINITE_VALUES, 3, NEVER, Coverage((window("08:00", "09:30"),)))]

    assert reopen_unstored(known, at("10:00"), NOW) == known


# --- deferred ---------------------------------------------------------------------------------------------------------


def test_a_deferred_task_goes_and_its_model_is_not_planned_for_a_moment():
    verdict = decided(a_claimed(), Deferred(), random=1.0)

    assert verdict == Verdict(Outcome.DEFERRED, hold_until=NOW + FIRST_HOLD, deferrals=1)


def test_a_model_is_held_for_what_it_was_deferred_for():
    assert decided(a_claimed(), Deferred(downstream="gordo/plant")).held_for == "gordo/plant"


@pytest.mark.parametrize(("deferrals", "pause"), [(0, 2), (1, 4), (2, 8), (3, 16), (4, 32), (5, 60), (50, 60)])
def test_the_moment_doubles_up_to_a_minute(deferrals: int, pause: int):
    verdict = decided(a_claimed(deferrals=deferrals), Deferred(), random=1.0)

    assert verdict.hold_until == NOW + pause * SECOND
    assert pause * SECOND <= LONGEST_HOLD
    assert verdict.deferrals == deferrals + 1


@pytest.mark.parametrize("until", [NOW - SECOND, NOW + HOUR])
def test_windows_of_a_run_that_meet_one_outage_are_counted_once(until: datetime):
    verdict = decided(a_claimed(deferrals=1, hold_until=until), Deferred(), random=1.0)

    assert (verdict.deferrals, verdict.hold_until) == (1, max(until, NOW + FIRST_HOLD))


def test_what_was_planned_after_a_hold_meets_another_outage():
    held = a_claimed(deferrals=1, hold_until=NOW - SECOND, planned_at=NOW - SECOND)

    assert decided(held, Deferred()).deferrals == 2


def test_a_downstream_may_ask_for_longer():
    verdict = decided(a_claimed(), Deferred(retry_after=5 * HOUR))

    assert verdict.hold_until == NOW + 5 * HOUR


@pytest.mark.parametrize(("attempts", "stored_in"), [(2, ()), (0, ("sink/a",))])
def test_a_deferred_task_that_has_something_to_remember_waits_and_it_is_not_an_attempt(
    attempts: int, stored_in: tuple[str, ...]
):
    verdict = decided(a_claimed(attempts=attempts), Deferred(stored_in=stored_in), random=1.0)

    assert verdict.waiting == Waiting(NOW + FIRST_HOLD, attempts)
    assert (verdict.hold_until, verdict.deferrals) == (None, 1)


# --- retry ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempts", "pause"), [(0, 30), (1, 60), (2, 120), (3, 240)])
@pytest.mark.parametrize(("random", "part"), [(0.0, 0.5), (1.0, 1.0)])
def test_a_failed_task_waits_longer_each_time(attempts: int, pause: int, random: float, part: float):
    verdict = decided(a_claimed(attempts=attempts), Retry(), random)

    assert verdict == Verdict(Outcome.RETRY, waiting=Waiting(NOW + pause * part * SECOND, attempts + 1))


def test_a_failed_task_waits_as_long_as_it_was_asked_to():
    verdict = decided(a_claimed(), Retry(retry_after=2 * HOUR))

    assert verdict.waiting == Waiting(NOW + 2 * HOUR, 1)


@given(st.integers(0, 40), st.floats(0, 0.999))
def test_no_back_off_is_longer_than_the_longest(attempts, random):
    rules = replace(RULES, max_attempts=1000)

    verdict = decide(a_claimed(attempts=attempts), Retry(), rules, lambda: random)

    assert verdict.waiting is not None
    assert rules.backoff_first / 2 <= verdict.waiting.not_before - NOW <= rules.backoff_longest


def test_after_its_last_attempt_the_window_is_parked_with_the_last_reason():
    verdict = decided(a_claimed(attempts=4), Retry(detail="predict: 500"))

    assert verdict.waiting is None
    assert verdict.outcome is Outcome.REJECTED
    assert verdict.parking == Parking(Reason.ATTEMPTS, "5 attempts, the last one: predict: 500", REQUESTED)


# --- parked and split -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("whole_model", "parked"), [(False, REQUESTED), (True, None)])
def test_what_cannot_work_is_parked_at_once(whole_model: bool, parked: Window | None):
    settlement = Rejected(reason=Reason.VALUES_REFUSED, detail="why", whole_model=whole_model)

    verdict = decided(a_claimed(attempts=1), settlement)

    assert verdict == Verdict(Outcome.REJECTED, parking=Parking(Reason.VALUES_REFUSED, "why", parked))


@pytest.mark.parametrize("attempts", [0, 1, 4])
def test_a_crash_parks_its_window_at_once(attempts: int):
    verdict = decided(a_claimed(attempts=attempts), Crashed("Traceback"))

    assert verdict == Verdict(Outcome.CRASHED, parking=Parking(Reason.CRASHED, "Traceback", REQUESTED))


@pytest.mark.parametrize(
    ("span", "fold"),
    [
        (REQUESTED, HOUR),
        (window("10:00", "11:30"), HALF_HOUR),
        (window("10:00", "11:00"), HALF_HOUR),
        (window("10:00", "10:30"), HALF_HOUR),
    ],
)
def test_too_large_a_window_teaches_half_of_its_slots_and_at_least_one(span: Window, fold: timedelta):
    assert decided(a_claimed(window=span), Split()) == Verdict(Outcome.SPLIT, fold=fold)


@pytest.mark.parametrize(
    "settlement", [Deferred(), Retry(), Rejected(Reason.VALUES_REFUSED), Crashed(""), Split()], ids=lambda s: s.outcome
)
def test_only_what_was_stored_says_anything_about_silence(settlement: Settlement):
    verdict = decided(a_claimed(silent_since=at("09:00")), settlement)

    assert (verdict.silent_since, verdict.data_returned) == (at("09:00"), False)


@pytest.mark.parametrize(
    ("settlement", "prediction_only", "stale_metadata"),
    [
        (Stored.in_full(REQUESTED), False, False),
        (Stored(Coverage((REQUESTED,)), prediction_only=True), True, False),
        (Stored(silent_since=at("10:00"), prediction_only=True), True, False),
        (Deferred(stale_metadata=True), False, True),
        (Deferred(stored_in=["sink/a"], stale_metadata=True), False, True),
    ],
)
def test_what_a_task_has_shown_about_its_model_is_remembered(
    settlement: Settlement, prediction_only: bool, stale_metadata: bool
):
    verdict = decided(a_claimed(silent_since=at("09:00")), settlement)

    assert (verdict.prediction_only, verdict.stale_metadata) == (prediction_only, stale_metadata)


# --- exceptions -------------------------------------------------------------------------------------------------------

SLOTS = [Window(at("00:00") + n * HALF_HOUR, at("00:00") + (n + 1) * HALF_HOUR) for n in range(12)]
reasons = st.sampled_from(["no 'a'", "no 'b'"])
states = st.sampled_from([SlotState.SHORT, SlotState.ABSENT, SlotState.PROVISIONAL])
checks = st.integers(0, 3)


@st.composite
def known_rows(draw: st.DrawFn) -> list[Exceptions]:
    """Disjoint exceptions, as the ledger has them."""
    kinds = st.tuples(states, reasons, checks, st.sampled_from([NOW - HOUR, NOW + HOUR]))
    drawn = draw(st.lists(st.none() | kinds, min_size=len(SLOTS), max_size=len(SLOTS)))
    grouped: dict[tuple[SlotState, str, int, datetime], list[Window]] = {}
    for slot, kind in zip(SLOTS, drawn, strict=True):
        if kind:
            state, reason, count, when = kind
            grouped.setdefault((state, reason, count, NEVER if count == 3 else when), []).append(slot)
    return [Exceptions(*kind, Coverage.of(slots)) for kind, slots in grouped.items()]


@st.composite
def findings(draw: st.DrawFn) -> tuple[Window, list[SlotException]]:
    """A settled window and how some of its slots ended."""
    first, last = sorted(draw(st.lists(st.integers(0, len(SLOTS)), min_size=2, max_size=2, unique=True)))
    result: dict[tuple[SlotState, str], list[Window]] = {}
    for slot in SLOTS[first:last]:
        if ending := draw(st.none() | st.tuples(states, reasons)):
            result.setdefault(ending, []).append(slot)
    settled = Window(SLOTS[first].start, SLOTS[last - 1].end)
    return settled, [SlotException(state, Coverage.of(slots), why) for (state, why), slots in result.items()]


def by_slot(rows: Sequence[Exceptions]) -> dict[datetime, Exceptions]:
    """Each slot's own row; fails where a slot has two."""
    result: dict[datetime, Exceptions] = {}
    for row in rows:
        for slot in SLOTS:
            if slot.start in row.slots:
                assert slot.start not in result, f"{slot} twice"
                result[slot.start] = row
    return result


@given(known_rows(), findings(), st.booleans())
def test_revised_rows_are_disjoint_and_no_two_could_be_one(known, settled, reopen):
    window_, result = settled

    revised = revise(known, window_, result, NOW, reopen=reopen)

    assert sum((row.slots.total for row in revised), timedelta(0)) == len(by_slot(revised)) * HALF_HOUR
    kinds = [(row.state, row.reason, row.checks, row.recheck_at) for row in revised]
    assert len(set(kinds)) == len(kinds)
    assert all(row.slots for row in revised)


@given(known_rows(), findings())
def test_exactly_the_window_is_replaced(known, settled):
    window_, result = settled

    before, after = by_slot(known), by_slot(revise(known, window_, result, NOW))

    for slot in SLOTS:
        now = after.get(slot.start)
        if slot.start in window_:
            endings = [(each.state, each.reason) for each in result if slot.start in each.slots]
            assert ([(now.state, now.reason)] if now else []) == endings
        else:
            then = before.get(slot.start)
            assert (then is None) == (now is None)
            if then and now:
                assert replace(now, slots=then.slots) == then


@given(known_rows(), findings())
def test_every_slot_counts_its_own_checks_and_is_final_after_the_last(known, settled):
    window_, result = settled

    before, after = by_slot(known), by_slot(revise(known, window_, result, NOW))

    for start, row in after.items():
        if start not in window_:
            continue
        then = before.get(start)
        assert row.checks == (min(then.checks + 1, 3) if then else 0)
        assert row.recheck_at == (NOW + RECHECK_AFTER[row.checks] if row.checks < 3 else NEVER)


@given(known_rows(), findings())
def test_when_data_returns_all_the_others_are_due_at_once_and_keep_their_checks(known, settled):
    window_, result = settled

    before, after = by_slot(known), by_slot(revise(known, window_, result, NOW, reopen=True))

    for start, then in before.items():
        if start not in window_:
            assert replace(after[start], slots=then.slots) == replace(then, recheck_at=NOW)
    assert all(row.recheck_at > NOW for start, row in after.items() if start in window_)


@given(known_rows(), findings(), findings())
def test_in_a_silence_nothing_is_rechecked_and_everything_else_stays_as_it_is(known, settled, silent):
    window_, result = settled
    silence, _ = silent

    usual = by_slot(revise(known, window_, result, NOW))
    hushed = by_slot(revise(known, window_, result, NOW, silence=silence))

    assert usual.keys() == hushed.keys()
    for start, row in hushed.items():
        recheck_at = NEVER if start in silence else usual[start].recheck_at
        assert row == replace(usual[start], recheck_at=recheck_at, slots=row.slots)


@given(known_rows())
def test_without_a_window_nothing_is_replaced(known):
    assert by_slot(revise(known, None, (), NOW)).keys() == by_slot(known).keys()


@given(known_rows(), findings())
def test_settling_the_same_again_only_counts_a_check(known, settled):
    window_, result = settled

    once = revise(known, window_, result, NOW)
    twice = revise(once, window_, result, NOW + HOUR)

    assert {start: (row.state, row.reason) for start, row in by_slot(once).items()} == {
        start: (row.state, row.reason) for start, row in by_slot(twice).items()
    }


def test_an_exception_is_rechecked_after_1_6_and_24_hours_and_then_never():
    result = [SlotException(SlotState.ABSENT, Coverage((REQUESTED,)), "no 'a'")]
    rows: list[Exceptions] = []
    now, rechecks = NOW, []

    for _ in range(4):
        rows = revise(rows, REQUESTED, result, now)
        (row,) = rows
        rechecks.append(row.recheck_at)
        now = min(row.recheck_at, now + 100 * HOUR)

    assert rechecks == [NOW + HOUR, NOW + 7 * HOUR, NOW + 31 * HOUR, NEVER]


def test_however_long_a_model_is_silent_its_exceptions_are_two_rows_and_all_come_back_with_the_data():
    """The newest slot is rechecked at a time of its own: it may be a day long."""
    silent_since: datetime | None = None
    rows: list[Exceptions] = []
    for number in range(100):
        slot = Window(NOW + number * HALF_HOUR, NOW + (number + 1) * HALF_HOUR)
        now = slot.end + number * SECOND
        task = a_claimed(window=slot, silent_since=silent_since, now=now)
        verdict = decided(task, Stored(silent_since=slot.start))
        result = [SlotException(SlotState.ABSENT, Coverage((slot,)), "no 'a'")]
        rows = revise(rows, slot, result, now, silence=verdict.silence)
        silent_since = verdict.silent_since

    assert sorted((row.recheck_at, row.slots.total) for row in rows) == [
        (now + HOUR, HALF_HOUR),
        (NEVER, 99 * HALF_HOUR),
    ]
    assert revise(rows, None, (), now, reopen=True) == [
        Exceptions(SlotState.ABSENT, "no 'a'", 0, now, Coverage((Window(NOW, slot.end),)))
    ]


def test_exceptions_that_become_one_row_keep_the_tags_of_both():
    half = Window(REQUESTED.start, REQUESTED.start + HALF_HOUR)
    rest = Coverage((REQUESTED,)) - Coverage((half,))
    result = [
        SlotException(SlotState.ABSENT, Coverage((half,)), "no 'a' and 1 more", ("a", "b")),
        SlotException(SlotState.ABSENT, rest, "no 'a' and 1 more", ("a", "c")),
    ]

    (row,) = revise([], REQUESTED, result, NOW)

    assert (row.slots, row.tags) == (Coverage((REQUESTED,)), ("a", "b", "c"))
    (left,) = revise([row], half, [], NOW)
    assert (left.slots, left.tags) == (rest, row.tags)


def slots(*windows: Window, state: SlotState = SlotState.ABSENT) -> SlotException:
    return SlotException(state, Coverage.of(windows), "no 'a'")


@given(st.lists(st.integers(0, 11), min_size=2, max_size=2, unique=True), st.sets(st.integers(0, 11)), st.booleans())
def test_what_a_settlement_claims_beyond_its_window_is_cut_off(bounds: list[int], excepted: set[int], covers: bool):
    low, high = sorted(bounds)
    parts = [Window(at("06:00") + n * HALF_HOUR, at("06:00") + (n + 1) * HALF_HOUR) for n in range(12)]
    exceptions = [slots(*(parts[n] for n in excepted))] if excepted else []
    covered = Coverage.of(part for n, part in enumerate(parts) if n not in excepted) if covers else Coverage()
    wanted = set(range(low, high))

    settled = within(Stored(covered, exceptions, rows=7), Window(parts[low].start, parts[high].start), Coverage())

    if not covers and wanted - excepted:
        assert isinstance(settled, Crashed)
        return
    assert isinstance(settled, Stored)
    assert settled.rows == 7
    assert settled.covered == Coverage.of(parts[n] for n in wanted - excepted)
    left = wanted & excepted
    assert [each.slots for each in settled.exceptions] == ([Coverage.of(parts[n] for n in left)] if left else [])


def test_a_settlement_that_leaves_a_part_of_its_window_open_is_a_crash_that_names_it():
    half = Stored(Coverage((window("10:00", "11:00"),)), [slots(window("11:30", "12:00"))])

    settled = within(half, REQUESTED, Coverage())

    assert isinstance(settled, Crashed)
    assert str(window("11:00", "11:30")) in settled.detail


@pytest.mark.parametrize("state", [SlotState.SHORT, SlotState.ABSENT])
def test_a_covered_slot_stays_so_when_it_is_predicted_again_and_its_readings_are_gone(state: SlotState):
    first, second = window("10:00", "11:00"), window("11:00", "12:00")

    settled = within(Stored(Coverage(), [slots(first, second, state=state)]), REQUESTED, Coverage((first,)))

    assert isinstance(settled, Stored)
    assert (settled.covered, [each.slots for each in settled.exceptions]) == (Coverage(), [Coverage((second,))])


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (SlotState.PROVISIONAL, "no 'a'"),
        (SlotState.ABSENT, "no_finite_values"),
        (SlotState.SHORT, "not_stored: history"),
    ],
)
def test_what_was_answered_for_a_covered_slot_and_is_not_right_yet_is_kept(state: SlotState, reason: str):
    ended = SlotException(state, Coverage((REQUESTED,)), reason)

    settled = within(Stored(Coverage(), [ended]), REQUESTED, Coverage((REQUESTED,)))

    assert isinstance(settled, Stored)
    assert list(settled.exceptions) == [ended]


@pytest.mark.parametrize("settlement", [Retry("500"), Deferred("away"), Split(), Crashed("bug")])
def test_other_settlements_stay_as_they_are(settlement: Settlement):
    assert within(settlement, REQUESTED, Coverage()) is settlement
