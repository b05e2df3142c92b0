"""What a sink has of a window, slot by slot."""

from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.coverage import Coverage
from latigo.domain.model import ModelRef
from latigo.domain.series import Column, Predictions
from latigo.domain.windows import from_ns, to_ns
from latigo.executor.copying import rows_within, slots_of, slots_with_rows
from tests.support.build import window

SLOT, ROW = timedelta(minutes=30), timedelta(minutes=10)
SPAN = window("10:00", "13:00")
LABELS = [SPAN.start + number * ROW for number in range(SPAN.length // ROW)]
PARTS = list(SPAN.slots(SLOT))


def stored(times, revision: str = "1000", value: float = 1.0) -> Predictions:
    labels = np.array([to_ns(time) for time in sorted(times)], np.int64)
    return Predictions(
        ModelRef("plant", "pump"), revision, labels, (Column("out", "a"),), np.full((len(labels), 1), value)
    )


rows = st.sets(st.sampled_from(LABELS))
slots = st.sets(st.sampled_from(PARTS)).map(Coverage.of)


@given(rows, rows, slots, st.integers(1, 3))
def test_a_slot_is_there_if_it_has_rows_enough_of_whatever_revision(older, newer, within: Coverage, fewest: int):
    has = slots_with_rows([stored(older, "1000"), stored(newer, "1001")], within, SLOT, fewest=fewest)

    expected = [
        part for part in PARTS if part.start in within and sum(time in part for time in older | newer) >= fewest
    ]
    assert has == Coverage.of(expected)


@given(rows, slots)
def test_rows_are_those_of_the_slots_and_no_others(times, within: Coverage):
    kept = rows_within(stored(times), within)

    assert [from_ns(int(time)) for time in kept.times] == sorted(time for time in times if time in within)
    assert len(kept.values) == len(kept.times)
    assert slots_of(kept.times, within, SLOT) - within == Coverage()


@given(rows)
def test_rows_without_a_finite_value_are_not_there(times):
    empty = stored(times, value=float("nan"))

    assert slots_with_rows([empty], Coverage((SPAN,)), SLOT, fewest=1) == Coverage()
    assert len(rows_within(empty, Coverage((SPAN,)))) == 0


def test_a_sink_that_has_nothing_has_no_slot():
    assert slots_with_rows([], Coverage((SPAN,)), SLOT, fewest=1) == Coverage()
