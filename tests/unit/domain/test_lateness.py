"""How late readings are: counting, and the delay that follows."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.lateness import BOUNDS, Kind, LatenessCounts, Observed, bound_of, delay_for

MINUTE = timedelta(minutes=1)
counted = st.dictionaries(st.sampled_from(BOUNDS), st.integers(1, 1000), min_size=1)


@given(st.timedeltas(timedelta(0), timedelta(days=2)))
def test_a_bound_is_the_smallest_that_is_not_below_or_the_last(late: timedelta):
    bound = bound_of(late)

    assert bound in BOUNDS
    assert bound >= late or bound == BOUNDS[-1]
    assert all(other < late for other in BOUNDS if other < bound)


@given(counted, st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_delay_completes_the_share_and_no_shorter_one_does(slots: dict[timedelta, int], share: float):
    delay = delay_for(slots, share)

    assert delay is not None
    within = sum(count for bound, count in slots.items() if bound <= delay)
    assert within >= share * sum(slots.values())
    assert within - slots[delay] < share * sum(slots.values())


def test_nothing_is_known_without_slots():
    assert delay_for({}, 0.99) is None


@pytest.mark.parametrize(("late", "expected"), [(1, 5), (2, 10)])
def test_one_slot_in_a_hundred_may_be_late(late: int, expected: int):
    assert delay_for({5 * MINUTE: 100 - late, 10 * MINUTE: late}, 0.99) == expected * MINUTE


def test_what_was_taken_is_not_taken_again_unless_it_is_put_back():
    counts = LatenessCounts()
    counts.add([Observed("sensors/a", 7 * MINUTE, complete=False), Observed("sensors/b", 5 * MINUTE, complete=True)])
    counts.add([Observed("sensors/a", 8 * MINUTE, complete=False)])

    taken, nothing = counts.take(), counts.take()
    counts.put_back(taken)

    assert taken == {Kind("sensors/a", 10 * MINUTE, False): 1, Kind("sensors/a", 7 * MINUTE, False): 1} | {
        Kind("sensors/b", 5 * MINUTE, True): 1
    }
    assert (nothing, counts.take()) == ({}, taken)
