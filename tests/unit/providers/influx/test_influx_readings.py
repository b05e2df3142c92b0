"""What rows of InfluxDB are: readings, or bad ones."""

from typing import Any

import pytest

from latigo.domain.bad_readings import Fault
from latigo.providers.influx.fields import Selection
from latigo.providers.influx.readings import (
    NotNumbersError,
    ReadReadings,
    newest_of,
    readings_of,
    series_of,
)
from latigo.providers.influx.responses import Result, UnreadableError
from latigo.providers.qualities import Qualities
from tests.support.influx_readings import PLANT, VALUE, Row, answer, read_as_series, result_of, series

BY_TYPE = Selection(('"Value"::boolean', '"Value"::float', '"Value"::string'))
WITH_QUALITY = Selection(('"Value"',), ('"Q"::float', '"Q"::string'))


def judged(rows: list[Row], selection: Selection, *good: str) -> ReadReadings:
    columns = ["time", "Value", *(f"Value_{number}" for number in range(1, len(selection.terms)))]
    result = result_of(answer({"series": [series(rows) | {"columns": columns}]}))
    return readings_of(result, PLANT, selection, Qualities(good), "GRA", 0, 100)


def described(read: ReadReadings) -> dict[Fault, tuple[list[int], Any]]:
    return {fault: (ones.times.tolist(), ones.first) for fault, ones in read.bad.items()}


def test_readings_of_one_time_are_all_kept_the_smallest_first():
    result = result_of(answer({"series": [series([[10, 1.0], [20, 9.0], [20, -3.0], [20, 4.0], [30, 2.0]])]}))

    read = read_as_series(result, 0, 100)

    assert read.times.tolist() == [10, 20, 20, 20, 30]
    assert read.values.tolist() == [1, -3, 4, 9, 2]


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (series([[10, 1.0]], tag="GRB"), "'GRB', where 'GRA'"),
        (series([[10, 1.0]], tag=""), "where 'GRA'"),
        (series([[10, 1.0]]) | {"tags": {}}, "None, where 'GRA'"),
        (series([[10, 1.0]]) | {"columns": ["time", "mean"]}, "'mean'"),
        (series([[100, 1.0]]), "outside of the window"),
        (series([[-1, 1.0], [10, 1.0]]), "outside of the window"),
        (series([["2026-01-01T00:00:00Z", 1.0]]), "not integers"),
    ],
)
def test_readings_that_were_not_requested_are_rejected(result: dict[str, Any], says: str):
    with pytest.raises(UnreadableError, match=says):
        read_as_series(result_of(answer({"series": [result]})), 0, 100)


def test_two_series_where_one_was_asked_for_are_not_taken():
    with pytest.raises(UnreadableError, match="2 series"):
        read_as_series(result_of(answer({"series": [series([]), series([])]})), 0, 100)


@pytest.mark.parametrize("text", ["abc", "1.5", "", "true"])
def test_text_is_never_taken_for_a_number(text: str):
    rows: list[Row] = [[10, 1.0], [20, text], [30, "more"]]
    read = judged(rows, VALUE)

    assert (read.series.times.tolist(), read.series.values.tolist()) == ([10], [1.0])
    assert described(read) == {Fault.TEXT: ([20, 30], text)}
    with pytest.raises(NotNumbersError):
        series_of(result_of(answer({"series": [series(rows)]})).tables[0])


def test_the_values_of_all_types_are_one_series():
    rows: list[Row] = [
        [10, None, 1.5, None],
        [20, True, None, None],
        [30, None, None, "Bad"],
        [40, False, None, None],
        [50, None, None, None],
        [60, None, 0, None],
    ]
    read = judged(rows, BY_TYPE)

    assert read.series.times.tolist() == [10, 20, 40, 60]
    assert read.series.values.tolist() == [1.5, 1, 0, 0]
    assert described(read) == {Fault.TEXT: ([30], "Bad")}
    assert read.kinds == {"boolean", "float", "string"}


def test_only_readings_of_good_quality_are_taken_and_the_others_are_counted():
    rows: list[Row] = [
        [10, 1.0, 192, None],
        [20, 2.0, 64, None],
        [30, 3.0, None, "Good"],
        [40, 4.0, None, "Bad"],
        [50, 5.0, None, None],
        [60, None, 64, None],
        [70, "text", 192, None],
        [80, "text", 64, None],
    ]
    read = judged(rows, WITH_QUALITY, "192", "Good")

    assert (read.series.times.tolist(), read.series.values.tolist()) == ([10, 30], [1, 3])
    assert described(read) == {Fault.QUALITY: ([20, 40, 50, 80], 64), Fault.TEXT: ([70], "text")}


@pytest.mark.parametrize(
    "rows",
    [
        [[10, [1]]],
        [[10, {"a": 1}]],
        [[2**64 - 1, 1]],
        [[10.5, 1]],
        [[None, 1]],
    ],
)
def test_what_is_no_reading_of_influxdb_is_refused(rows: list[Row]):
    with pytest.raises(UnreadableError):
        judged(rows, VALUE)


@pytest.mark.parametrize("quality", [[1], {"a": 1}])
def test_what_is_no_quality_of_influxdb_is_refused(quality: Any):
    with pytest.raises(UnreadableError):
        judged([[10, 1.0, quality, None]], WITH_QUALITY, "192")


@pytest.mark.parametrize("columns", [1, 3])
def test_readings_without_the_columns_that_were_requested_are_refused(columns: int):
    rows = [[10, *[1.0] * columns]]

    with pytest.raises(UnreadableError, match="columns"):
        readings_of(
            result_of(answer({"series": [series(rows) | {"columns": ["time", "Value", "Q", "Q_1"][: 1 + columns]}]})),
            PLANT,
            Selection(('"Value"',), ('"Q"',)),
            Qualities(("1",)),
            "GRA",
            0,
            100,
        )


def test_nulls_are_left_out():
    result = result_of(answer({"series": [series([[10, None], [20, 1.0], [30, None]])]}))

    assert read_as_series(result, 0, 100).times.tolist() == [20]


def test_the_newest_of_several_series_is_the_latest_and_the_largest_of_equals():
    result = result_of(
        answer({"series": [series([[20, 9.0]]), series([[30, 1.0]]), series([[30, 4.0]]), series([[30, 2.0]])]})
    )

    newest = newest_of(result, PLANT, VALUE, "GRA").series

    assert (newest.times.tolist()[-1], newest.values.tolist()[-1]) == (30, 4.0)


def test_nothing_is_newest_where_there_is_nothing():
    assert len(newest_of(Result(0), PLANT, VALUE, "GRA").series) == 0
