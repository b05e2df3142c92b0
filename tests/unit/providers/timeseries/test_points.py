"""Which points of a series are used, however they came."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from latigo.providers.timeseries.points import Points, ReadPoints, good_points, parts_of

POINT = st.tuples(st.integers(0, 20), st.floats(-5, 5), st.sampled_from([192, 192, 192, 64, 0]))
ORDERED = st.lists(POINT, max_size=6, unique_by=lambda point: point[0]).map(sorted)
SERIES = st.one_of(ORDERED, ORDERED, st.lists(POINT, max_size=6))
GOOD = st.sampled_from([frozenset({192}), frozenset({192, 64}), frozenset({0})])


@given(
    st.lists(st.lists(SERIES, min_size=3, max_size=3), min_size=1, max_size=2),
    GOOD,
    st.integers(0, 20),
    st.integers(0, 21),
)
def test_the_good_points_of_a_window_are_used_in_order_of_time(
    pages: list[list[list[tuple[int, float, int]]]], good: frozenset[int], start: int, end: int
) -> None:
    parts = [parts_of(*page_of(series), good) for series in pages]

    for number in range(3):
        found = good_points([page[number] for page in parts], good, start, end)

        own = [point for page in pages for point in page[number] if start <= point[0] < end]
        first: dict[int, float] = {}
        for time, value, status in own:
            if status in good:
                first.setdefault(time, value)
        assert dict(zip(found.series.times.tolist(), found.series.values.tolist(), strict=True)) == first
        assert found.series.times.tolist() == sorted(first)
        bad = [status for _, _, status in own if status not in good]
        assert found.bad == len(bad)
        assert shows(found) == (f"status {bad[0]}" if bad else "")


def page_of(series: list[list[tuple[int, float, int]]]) -> tuple[Points, list[slice]]:
    every = [point for own in series for point in own]
    ends = np.cumsum([len(own) for own in series]).tolist()
    times = np.array([time for time, _, _ in every], np.int64)
    values = np.array([value for _, value, _ in every], np.float64)
    statuses = np.array([status for _, _, status in every], np.int64)
    return Points(times, values, statuses), [slice(end - len(own), end) for own, end in zip(series, ends, strict=True)]


def shows(found: ReadPoints) -> str:
    """Return the status in the example."""
    return found.example.partition(": ")[2]
