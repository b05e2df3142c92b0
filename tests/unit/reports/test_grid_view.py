"""How rows of a grid are scored, marked and compared."""

from datetime import timedelta

import numpy as np
import pytest

from latigo.reports.grid import Rows
from latigo.reports.grid_causes import Causes
from latigo.reports.grid_cells import Axis, State
from latigo.reports.grid_view import Grid, View, Wanted
from tests.support.build import NOW

BEFORE, COVERED, SHORT, ABSENT = State.NOT_DESIRED, State.COVERED, State.SHORT, State.ABSENT
MISSING, PARKED, PAUSED, FLYING = State.MISSING, State.PARKED, State.PAUSED, State.IN_FLIGHT


def grid(*rows: list[State], projects: str = "") -> Grid:
    cells = np.array(rows, np.uint8)
    count = len(rows)
    return Grid(
        axis=Axis(NOW, timedelta(minutes=30), cells.shape[1]),
        at=NOW,
        rows=Rows(
            ids=np.arange(count, dtype=np.int64),
            projects=list(projects or "p" * count),
            names=[f"model-{number}" for number in range(count)],
            paused=np.zeros(count, np.bool_),
            unusable=np.zeros(count, np.bool_),
            silent=np.zeros(count, np.bool_),
            covered_end=np.zeros(count, np.int64),
            parked_since=np.zeros(count, np.int64),
        ),
        causes=Causes(count),
        cells=cells,
    )


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ([COVERED, COVERED, PARKED, BEFORE], [MISSING, MISSING, MISSING, MISSING]),  # stuck: its newest slot is parked
        ([COVERED, COVERED, COVERED, MISSING], [MISSING, COVERED, COVERED, COVERED]),
        ([COVERED, MISSING, COVERED, MISSING], [COVERED, COVERED, MISSING, COVERED]),
        ([PARKED, PARKED, COVERED, COVERED], [COVERED, PARKED, COVERED, COVERED]),
        ([COVERED, COVERED, COVERED, MISSING], [SHORT, ABSENT, SHORT, ABSENT]),
        ([COVERED, SHORT, SHORT, COVERED], [COVERED, COVERED, ABSENT, COVERED]),
        ([COVERED, COVERED, SHORT, COVERED], [FLYING, FLYING, PAUSED, BEFORE]),
    ],
)
def test_the_worse_row_stands_first_and_the_order_among_equals_is_by_name(
    worse: list[State], better: list[State]
) -> None:
    view = View(grid(better, worse, better), Wanted())

    assert view.names() == ["model-1", "model-0", "model-2"]
    assert view.scores()[0] > view.scores()[1] == view.scores()[2]


def test_a_row_of_missing_time_has_the_score_of_one() -> None:
    assert View(grid([MISSING] * 5, [COVERED] * 5), Wanted()).scores() == [1.0, 0.0]


def test_projects_stand_by_their_mean_and_not_by_their_size() -> None:
    rows = [[COVERED, MISSING]] * 2 + [[COVERED, COVERED]] * 6 + [[COVERED, MISSING], [COVERED, COVERED]]
    view = View(grid(*rows, projects="aaaaaaaabb"), Wanted())

    assert [(group.project, group.first_row, group.rows) for group in view.groups] == [("b", 0, 2), ("a", 2, 8)]


def test_paused_and_undesired_models_do_not_count_for_marks() -> None:
    rows = [[COVERED, MISSING, ABSENT], [BEFORE, PAUSED, COVERED], *[[COVERED, BEFORE, COVERED]] * 3]
    view = View(grid(*rows), Wanted())

    assert [(mark.column, mark.share, mark.cause) for mark in view.marks()] == [(1, 1.0, "missing")]


def test_the_cause_of_most_is_named_where_it_is_known() -> None:
    made = grid([MISSING], [MISSING], [MISSING], [PARKED], [COVERED])
    for row, text in enumerate(["gordo/p is unavailable", "gordo/p is unavailable", "waits for its turn"]):
        made.causes.add(MISSING, row, text)
    made.causes.add(PARKED, 3, "crashed")

    (mark,) = View(made, Wanted()).marks()

    assert (mark.share, mark.cause) == (0.8, "gordo/p is unavailable")


def test_only_grids_of_the_same_columns_and_models_can_be_compared() -> None:
    one, other = grid([COVERED, MISSING], [COVERED, COVERED]), grid([COVERED, COVERED], [COVERED, COVERED])

    changed = other.changed_rows(one)

    assert changed is not None
    assert changed.tolist() == [0]
    assert grid([COVERED, COVERED]).changed_rows(one) is None
    assert grid([COVERED], [COVERED]).changed_rows(one) is None
