"""Sets of data time against sets of minutes."""

from datetime import timedelta
from itertools import pairwise
from operator import and_, or_, sub

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.coverage import Coverage
from latigo.domain.windows import Window
from tests.support.build import at, window

MINUTE = timedelta(minutes=1)
START = at("00:00")
LENGTH = 40  # minutes that are compared

spans = st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 12)).map(
    lambda drawn: Window(START + drawn[0] * MINUTE, START + min(sum(drawn), LENGTH) * MINUTE)
)
many = st.lists(spans, max_size=8)
coverages = many.map(Coverage.of)


def minutes(windows) -> set[int]:
    """The naive model: every minute that some window holds."""
    return {minute for minute in range(LENGTH) for each in windows if each.start <= START + minute * MINUTE < each.end}


def is_canonical(coverage: Coverage) -> bool:
    return all(one.end < next_.start for one, next_ in pairwise(coverage.windows))


@given(many)
def test_any_windows_make_their_union_in_canonical_form(windows):
    coverage = Coverage.of(windows)

    assert minutes(coverage) == minutes(windows)
    assert is_canonical(coverage)


@given(many, st.randoms())
def test_order_and_repetition_of_windows_do_not_matter(windows, random):
    shuffled = [*windows, *windows[:3]]
    random.shuffle(shuffled)

    assert Coverage.of(shuffled) == Coverage.of(windows)


@pytest.mark.parametrize("operation", [or_, and_, sub])
@given(coverages, coverages)
def test_the_algebra_is_that_of_sets(operation, one, other):
    result = operation(one, other)

    assert minutes(result) == operation(minutes(one), minutes(other))
    assert is_canonical(result)


@given(coverages, st.integers(0, LENGTH))
def test_a_time_is_in_a_coverage_when_some_window_holds_it(coverage, minute):
    assert (START + minute * MINUTE in coverage) == (minute in minutes(coverage))


@given(coverages)
def test_total_is_the_time_it_holds_and_only_the_empty_one_is_false(coverage):
    assert coverage.total == len(minutes(coverage)) * MINUTE
    assert bool(coverage) == bool(minutes(coverage))


@given(coverages, coverages, coverages)
def test_it_falls_apart_into_disjoint_parts_that_make_it_up_again(one, other, third):
    inside, outside = one & other, one - other

    assert not inside & outside
    assert inside | outside == one
    assert (one - other) - third == one - (other | third)


def test_windows_that_touch_become_one():
    assert Coverage.of([window("10:30", "11:00"), window("10:00", "10:30")]) == Coverage((window("10:00", "11:00"),))
