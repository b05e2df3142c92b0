"""Several windows of a model that go out together, and whose turn it is."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.lane_share import LaneShare
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.ledger.protocol import Need
from latigo.scheduler.plan import Agenda, LastRuns, in_runs
from tests.support.build import HALF_HOUR, at
from tests.unit.scheduler.test_plan import BACK, LIVE, a_need, hole, ids, needs, requested, taken


def older(*hours: int) -> list[Window]:
    return [Window(at("09:00") - hour * HALF_HOUR, at("09:30") - hour * HALF_HOUR) for hour in hours]


def filled(windows: Mapping[int, Sequence[Window]]) -> Mapping[tuple[int, Lane], Sequence[Window]]:
    """Windows that continue backfill, by model."""
    return {(model_id, Lane.BACKFILL): each for model_id, each in windows.items()}


def test_what_continues_a_window_of_backfill_follows_it_and_live_goes_first():
    planned = taken(Agenda.of([a_need(1, back=BACK), a_need(2, live=None, back=BACK)]), 10)

    tasks = in_runs(planned, filled({1: older(1, 2), 2: older(3)}), 10, 10)

    assert [(task.model_id, task.lane, task.window) for task in tasks] == [
        (1, Lane.LIVE, LIVE),
        (1, Lane.BACKFILL, BACK),
        *((1, Lane.BACKFILL, window) for window in older(1, 2)),
        (2, Lane.BACKFILL, BACK),
        *((2, Lane.BACKFILL, window) for window in older(3)),
    ]


@pytest.mark.parametrize("lane", [Lane.BACKFILL, Lane.MANUAL])
def test_a_model_with_an_old_gap_has_its_run_before_others_have_their_second(lane: Lane):
    last_runs, request = LastRuns(), 7 if lane is Lane.MANUAL else None
    gaps = {1: older(*range(20)), 2: older(*range(20)), 3: older(90)}
    order = []

    for _ in range(4):
        lacking = [a_need(number, windows={lane: windows[0]}) for number, windows in gaps.items() if windows]
        planned = taken(Agenda.of([need._replace(request=request) for need in lacking], last_runs), 1)
        last_runs.record(in_runs(planned, {}, 1, 1))
        order += ids(planned)
        gaps = {number: windows[8 if number in ids(planned) else 0 :] for number, windows in gaps.items()}

    assert order == [1, 2, 3, 1]


def test_runs_for_which_there_was_no_room_come_next():
    last_runs = LastRuns()
    lacking = [a_need(number, live=None, back=older(10 * number)[0]) for number in range(1, 6)]
    agenda = Agenda.of(lacking, last_runs)

    planned = taken(agenda, 4)
    run = in_runs(planned, filled({1: older(*range(11, 18))}), 8, 8)
    last_runs.record(run)
    agenda.put_back(planned[1:])

    assert ids(run) == [1] * 8
    assert ids(taken(agenda, 5)) == [2, 3, 4, 5]
    assert ids(taken(Agenda.of(lacking, last_runs), 5)) == [2, 3, 4, 5, 1]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(1, 40)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(1, 20), st.booleans(), st.integers(0, 255)), min_size=1, max_size=60),
)
def test_no_model_waits_for_more_than_a_run_of_every_other_of_its_project(
    plant: list[tuple[str, int, int]], steps: list[tuple[int, bool, int]]
):
    """``plant``: project, place of the newest gap, and windows; ``steps``: room, new reading, which runs have ended."""
    gaps = {number: older(*range(first, first + count)) for number, (_, first, count) in enumerate(plant)}
    last_runs, agenda, out = LastRuns(), Agenda(), dict[int, int]()
    waited = {number: Counter[int]() for number in gaps}

    for room, reads, ended in steps:
        for number in [number for number in out if ended >> number & 1]:
            gaps[number] = gaps[number][out.pop(number) :]
        if reads or not agenda:
            lacking = [number for number, windows in gaps.items() if windows and number not in out]
            agenda = Agenda.of(
                [a_need(number, plant[number][0], live=None, back=gaps[number][0]) for number in lacking], last_runs
            )
        planned = taken(agenda, room)
        run = in_runs(planned, filled({number: gaps[number][1:8] for number in ids(planned)}), room, room)
        agenda.put_back([first for first in planned if first.model_id not in ids(run)])
        last_runs.record(run)
        out |= Counter(ids(run))
        for number in dict.fromkeys(ids(run)):
            waited[number].clear()
            for other, missing in gaps.items():
                if missing and other not in out and plant[other][0] == plant[number][0]:
                    waited[other][number] += 1
        assert all(runs <= 1 for others in waited.values() for runs in others.values())


@given(needs(), st.integers(0, 20), st.integers(0, 20), st.integers(0, 3), st.floats(1, 8))
def test_runs_take_no_more_than_there_is_room_for(
    result: list[Need], room: int, in_background: int, length: int, expected: float
):
    planned = Agenda.of(result).take(room, in_background, LaneShare(0.05), run=expected)

    windows = older(*range(1, length + 1))
    continued = {(need.model_id, lane): windows for need in result for lane in Lane}
    tasks = in_runs(planned, continued, room, in_background)

    assert len(tasks) <= room
    assert sum(not task.lane.is_live for task in tasks) <= in_background
    assert [task for task in tasks if task.lane.is_live] == [task for task in planned if task.lane.is_live]


def test_a_run_takes_the_room_that_it_is_expected_to_need():
    agenda = Agenda.of([a_need(number, live=None, back=BACK) for number in range(40)])

    assert len(agenda.take(32, 32, LaneShare(0.05), run=8.0)) == 4
    assert len(agenda.take(32, 32, LaneShare(0.05), run=1.0)) == 32


def test_runs_are_no_more_than_the_share_while_live_work_waits():
    agenda = Agenda.of([a_need(number, back=BACK) for number in range(400)])
    share = LaneShare(0.1)

    planned = [task for _ in range(20) for task in agenda.take(10, 5, share, run=8.0)]

    runs = sum(task.lane is Lane.BACKFILL for task in planned)
    live = len(planned) - runs
    assert runs > 0
    assert 8 * (runs - 1) <= 0.1 * (live + 8 * runs)


def test_what_a_request_wants_of_a_model_is_planned_in_runs_and_what_nobody_asked_for_is_not():
    repair = a_need(3, windows={Lane.REPAIR: BACK})
    planned = taken(Agenda.of([requested(1, request=7), repair]), 10)
    continued = {(1, Lane.MANUAL): older(1, 2), (1, Lane.BACKFILL): older(3), (3, Lane.REPAIR): older(4)}

    tasks = in_runs(planned, continued, 20, 20)

    assert [(task.model_id, task.request, task.window) for task in tasks if task.lane is Lane.MANUAL] == [
        (1, 7, window) for window in (hole(1), *older(1, 2))
    ]
    assert [task.window for task in tasks if task.lane is Lane.REPAIR] == [BACK]


@pytest.mark.parametrize(("room", "numbers"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 2, 2]), (9, [1, 1, 1, 2, 2, 2])])
def test_runs_for_a_request_are_no_more_than_it_has_room_for(room: int, numbers: list[int]):
    planned = taken(Agenda.of([requested(number, request=7) for number in (1, 2)][:room]), 20)
    continued = {(number, Lane.MANUAL): older(1, 2) for number in (1, 2)}

    tasks = in_runs(planned, continued, 40, 40, {7: room})

    assert sorted(task.model_id for task in tasks if task.lane is Lane.MANUAL) == numbers
