"""How live work and backfill share the starts."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.lane_share import LaneShare

shares = st.floats(0, 0.99)
#: Stretches in which live work, backfill, both or neither waits.
waiting = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 60)), max_size=8).map(
    lambda stretches: [(live, backfill) for live, backfill, length in stretches for _ in range(length)]
)
EPS = 1e-6


def test_nothing_is_chosen_where_nothing_waits():
    assert LaneShare().choose(live=False, backfill=False) is None


def test_with_the_usual_share_every_twentieth_start_is_backfill():
    share = LaneShare(0.05)

    chosen = [share.choose(live=True, backfill=True) for _ in range(100)]

    assert [number for number, live in enumerate(chosen, 1) if not live] == [20, 40, 60, 80, 100]


@given(shares, st.integers(1, 400))
def test_backfill_that_waits_has_had_its_share_at_every_moment_and_no_more(least, starts):
    share, backfill = LaneShare(least), 0

    for start in range(1, starts + 1):
        backfill += share.choose(live=True, backfill=True) is False
        assert least * start - 1 - EPS <= backfill <= least * start + EPS


@given(shares, waiting)
def test_a_lane_is_only_chosen_if_something_waits_in_it(least, moments):
    share = LaneShare(least)

    for live, backfill in moments:
        chosen = share.choose(live=live, backfill=backfill)
        assert (chosen is None) == (not live and not backfill)
        assert chosen is not True or live
        assert chosen is not False or backfill


@given(shares, waiting)
def test_whatever_was_before_backfill_has_its_share_while_both_wait_and_makes_up_for_nothing(least, moments):
    share = LaneShare(least)
    chosen = [(moment, share.choose(live=moment[0], backfill=moment[1])) for moment in moments]

    for moment, stretch in groupby(chosen, key=lambda each: each[0]):
        starts = [is_live for _, is_live in stretch]
        if moment == (True, True):
            assert least * len(starts) - 1 - EPS < starts.count(False) <= least * len(starts) + 1 + EPS


@pytest.mark.parametrize("live", [True, False])
def test_a_lane_that_is_alone_has_all_starts(live: bool):
    share = LaneShare(0.05)

    assert {share.choose(live=live, backfill=not live) for _ in range(50)} == {live}
