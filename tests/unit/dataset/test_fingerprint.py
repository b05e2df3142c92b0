"""Fingerprints of slots: equal inputs are equal, and a cell that moves beyond the tolerance is noticed."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from latigo.dataset.build import Dataset, Missing
from latigo.dataset.fingerprint import MOVED, fingerprint_of, has_moved, making_of
from latigo.domain.model import ModelSpec
from latigo.domain.series import Frame, Times, Values
from latigo.domain.windows import span_ns, to_ns
from tests.support.build import a_spec, window

SLOT = window("10:00", "10:30")
STEP = timedelta(minutes=1)
ROWS = SLOT.length // STEP
LEAST = 1e-6  #: tolerance that the settings allow
SPEC = a_spec(tags=("a", "b"), targets=("b", "c"), dataset={"resolution": STEP})
_SIZES = st.floats(1e-3, 1e6)
VALUES = arrays.arrays(np.float64, (ROWS, 3), elements=_SIZES | _SIZES.map(lambda size: -size))


def dataset(values: Values, times: Times | None = None) -> Dataset:
    """X of a and b, and y of b and c; the rows of the slot unless others are given."""
    if times is None:
        times = to_ns(SLOT.start) + np.arange(len(values), dtype=np.int64) * span_ns(STEP)
    nothing = np.empty(0, np.int64)
    return Dataset(
        x=Frame(times, ("a", "b"), values[:, :2]),
        y=Frame(times, ("b", "c"), values[:, 1:]),
        provisional=np.zeros(len(times), np.bool_),
        missing=Missing(nothing, ("a", "b", "c"), np.empty((0, 3), np.bool_)),
        filtered=nothing,
        filtered_provisional=np.empty(0, np.bool_),
        tags=("a", "b", "c"),
        last_labels=np.full(3, times[-1] if len(times) else 0),
    )


def taken(values: Values, times: Times | None = None, spec: ModelSpec = SPEC) -> bytes:
    return fingerprint_of(spec, making_of(spec), dataset(values, times), SLOT)


@given(VALUES, st.floats(LEAST, 1))
def test_what_is_equal_has_not_moved(values: Values, tolerance: float):
    assert not has_moved(taken(values), taken(values.copy()), tolerance)


@given(arrays.arrays(np.float64, (ROWS, 3), elements=_SIZES), st.floats(LEAST, 1), st.data())
def test_nor_has_what_moved_by_less_than_the_tolerance(values: Values, tolerance: float, data: st.DataObject):
    by = data.draw(arrays.arrays(np.float64, (ROWS, 3), elements=st.floats(-0.25, 0.25)))

    assert not has_moved(taken(values), taken(values * (1 + by * tolerance)), tolerance)


@given(
    arrays.arrays(np.float64, (ROWS, 3), elements=_SIZES),
    st.integers(0, ROWS - 1),
    st.integers(0, 2),
    st.floats(-10, 10),
    st.floats(LEAST, 1e-2),
)
def test_one_cell_that_changes_the_mean_of_its_tag_by_more_than_the_tolerance_is_noticed(
    values: Values, row: int, tag: int, share: float, tolerance: float
):
    """A label counts at least half as much as another one."""
    moved = values.copy()
    moved[row, tag] += share * values[:, tag].sum()
    larger = max(abs(values[:, tag].sum()), abs(moved[:, tag].sum()))
    assume(abs(share) * values[:, tag].sum() > 5 * tolerance * larger)

    assert has_moved(taken(values), taken(moved), tolerance)


@given(VALUES, st.integers(0, ROWS - 1))
def test_a_row_that_was_added_or_dropped_is_noticed(values: Values, row: int):
    times = dataset(values).x.times
    fewer = taken(np.delete(values, row, axis=0), np.delete(times, row))

    assert has_moved(taken(values), fewer, 1)
    assert has_moved(fewer, taken(values), 1)


def test_values_that_change_places_are_noticed():
    values = np.tile(np.linspace(1.0, 2.0, ROWS)[:, None], (1, 3))

    assert has_moved(taken(values), taken(values[::-1].copy()), 1e-3)


def test_a_cell_that_is_a_number_by_now_is_noticed():
    values = np.ones((ROWS, 3))
    without = values.copy()
    without[3, 2] = np.nan

    assert not has_moved(taken(without), taken(without), LEAST)
    assert has_moved(taken(without), taken(values), LEAST)
    assert has_moved(taken(values), taken(without), LEAST)


@given(st.integers(0, 6), st.integers(1, 6))
def test_rows_before_the_slot_count_as_far_as_the_model_looks_back(offset: int, back: int):
    spec = replace(SPEC, model_offset=offset)
    times = to_ns(SLOT.start) + np.arange(-6, ROWS, dtype=np.int64) * span_ns(STEP)
    values = np.ones((len(times), 3))
    moved = values.copy()
    moved[6 - back, 0] = 2

    assert has_moved(taken(values, times, spec), taken(moved, times, spec), LEAST) == (back <= offset)


def test_rows_after_the_slot_do_not_count():
    values = np.ones((2 * ROWS, 3))
    moved = values.copy()
    moved[ROWS:] = 2

    assert not has_moved(taken(values), taken(moved), LEAST)


@pytest.mark.parametrize("change", [{"aggregation": "max"}, {"tag_list": ("a", "d")}, {"row_filter": "`a` > 1"}])
def test_what_is_made_in_another_way_cannot_be_compared(change: dict[str, Any]):
    other = replace(SPEC, dataset=replace(SPEC.dataset, **change))

    assert not has_moved(taken(np.ones((ROWS, 3))), taken(np.zeros((ROWS, 3)), spec=other), LEAST)


def test_a_new_revision_that_makes_it_in_the_same_way_can():
    newer = replace(SPEC, revision="2000", assets={"a": "1902"}, anomaly=False)

    assert has_moved(taken(np.ones((ROWS, 3))), taken(np.zeros((ROWS, 3)), spec=newer), LEAST)


def test_what_waits_to_be_predicted_has_moved():
    assert has_moved(MOVED, taken(np.ones((ROWS, 3))), 1)


def test_it_has_four_octets_for_each_column_and_eight_more():
    assert len(taken(np.ones((ROWS, 3)))) == 8 + 4 * 3
