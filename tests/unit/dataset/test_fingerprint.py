"""Fingerprints of slots: equal inputs are equal, and a cell that moves beyond the tolerance is noticed."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from latigo.dataset.build import Buckets
from latigo.dataset.fingerprint import MOVED, fingerprint_of, has_moved, making_of
from latigo.domain.model import ModelSpec
from latigo.domain.series import Series, Values
from latigo.domain.windows import Window, span_ns, to_ns
from tests.support.build import a_spec, window

SLOT = window("10:00", "10:30")
STEP = timedelta(minutes=1)
ROWS = SLOT.length // STEP
LEAST = 1e-6  #: tolerance that the settings allow
SPEC = a_spec(tags=("a", "b"), targets=("b", "c"), dataset={"resolution": STEP})
_SIZES = st.floats(1e-3, 1e6)
VALUES = arrays.arrays(np.float64, (ROWS, 3), elements=_SIZES | _SIZES.map(lambda size: -size))


#: Of the slot, and as far back as anything looks here.
BACK = 12
_FIRST = to_ns(SLOT.start) - BACK * span_ns(STEP)


def taken(values: Values, spec: ModelSpec = SPEC, *, first: int = BACK, window: Window = SLOT) -> bytes:
    """The fingerprint of the slot, where a window of its own has these values; NaN: there is no reading.

    Args:
        values: shape (rows, tags).
        spec: of the model.
        first: minute of the first row, of which `BACK` is the beginning of the slot.
        window: that is predicted.
    """
    readings = {}
    for tag, column in zip(("a", "b", "c"), values.T, strict=True):
        (rows,) = np.isfinite(column).nonzero()
        readings[tag] = Series(_FIRST + (first + rows) * span_ns(STEP), column[rows])
    buckets = Buckets.of(spec.dataset, readings, Window(window.start - spec.context, window.end))
    buckets.dataset()  # fills in place
    return fingerprint_of(spec, making_of(spec), buckets, SLOT)


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


@given(VALUES, st.integers(0, ROWS - 1), st.integers(0, 2))
def test_a_reading_that_was_added_or_dropped_is_noticed_also_where_it_is_what_was_filled(
    values: Values, row: int, tag: int
):
    fewer = values.copy()
    fewer[row, tag] = np.nan

    assert has_moved(taken(values), taken(fewer), 1)
    assert has_moved(taken(fewer), taken(values), 1)


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
    values = np.ones((BACK + ROWS, 3))
    moved = values.copy()
    moved[BACK - back, 0] = 2

    assert has_moved(taken(values, spec, first=0), taken(moved, spec, first=0), LEAST) == (back <= offset)


@given(st.integers(1, 8))
def test_where_the_first_row_is_filled_it_counts_what_that_is_filled_from_as_far_as_the_context(back: int):
    values = np.ones((BACK + ROWS, 3))
    values[BACK - back + 1 : BACK + 2, 0] = np.nan
    moved = values.copy()
    moved[BACK - back, 0] = 2

    assert has_moved(taken(values, first=0), taken(moved, first=0), LEAST) == (back <= SPEC.context // STEP)


@given(
    arrays.arrays(np.float64, (BACK + 2 * ROWS, 3), elements=st.floats(-100, 100) | st.just(np.nan)),
    st.sampled_from([0, 3]),
    st.sampled_from([None, timedelta(minutes=3), timedelta(hours=8)]),
    st.sampled_from(["linear_interpolation", "ffill"]),
)
def test_the_same_readings_have_the_same_fingerprint_in_every_window(
    values: Values, offset: int, limit: timedelta | None, method: str
):
    filling = replace(SPEC.dataset, interpolation_limit=limit, interpolation_method=method)
    spec = replace(SPEC, model_offset=offset, dataset=filling)
    wider = Window(SLOT.start, SLOT.end + SLOT.length)

    assert taken(values, spec, first=0) == taken(values, spec, first=0, window=wider)


def test_readings_after_the_slot_do_not_count():
    values = np.ones((2 * ROWS, 3))
    moved = values.copy()
    moved[ROWS:] = 2
    wider = Window(SLOT.start, SLOT.end + SLOT.length)

    assert not has_moved(taken(values, window=wider), taken(moved, window=wider), LEAST)


@pytest.mark.parametrize("change", [{"aggregation": "max"}, {"tag_list": ("a", "c")}, {"row_filter": "`a` > 1"}])
def test_what_is_made_in_another_way_cannot_be_compared(change: dict[str, Any]):
    other = replace(SPEC, dataset=replace(SPEC.dataset, **change))

    assert not has_moved(taken(np.ones((ROWS, 3))), taken(np.zeros((ROWS, 3)), other), LEAST)


def test_a_new_revision_that_makes_it_in_the_same_way_can():
    newer = replace(SPEC, revision="2000", assets={"a": "1902"}, anomaly=False)

    assert has_moved(taken(np.ones((ROWS, 3))), taken(np.zeros((ROWS, 3)), newer), LEAST)


def test_what_waits_to_be_predicted_has_moved():
    assert has_moved(MOVED, taken(np.ones((ROWS, 3))), 1)


def test_it_has_four_octets_for_each_tag_and_eight_more():
    assert len(taken(np.ones((ROWS, 3)))) == 8 + 4 * 3
