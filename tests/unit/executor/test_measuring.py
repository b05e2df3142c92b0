"""What a receipt says about readings and predictions."""

from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from latigo.dataset.build import Buckets
from latigo.domain.model import ModelRef
from latigo.domain.receipt import Carrier, Inputs, Score
from latigo.domain.series import Column, Point, Predictions, Series
from latigo.domain.windows import to_ns
from latigo.executor.measuring import measure_inputs, measure_score
from latigo.executor.pipeline import period_of
from tests.support.build import a_spec, at, window
from tests.support.memory_plant import every_minute

HOUR = window("10:00", "11:00")
TOTAL, CONFIDENCE = Column("total-anomaly-scaled", ""), Column("total-anomaly-confidence", "")


def inputs_of(readings: dict[str, Series], **dataset: object) -> Inputs:
    spec = a_spec(dataset=dataset)
    buckets = Buckets.of(spec.dataset, readings, period_of(spec, HOUR))
    buckets.dataset({tag: Point(to_ns(at("09:00")), 1.0) for tag in buckets.look_back})
    return measure_inputs(buckets, readings, HOUR)


def test_readings_are_counted_as_read_and_rows_within_the_window() -> None:
    thin = every_minute(at("10:20"), at("10:40"))

    measured = inputs_of({"a": every_minute(at("09:10"), at("11:00")), "b": thin})

    assert measured == Inputs(readings=(110, 20), rows=(6, 2), labels=6, filled=4, newest_age=30)


def test_what_stays_empty_is_not_filled() -> None:
    thin = every_minute(at("10:20"), at("10:40"))

    measured = inputs_of({"a": every_minute(at("09:10"), at("11:00")), "b": thin}, interpolation_limit=timedelta(0))

    assert (measured.rows, measured.filled) == ((6, 2), 0)


def test_without_readings_there_is_no_age() -> None:
    assert inputs_of({}) == Inputs(readings=(0, 0), rows=(0, 0), labels=6, filled=0, newest_age=None)


@given(st.lists(st.lists(st.integers(0, 109), unique=True).map(sorted), min_size=2, max_size=2))
def test_cells_are_measured_filled_or_empty_and_never_two_of_them(minutes: list[list[int]]) -> None:
    every = every_minute(at("09:10"), at("11:00"))
    readings = {tag: Series(every.times[kept], every.values[kept]) for tag, kept in zip("ab", minutes, strict=True)}

    measured = inputs_of(readings)

    assert measured.readings == tuple(map(len, minutes))
    assert 0 <= measured.filled <= 2 * measured.labels - sum(measured.rows)
    assert all(0 <= rows <= measured.labels for rows in measured.rows)
    if any(minutes):
        assert measured.newest_age == (109 - max(kept[-1] for kept in minutes if kept)) * 60 + 30


def predictions(columns: tuple[Column, ...], *rows: tuple[float, ...]) -> Predictions:
    return Predictions(ModelRef("p", "m"), "1", np.arange(len(rows)), columns, np.array(rows))


def test_the_highest_total_is_finite_and_rows_over_the_threshold_are_counted() -> None:
    rows = predictions((TOTAL, CONFIDENCE), (0.5, 1.0), (np.inf, 1.1), (2.5, 5.0), (np.nan, np.nan))

    assert measure_score(rows) == Score(2.5, 2)


def test_a_model_without_threshold_has_a_highest_total_only() -> None:
    assert measure_score(predictions((TOTAL,), (0.5,), (0.25,))) == Score(0.5, None)


def test_without_total_there_is_no_score() -> None:
    assert measure_score(predictions((Column("model-output", "a"),), (1.0,))) is None
    assert measure_score(predictions((TOTAL,), (np.nan,))) is None


def test_the_tags_that_carry_most_of_the_rows_over_the_threshold_are_named_by_their_places() -> None:
    by_tag = tuple(Column("tag-anomaly-scaled", tag) for tag in "abcde")
    calm, odd = (9.0, 9.0, 0.0, 0.0, 0.0), (1.0, 0.0, 3.0, np.nan, 2.0)
    rows = predictions((TOTAL, CONFIDENCE, *by_tag), (0.5, 0.5, *calm), (2.5, 1.5, *odd))

    assert measure_score(rows, ["z", "c", "a", "e", "b", "d"]) == Score(
        2.5, 1, (Carrier(1, 64), Carrier(3, 29), Carrier(2, 7))
    )


def test_without_a_row_over_the_threshold_all_rows_count_and_unknown_tags_are_not_named() -> None:
    by_tag = tuple(Column("tag-anomaly-scaled", tag) for tag in "ab")
    rows = predictions((TOTAL, CONFIDENCE, *by_tag), (0.5, 0.5, 3.0, 4.0), (0.5, 0.4, 0.0, 0.0))

    assert measure_score(rows, ["b"]) == Score(0.5, 0, (Carrier(0, 64),))
    assert measure_score(rows) == Score(0.5, 0)
