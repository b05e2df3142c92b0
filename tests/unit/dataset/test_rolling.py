"""Rolling windows against the same written out window by window, with Python's own statistics."""

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.dataset.row_filter import rolling
from latigo.domain.series import Values

NUMBERS = st.one_of(
    st.just(math.nan),
    st.floats(-1e3, 1e3).map(lambda value: round(value, 3)),
    st.sampled_from([0.1, 0.1, 7.0, math.inf, -math.inf]),
)


def reduce(name: str, windows: rolling.Windows, *args: float) -> Values:
    with np.errstate(all="ignore"):  # as `RowFilter.mask` does
        result: Values = rolling.REDUCTIONS[name](windows, *args)
    return result


def _quantile(values: Sequence[float], q: float) -> float:
    ordered, place = sorted(values), q * (len(values) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


BY_HAND: dict[str, tuple[Callable[[Sequence[float]], float], int]] = {
    "sum": (math.fsum, 0),
    "mean": (statistics.fmean, 1),
    "median": (statistics.median, 1),
    "min": (min, 1),
    "max": (max, 1),
    "std": (statistics.stdev, 2),
    "var": (statistics.variance, 2),
}


def _by_hand(values: Sequence[float], windows: Sequence[range], name: str, least: int) -> list[float]:
    function, fewest = BY_HAND[name]
    result = []
    for window in windows:
        finite = [values[row] for row in window if math.isfinite(values[row])]
        result.append(function(finite) if len(finite) >= max(least, fewest) else math.nan)
    return result


@given(st.lists(NUMBERS, max_size=40), st.integers(1, 12), st.data(), st.booleans(), st.sampled_from(sorted(BY_HAND)))
def test_windows_of_rows(values: list[float], length: int, data: st.DataObject, center: bool, name: str) -> None:
    least = data.draw(st.one_of(st.none(), st.integers(0, length)))
    ahead = (length - 1) // 2 if center else 0
    rows = range(len(values))
    windows = [range(max(0, row + ahead - length + 1), min(len(values), row + ahead + 1)) for row in rows]

    result = reduce(name, rolling.of_rows(np.array(values, np.float64), length, least, center=center))

    wanted = _by_hand(values, windows, name, length if least is None else least)
    np.testing.assert_allclose(result, wanted, rtol=1e-9, atol=1e-9)


@given(
    st.lists(st.tuples(st.integers(1, 50), NUMBERS), max_size=40), st.integers(1, 200), st.sampled_from(sorted(BY_HAND))
)
def test_windows_of_time(steps: list[tuple[int, float]], span: int, name: str) -> None:
    times = np.cumsum([step for step, _ in steps], dtype=np.int64) if steps else np.empty(0, np.int64)
    values = [value for _, value in steps]
    windows = [
        range(next(old for old, at in enumerate(times) if at > time - span), row + 1) for row, time in enumerate(times)
    ]

    result = reduce(name, rolling.of_time(np.array(values, np.float64), times, span))

    np.testing.assert_allclose(result, _by_hand(values, windows, name, 1), rtol=1e-9, atol=1e-9)


@given(st.lists(NUMBERS, min_size=1, max_size=30), st.integers(1, 9), st.floats(0, 1))
def test_quantiles(values: list[float], length: int, q: float) -> None:
    result = reduce("quantile", rolling.of_rows(np.array(values), length, 1), q)

    for row, quantile in enumerate(result):
        finite = [value for value in values[max(0, row - length + 1) : row + 1] if math.isfinite(value)]
        assert quantile == pytest.approx(_quantile(finite, q) if finite else math.nan, nan_ok=True)


def test_an_infinite_value_is_counted_and_not_used() -> None:
    windows = rolling.of_rows(np.array([1.0, math.inf, math.nan, 3.0]), 2)

    assert reduce("count", windows).tolist() == [1, 2, 1, 1]
    np.testing.assert_equal(reduce("sum", windows), [np.nan] * 4)


def test_equal_values_have_exactly_their_value_as_mean_and_no_deviation() -> None:
    stuck = np.array([1e9, *[0.1] * 9])
    windows = rolling.of_rows(stuck, 6)

    assert reduce("mean", windows)[6:].tolist() == [0.1] * 4
    assert reduce("std", windows)[6:].tolist() == [0.0] * 4


def test_whole_numbers_are_added_up_exactly() -> None:
    running = np.array([1.0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1])

    assert reduce("sum", rolling.of_rows(running, 7, 1)).tolist() == [1, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7]
