"""How live work and the other lanes share the starts."""

from collections import Counter
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.lane_share import LaneShare
from latigo.domain.task import Lane
from tests.support.build import lane_share

BOTH = {Lane.LIVE, Lane.BACKFILL}
OTHERS = [lane for lane in Lane if not lane.is_live]
shares = st.floats(0, 0.99)
some_lanes = st.frozensets(st.sampled_from(Lane))
others = st.frozensets(st.sampled_from(OTHERS), min_size=1)
#: Stretches in which something waits in some lanes, or in none.
waiting = st.lists(st.tuples(some_lanes, st.integers(1, 60)), max_size=8).map(
    lambda stretches: [lanes for lanes, length in stretches for _ in range(length)]
)
EPS = 1e-6


def test_nothing_is_chosen_where_nothing_waits():
    assert lane_share().choose(()) is None


def test_with_the_usual_share_every_twentieth_start_is_backfill():
    share = LaneShare(0.05)

    chosen = [share.choose(BOTH) for _ in range(100)]

    assert [number for number, lane in enumerate(chosen, 1) if lane is not Lane.LIVE] == [20, 40, 60, 80, 100]


@given(shares, st.integers(1, 400), others)
def test_backfill_that_waits_has_had_its_share_at_every_moment_and_no_more(least, starts, background):
    share, backfill = LaneShare(least), 0

    for start in range(1, starts + 1):
        backfill += share.choose({Lane.LIVE, *background}) in background
        assert least * start - 1 - EPS <= backfill <= least * start + EPS


def test_live_work_makes_up_for_what_another_lane_starts_at_once_and_only_while_it_waits():
    share, chosen = LaneShare(0.1), []

    for _ in range(200):
        chosen.append(lane := share.choose(BOTH))
        if lane is Lane.BACKFILL:
            share.spend(7)

    assert [place for place, lane in enumerate(chosen, 1) if lane is Lane.BACKFILL] == [10, 90, 170]
    assert share.choose({Lane.BACKFILL}) is Lane.BACKFILL
    later = [share.choose(BOTH) for _ in range(10)]
    assert later[-1] is Lane.BACKFILL


@given(shares, waiting)
def test_a_lane_is_only_chosen_if_something_waits_in_it(least, moments):
    share = LaneShare(least)

    for lanes in moments:
        chosen = share.choose(lanes)
        assert (chosen is None) == (not lanes)
        assert chosen is None or chosen in lanes


@given(shares, waiting)
def test_whatever_was_before_backfill_has_its_share_while_both_wait_and_makes_up_for_nothing(least, moments):
    share = LaneShare(least)
    chosen = [(moment, share.choose(moment)) for moment in moments]

    for moment, stretch in groupby(chosen, key=lambda each: each[0]):
        starts = [lane is Lane.LIVE for _, lane in stretch]
        if Lane.LIVE in moment and len(moment) > 1:
            assert least * len(starts) - 1 - EPS < starts.count(False) <= least * len(starts) + 1 + EPS


@pytest.mark.parametrize("lane", Lane)
def test_the_only_waiting_lane_has_all_starts(lane: Lane):
    share = LaneShare(0.05)

    assert {share.choose({lane}) for _ in range(50)} == {lane}


@given(shares, waiting, others, st.booleans(), st.integers(1, 200))
def test_the_other_lanes_take_turns_in_what_live_leaves_them(least, before, background, live_waits, starts):
    share = LaneShare(least)
    for lanes in before:
        share.choose(lanes)

    chosen = Counter(share.choose({Lane.LIVE, *background} if live_waits else background) for _ in range(starts))

    turns = [chosen[lane] for lane in background]
    assert max(turns) - min(turns) <= 1
