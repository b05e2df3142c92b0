"""Which columns a grid has."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.errors import Misused
from latigo.domain.windows import DAY, EPOCH
from latigo.reports.grid_axis import LONGEST, MOST_COLUMNS, choose_axis
from latigo.reports.grid_cells import MOST_CELLS
from tests.support.build import HALF_HOUR, NOW, at

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("length", "step"),
    [(HOUR, HALF_HOUR), (DAY, HALF_HOUR), (7 * DAY, HALF_HOUR), (30 * DAY, 2 * HOUR), (90 * DAY, DAY)],
)
def test_columns_are_as_long_as_suits_the_range(length: timedelta, step: timedelta) -> None:
    axis = choose_axis(NOW - length, NOW, None, HALF_HOUR, 9000)

    assert axis.step == step
    assert axis.start <= NOW - length < axis.start + step
    assert axis.end - step < NOW <= axis.end


@given(
    st.timedeltas(timedelta(seconds=1), LONGEST),
    st.none() | st.timedeltas(timedelta(seconds=10), 28 * DAY),
    st.sampled_from([timedelta(seconds=1), timedelta(seconds=30), HALF_HOUR, DAY]),
    st.integers(0, 200_000),
)
def test_whole_columns_have_all_of_the_range_and_are_never_too_many(
    length: timedelta, step: timedelta | None, slot: timedelta, models: int
) -> None:
    start = at("10:07") - length
    axis = choose_axis(start, at("10:07"), step, slot, models)

    assert axis.columns <= MOST_COLUMNS
    assert axis.columns * models <= MOST_CELLS
    assert axis.start <= start < axis.start + axis.step
    assert axis.end - axis.step < at("10:07") <= axis.end
    assert not (axis.start - EPOCH) % axis.step
    assert step is None or axis.step >= step


@pytest.mark.parametrize(("start", "end"), [(NOW, NOW), (NOW, NOW - HOUR), (NOW - LONGEST - HOUR, NOW)])
def test_an_empty_or_endless_range_is_refused(start: datetime, end: datetime) -> None:
    with pytest.raises(Misused, match="from: "):
        choose_axis(start, end, None, HALF_HOUR, 1)


def test_more_models_than_cells_are_refused() -> None:
    with pytest.raises(Misused, match="models"):
        choose_axis(NOW - LONGEST, NOW, None, HALF_HOUR, MOST_CELLS + 1)
