import math
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.dataset import Buckets, Dataset, Emptiness, build
from latigo.dataset.build import MOST_CELLS
from latigo.dataset.resample import AGGREGATIONS
from latigo.domain.errors import TooLarge
from latigo.domain.model import DatasetConfig
from latigo.domain.series import Point, Series
from latigo.domain.windows import Window, from_ns, to_ns

DAY = datetime(2025, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return to_ns(DAY + timedelta(hours=int(hours), minutes=float(minutes)))


def series(points: Mapping[str, float]) -> Series:
    return Series(np.array([at(clock) for clock in points], np.int64), np.array(list(points.values()), np.float64))


def config(*tags: str, **changes: object) -> DatasetConfig:
    return replace(DatasetConfig(tags, tags), **changes)  # type: ignore[arg-type]  # fields by name, of any type


def period(start: str = "10:00", end: str = "11:00") -> Window:
    return Window(from_ns(at(start)), from_ns(at(end)))


def rows(dataset: Dataset) -> dict[str, list[float]]:
    clocks = [f"{from_ns(time):%H:%M}" for time in dataset.x.times.tolist()]
    return dict(zip(clocks, dataset.x.values.tolist(), strict=True))


def clocks(times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[str]:
    return [f"{from_ns(time):%H:%M}" for time in times.tolist()]


STEPS = series({"10:01": 1, "10:11": 2, "10:21": 3, "10:31": 4, "10:41": 5, "10:51": 6})


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_the_row_labelled_end_is_never_sent() -> None:
    dataset = build(config("a"), {"a": STEPS}, period())
    with_end = build(config("a"), {"a": STEPS}, period(), label_at_end=True)

    assert list(rows(dataset)) == ["10:00", "10:10", "10:20", "10:30", "10:40", "10:50"]
    assert list(rows(with_end)) == [*rows(dataset), "11:00"]


def test_methods_of_the_row_filter_see_the_row_labelled_end() -> None:
    # a is 1 to 6, and 6 once more at the end: the mean is 27/7 and not 21/6
    dataset = build(config("a", row_filter="a.mean() > 3.6 & a > 0"), {"a": STEPS}, period())

    assert len(dataset) == 6


def test_y_has_the_rows_of_x_and_its_own_columns() -> None:
    readings = {"a": STEPS, "b": series({"10:01": 10}), "c": series({"10:01": 7})}
    wanted = replace(config("b", "a"), target_tag_list=("a", "b", "a"), row_filter="c == 7 & a > 4", filter_tags=("c",))

    dataset = build(wanted, readings, period())

    assert dataset.x.columns == ("b", "a")
    assert dataset.y.columns == ("a", "b", "a")
    assert dataset.x.values.tolist() == [[10, 5], [10, 6]]
    assert dataset.y.values.tolist() == [[5, 10, 5], [6, 10, 6]]
    assert dataset.x.times is dataset.y.times


def test_readings_outside_of_the_period_count_for_nothing() -> None:
    around = series({"09:55": 100, "10:01": 1, "10:11": 2, "11:01": 100})

    inside = build(config("a"), {"a": series({"10:01": 1, "10:11": 2})}, period())

    assert rows(build(config("a"), {"a": around, "z": STEPS}, period())) == rows(inside)


def test_a_frame_beyond_all_bounds_is_too_large() -> None:
    fine = config("a", resolution=timedelta(milliseconds=1))
    hours = -(-MOST_CELLS // 3_600_000)

    with pytest.raises(TooLarge):
        build(fine, {"a": STEPS}, Window(DAY, DAY + timedelta(hours=hours)))


def test_few_readings_in_a_long_window_take_little_more_than_their_buckets() -> None:
    tags = tuple(f"tag-{number}" for number in range(200))
    times = np.arange(at("00:00"), at("00:00") + 60 * 10**10, 10**10, dtype=np.int64)
    values = np.ones(60)
    values[30] = math.nan
    readings = dict.fromkeys(tags, Series(times, values))
    tracemalloc.start()
    try:
        buckets = Buckets.of(config(*tags, resolution=MINUTE), readings, Window(DAY, DAY + timedelta(days=7)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2 * buckets.values.nbytes


# --- buckets ----------------------------------------------------------------------------------------------------------

#: gordo-core's answers for 1, 4, NaN, 4 in the first bucket, nothing in the second, and 3 in the third.
BUCKETS = {
    "mean": [3, 3, 3],
    "median": [4, 3.5, 3],
    "min": [1, 2, 3],
    "max": [4, 3.5, 3],
    "first": [1, 2, 3],
    "last": [4, 3.5, 3],
    "std": [3**0.5, 3**0.5, 3**0.5],
    "var": [3, 3, 3],
    "sem": [1, 1, 1],
    "sum": [9, 0, 3],
    "prod": [16, 1, 3],
    "count": [3, 0, 1],
    "nunique": [2, 0, 1],
    "quantile": [4, 3.5, 3],
    "size": [5, 0, 1],  # NaN counts, and so does the empty reading that gordo-core puts at 10:00
}


@pytest.mark.parametrize("method", sorted(AGGREGATIONS))
def test_a_bucket_is_aggregated_without_nan(method: str) -> None:
    readings = {"a": series({"10:01": 1, "10:02": 4, "10:03": math.nan, "10:04": 4, "10:21": 3})}

    dataset = build(config("a", aggregation=method), readings, period(end="10:30"))

    assert dataset.x.values.ravel().tolist() == pytest.approx(BUCKETS[method])


@pytest.mark.parametrize(
    ("method", "values", "made"),
    [
        ("mean", (1, math.inf), [math.inf]),
        ("mean", (math.inf, 1), []),
        ("sum", (1, -math.inf), [-math.inf]),
        ("sum", (math.inf, math.inf), []),
        ("max", (math.inf, 1), [math.inf]),
        ("median", (math.inf, 1), [math.inf]),
        ("median", (math.inf, -math.inf), []),
        ("quantile", (math.inf, 1), [math.inf]),
        ("quantile", (math.inf, math.inf), []),
        ("quantile", (-math.inf, 5), []),
        ("std", (math.inf, 1), []),
        ("count", (math.inf, 1), [2]),
    ],
)
def test_infinity_stays_where_pandas_leaves_it(method: str, values: tuple[float, float], made: list[float]) -> None:
    readings = {"a": series(dict(zip(("10:01", "10:02"), values, strict=True)))}

    dataset = build(config("a", aggregation=method), readings, period(end="10:10"))

    assert dataset.x.values.ravel().tolist() == made


@pytest.mark.parametrize(
    ("left", "right", "between"),
    [(math.inf, 1, math.inf), (1, math.inf, math.inf), (math.inf, math.inf, math.inf), (1, -math.inf, -math.inf)],
)
def test_a_line_to_infinity_is_infinite(left: float, right: float, between: float) -> None:
    readings = {"a": series({"10:01": left, "10:31": right})}

    dataset = build(config("a"), readings, period(end="10:40"))

    assert dataset.x.values.ravel().tolist() == [left, between, between, right]


def test_a_flat_sensor_deviates_by_nothing() -> None:
    flat = series(dict.fromkeys(["10:01", "10:02", "10:03"], 0.1))

    dataset = build(config("a", aggregation="std"), {"a": flat}, period(end="10:10"))

    assert dataset.x.values.tolist() == [[0.0]]


def test_a_value_is_new_in_each_bucket() -> None:
    readings = {"a": series({"10:01": 1, "10:02": 4, "10:11": 4, "10:12": 4})}

    dataset = build(config("a", aggregation="nunique"), readings, period(end="10:20"))

    assert rows(dataset) == {"10:00": [2], "10:10": [1]}


def test_the_size_of_a_bucket_counts_the_readings_that_gordo_core_adds() -> None:
    readings = {"a": series({"10:00": 1, "10:01": 4, "10:21": 3})}
    sizes = config("a", aggregation="size")

    assert rows(build(sizes, readings, period(end="10:25"))) == {"10:00": [2], "10:10": [0], "10:20": [2]}
    assert rows(build(sizes, readings, period("09:55", "10:25")))["09:50"] == [1]


@pytest.mark.parametrize(("limit", "filled"), [(200, 2), (300, 2), (400, 4), (600, 5), (699, 6), (700, 6)])
def test_a_limit_below_a_second_is_a_quotient_of_seconds_rounded_down(limit: int, filled: int) -> None:
    step = timedelta(milliseconds=100)
    start = from_ns(at("10:00"))
    readings = {"a": Series(np.array([at("10:00"), at("10:00") + 900_000_000], np.int64), np.array([0.0, 9.0]))}
    tenths = config("a", resolution=step, interpolation_limit=limit * step / 100)

    dataset = build(tenths, readings, Window(start, start + timedelta(seconds=1)))

    # 0.3 / 0.1 is 2.9999999999999996, 0.6 / 0.1 is 5.999999999999999 and 0.7 / 0.1 is 6.999999999999999.
    assert dataset.x.values.ravel().tolist() == pytest.approx([*range(filled + 1), 9])


def test_the_row_filter_divides_counts_as_whole_numbers() -> None:
    readings = {"a": series({"10:01": 1, "10:21": 1}), "b": series({"10:11": 1, "10:12": 1})}
    wanted = config("a", "b", aggregation="count", row_filter="a // b == 0")

    dataset = build(wanted, readings, period(end="10:30"))

    assert rows(dataset) == {"10:00": [1, 0], "10:10": [0, 2], "10:20": [1, 0]}


# --- what is missing, and what is not final ---------------------------------------------------------------------------


def test_rows_past_the_last_reading_of_a_tag_are_provisional() -> None:
    readings = {"a": STEPS, "b": series({"10:01": 1, "10:25": 2})}

    dataset = build(config("a", "b"), readings, period())

    assert dict(zip(clocks(dataset.x.times), dataset.provisional.tolist(), strict=True)) == {
        "10:00": False,
        "10:10": False,
        "10:20": False,
        "10:30": True,
        "10:40": True,
        "10:50": True,
    }
    assert dataset.carried_in(period("10:30", "11:00")) == ("b",)
    assert dataset.carried_in(period("10:20", "10:40")) == ("b",)
    assert dataset.carried_in(period("10:00", "10:30")) == ()


def test_a_gap_between_two_readings_is_not_provisional() -> None:
    dataset = build(config("a"), {"a": series({"10:01": 1, "10:51": 6})}, period())

    assert len(dataset) == 6
    assert not dataset.provisional.any()


def test_nothing_counted_after_the_last_reading_is_provisional() -> None:
    dataset = build(config("a", aggregation="count"), {"a": series({"10:01": 1, "10:31": 1})}, period())

    assert rows(dataset) == {"10:00": [1], "10:10": [0], "10:20": [0], "10:30": [1], "10:40": [0], "10:50": [0]}
    assert clocks(dataset.x.times[dataset.provisional]) == ["10:40", "10:50"]


def test_a_tag_filled_only_from_the_look_back_is_provisional_throughout() -> None:
    nothing_but_nan = {"a": series({"10:20": math.nan})}

    dataset = build(config("a"), nothing_but_nan, period(), {"a": Point(at("09:56"), 5.0)})

    assert set(dataset.x.values.ravel()) == {5.0}
    assert dataset.provisional.all()
    assert dataset.carried_in(period()) == ("a",)


def test_missing_labels_name_the_tags_that_lack_them() -> None:
    readings = {"a": STEPS, "b": series({"10:01": 10, "10:31": 40}), "c": series({"10:21": 1})}

    dataset = build(config("a", "b", "c", interpolation_limit=10 * MINUTE), readings, period())

    assert rows(dataset) == {"10:30": [4, 40, 1]}
    assert clocks(dataset.missing.times) == ["10:00", "10:10", "10:20", "10:40", "10:50"]
    assert dataset.missing.tags_in(period()) == ("b", "c")
    assert dataset.missing.tags_in(period("10:00", "10:20")) == ("c",)
    assert dataset.missing.tags_in(period("10:20", "10:30")) == ("b",)
    assert dataset.missing.tags_in(period("10:30", "10:40")) == ()


def test_rows_that_the_filter_drops_are_not_missing() -> None:
    readings = {"a": series({"10:01": 1, "10:11": 2, "10:21": 3})}

    dataset = build(config("a", row_filter="a < 3"), readings, period())

    assert clocks(dataset.x.times) == ["10:00", "10:10"]
    assert clocks(dataset.filtered) == ["10:20", "10:30", "10:40", "10:50"]
    assert dataset.filtered_provisional.tolist() == [False, True, True, True]
    assert len(dataset.missing) == 0
    assert dataset.carried_in(period("10:30", "11:00")) == ("a",)


# --- no rows ----------------------------------------------------------------------------------------------------------


def test_no_reading_of_a_tag_leaves_no_rows_and_names_it() -> None:
    point = {"b": Point(at("09:56"), 5.0)}

    dataset = build(config("a", "b", "c"), {"a": STEPS, "b": Series.empty()}, period(), point)

    assert (len(dataset), dataset.emptiness) == (0, Emptiness.NO_READINGS)
    assert dataset.empty_reason == "no reading in the period of 'b', 'c'"
    assert dataset.x.values.shape == (0, 3)
    assert dataset.missing.tags_in(period()) == ("b", "c")


def test_no_reading_counts_as_none_for_sums_too() -> None:
    dataset = build(config("a", "b", aggregation="sum"), {"a": STEPS, "b": Series.empty()}, period())

    assert dataset.emptiness is Emptiness.NO_READINGS


def test_no_common_label_names_the_tags_with_the_fewest() -> None:
    readings = {"a": series({"10:01": 1}), "b": series({"10:21": 1, "10:41": 1})}

    dataset = build(config("a", "b", interpolation_limit=10 * MINUTE), readings, period())

    assert dataset.emptiness is Emptiness.NO_COMMON_LABEL
    assert "'a'" in dataset.empty_reason


def test_a_value_only_at_the_end_is_no_row() -> None:
    dataset = build(config("a"), {"a": series({"11:00": 1})}, period())

    assert dataset.emptiness is Emptiness.NO_COMMON_LABEL


def test_a_filter_that_leaves_nothing_is_distinguished() -> None:
    dataset = build(config("a", row_filter="a > 100"), {"a": STEPS}, period())

    assert dataset.emptiness is Emptiness.FILTERED
    assert dataset.empty_reason == "the row filter leaves none of 6 rows: a > 100"
    assert len(dataset.filtered) == 6


# --- look-back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "changes", "wanted"),
    [
        ({"10:09": 1}, {}, ()),
        ({"10:10": 1}, {}, ("a",)),
        ({"10:09": math.nan, "10:30": 1}, {}, ("a",)),
        ({"10:09": math.nan}, {}, ("a",)),
        ({"10:09": 1}, {"aggregation": "std"}, ("a",)),
        ({"10:08": 1, "10:09": 1}, {"aggregation": "std"}, ()),
        ({"10:10": 1}, {"aggregation": "count"}, ()),
        ({"10:10": 1}, {"interpolation_limit": None}, ()),
        ({"10:07": 1}, {"resolution": 7 * MINUTE}, ()),  # labels that are no multiples of 7 minutes since the epoch
        ({}, {}, ()),
        ({"11:01": 1}, {}, ()),
    ],
)
def test_the_last_value_before_the_start_is_wanted_where_the_first_bucket_is_empty(
    points: dict[str, float], changes: dict[str, object], wanted: tuple[str, ...]
) -> None:
    assert Buckets.of(config("a", **changes), {"a": series(points)}, period()).look_back == wanted


def test_no_look_back_is_wanted_while_another_tag_is_silent() -> None:
    assert Buckets.of(config("a", "b"), {"a": series({"10:10": 1})}, period()).look_back == ()


@pytest.mark.parametrize("clock", ["09:35", "10:00"])
def test_a_value_that_is_too_old_or_not_before_the_start_is_not_used(clock: str) -> None:
    wanted = config("a", interpolation_limit=20 * MINUTE)

    dataset = build(wanted, {"a": series({"10:41": 60})}, period(), {"a": Point(at(clock), 0.0)})

    assert list(rows(dataset)) == ["10:40", "10:50"]


# --- laws -------------------------------------------------------------------------------------------------------------

START = datetime(2025, 3, 1, 10, tzinfo=UTC)
VALUES = st.one_of(st.integers(-5, 5).map(float), st.floats(-100, 100), st.just(math.nan))


@st.composite
def readings(draw: st.DrawFn, tags: Sequence[str] = ("a", "b")) -> dict[str, Series]:
    """Readings of 20 minutes, in seconds."""
    result = {}
    for tag in tags:
        seconds = sorted(draw(st.lists(st.integers(0, 1199), max_size=25)))
        times = to_ns(START) + np.array(seconds, np.int64) * 1_000_000_000
        values = draw(st.lists(VALUES, min_size=len(seconds), max_size=len(seconds)))
        result[tag] = Series(times, np.array(values, np.float64))
    return result


configs = st.builds(
    DatasetConfig,
    tag_list=st.just(("a", "b")),
    target_tag_list=st.just(("b",)),
    resolution=st.sampled_from([60, 90, 120, 7 * 60]).map(lambda seconds: timedelta(seconds=seconds)),
    aggregation=st.sampled_from(sorted(AGGREGATIONS)),
    interpolation_method=st.sampled_from(["linear_interpolation", "ffill"]),
    interpolation_limit=st.sampled_from([None, timedelta(minutes=7), timedelta(minutes=15), timedelta(hours=48)]),
    row_filter=st.sampled_from(["", "a > 0", "a < b | b > 1"]),
)
periods = st.builds(
    lambda start, length: Window(START + start * MINUTE / 2, START + (start + length) * MINUTE / 2),
    st.integers(0, 20),
    st.integers(1, 30),
)


@given(configs, readings(), periods)
def test_every_label_of_the_period_is_sent_or_missing_or_filtered(
    wanted: DatasetConfig, raw: dict[str, Series], window: Window
) -> None:
    dataset = build(wanted, raw, window)

    step = wanted.resolution
    first = START + (window.start - START) // step * step if step != 7 * MINUTE else None
    labels = sorted([*dataset.x.times.tolist(), *dataset.missing.times.tolist(), *dataset.filtered.tolist()])
    assert set(np.diff(labels)) <= {step // timedelta(microseconds=1) * 1000}
    assert labels[0] <= to_ns(window.start) < labels[0] + step // timedelta(microseconds=1) * 1000
    assert labels[-1] < to_ns(window.end) <= labels[-1] + step // timedelta(microseconds=1) * 1000
    assert first is None or labels[0] == to_ns(first)


@given(configs, readings(), periods)
def test_a_frame_holds_no_nan_and_says_why_it_is_empty(
    wanted: DatasetConfig, raw: dict[str, Series], window: Window
) -> None:
    dataset = build(wanted, raw, window)

    assert not np.isnan(dataset.x.values).any()
    assert (len(dataset) == 0) == (dataset.emptiness is not None) == bool(dataset.empty_reason)
    assert len(dataset.provisional) == len(dataset.x) == len(dataset.y)
    assert dataset.y.values.tolist() == dataset.x.values[:, 1:].tolist()


@given(configs, readings(), periods, st.integers(0, 19))
def test_readings_that_come_later_leave_the_rows_that_were_final(
    wanted: DatasetConfig, raw: dict[str, Series], window: Window, minute: int
) -> None:
    # At the edge of a bucket, so that none of them was half full.
    cut = to_ns(window.start) - to_ns(START.replace(hour=0))
    step = wanted.resolution // timedelta(microseconds=1) * 1000
    now = to_ns(window.start) - cut % step + minute * step
    so_far = {}
    for tag, values in raw.items():
        count = int(values.times.searchsorted(now))
        so_far[tag] = Series(values.times[:count], values.values[:count])

    then, later = build(wanted, so_far, window), build(wanted, raw, window)

    final = then.x.times[~then.provisional]
    (kept,) = np.isin(later.x.times, final).nonzero()
    assert later.x.times[kept].tolist() == final.tolist()
    np.testing.assert_allclose(later.x.values[kept], then.x.values[~then.provisional], rtol=1e-12, atol=1e-12)
    dropped = then.filtered[~then.filtered_provisional]
    assert set(dropped.tolist()) <= set(later.filtered.tolist())


@given(configs, readings(), periods, st.floats(-9, 9), st.integers(1, 3600))
def test_a_look_back_adds_rows_and_changes_none(
    wanted: DatasetConfig, raw: dict[str, Series], window: Window, value: float, seconds: int
) -> None:
    wanted = replace(wanted, row_filter="")
    point = Point(to_ns(window.start) - seconds * 1_000_000_000, value)
    named = Buckets.of(wanted, raw, window).look_back

    without = build(wanted, raw, window)
    of_all = build(wanted, raw, window, {"a": point, "b": point})
    of_named = build(wanted, raw, window, dict.fromkeys(named, point))

    assert of_all.x.times.tolist() == of_named.x.times.tolist()
    assert of_all.x.values.tolist() == of_named.x.values.tolist()
    (kept,) = np.isin(of_all.x.times, without.x.times).nonzero()
    assert of_all.x.values[kept].tolist() == without.x.values.tolist()


@given(configs, readings(), periods)
def test_readings_are_not_changed(wanted: DatasetConfig, raw: dict[str, Series], window: Window) -> None:
    before = {tag: (values.times.tobytes(), values.values.tobytes()) for tag, values in raw.items()}
    for values in raw.values():
        values.times.setflags(write=False)
        values.values.setflags(write=False)

    build(wanted, raw, window)

    assert {tag: (values.times.tobytes(), values.values.tobytes()) for tag, values in raw.items()} == before
