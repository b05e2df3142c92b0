"""Time columns, in all the ways in which they are written."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.windows import from_ns, to_ns
from latigo.providers.files.times import TimeParser

UTC_TIMES = TimeParser(ZoneInfo("UTC"))
OSLO = ZoneInfo("Europe/Oslo")
OSLO_TIMES = TimeParser(OSLO)
NOON = to_ns(datetime(2026, 3, 1, 12, tzinfo=UTC))


def parse(*cells: object, parser: TimeParser = UTC_TIMES) -> list[int | None]:
    """Nanoseconds, None where a cell is not readable."""
    parsed = parser.parse(pa.array(cells))
    return [
        time if readable else None
        for time, readable in zip(parsed.times.tolist(), parsed.readable.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01 12:00:00",
        "2026-03-01T12:00",
        "2026-03-01T12:00:00.000000000",
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.0Z",
        "2026-03-01 13:00:00+01:00",
        "2026-03-01T13:00:00+0100",
        "2026-03-01T07:00:00.000-05",
        " 2026-03-01 12:00:00 ",
        "2026-03-01 12:00:00,000",
        "1772366400",
        "1772366400.0",
        "1772366400000",
        "1772366400000000",
        "1772366400000000000",
    ],
)
def test_one_moment_may_be_written_in_many_ways(text: str):
    assert parse(text) == [NOON]
    assert parse("nonsense", text) == [None, NOON]


@pytest.mark.parametrize("text", ["2026-03-01 12:00:00.123456789", "2026-03-01T13:00:00.123456789+01:00"])
def test_fractions_are_kept_to_the_nanosecond(text: str):
    assert parse(text) == [NOON + 123456789]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noon",
        "01.03.2026 12:00",
        "2026-02-30 12:00:00",
        "2026-03-01 24:00:01",
        "20260301",
        "20260301120000",
        "12:00",
    ],
)
def test_what_is_no_time_is_not_guessed_at(text: str):
    assert parse(text) == [None]


def test_a_date_without_a_time_is_its_midnight():
    assert parse("2026-03-01") == [NOON - 12 * 3600 * 10**9]


def test_forms_may_be_mixed_in_one_column():
    assert parse("2026-03-01 12:00:00", "2026-03-01T13:00:00+01:00", "1772366400", None) == [NOON, NOON, NOON, None]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([NOON], pa.timestamp("ns", "UTC")),
        pa.array([NOON // 1000], pa.timestamp("us", "Europe/Oslo")),
        pa.array([NOON // 10**9], pa.timestamp("s")),
        pa.array([NOON // 10**6], pa.int64()),
        pa.array([NOON / 10**9], pa.float64()),
        pa.array(["2026-03-01 12:00:00"]).dictionary_encode(),
        pa.chunked_array([pa.array([NOON], pa.timestamp("ns"))]),
    ],
)
def test_columns_of_any_kind_that_holds_times_are_read(column: object):
    parsed = UTC_TIMES.parse(column)

    assert parsed.readable.all()
    assert parsed.times.tolist() == [NOON]


def test_a_fraction_in_a_floating_point_count_is_kept_to_the_microsecond():
    assert parse(1772366400.123456) == [NOON + 123456000]


def test_local_times_are_read_by_their_zone():
    assert parse("2026-03-01 13:00:00", "2026-07-01 14:00:00", parser=OSLO_TIMES) == [
        NOON,
        to_ns(datetime(2026, 7, 1, 12, tzinfo=UTC)),
    ]


def test_an_offset_counts_for_more_than_the_zone():
    assert parse("2026-03-01T12:00:00Z", parser=OSLO_TIMES) == [NOON]


def test_a_local_time_that_never_happened_is_not_readable():
    assert parse("2026-03-29 02:30:00", "2026-03-29 03:00:00", parser=OSLO_TIMES) == [
        None,
        to_ns(datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ]


@given(st.lists(st.integers(10**17, 9 * 10**18), min_size=1))
def test_every_nanosecond_of_our_time_survives_being_written(times: list[int]):
    texts = [f"{from_ns(time):%Y-%m-%dT%H:%M:%S}.{time % 10**9:09}Z" for time in times]

    assert parse(*texts) == times
    assert parse(*map(str, times)) == times
    np.testing.assert_array_equal(UTC_TIMES.parse(pa.array(times, pa.timestamp("ns", "UTC"))).times, times)
