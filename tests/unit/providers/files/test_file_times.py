"""Time columns, in all the ways in which they are written."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.windows import from_ns, to_ns
from latigo.providers.files.repeated_hour import RepeatedHour, Run
from latigo.providers.files.times import TimeParser, join_times

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
        "2026-03-01T12",
        "2026-03-01T12Z",
        "2026-03-01 12:00:00 Z",
        "2026-03-01 12:00:00 UTC",
        "2026-03-01 12:00:00UTC",
        "2026-03-01 12:00 GMT",
        "2026-03-01 12:00:00.0 +00:00",
        "2026-03-01t17:30:00+0530",
        "20260301T120000Z",
        "20260301T1200",
        "20260301T120000,000",
        "20260301T130000+01",
        "20260301T13:00:00+01:00",
        "20260301 12:00",
        "\t2026-03-01T12:00:00Z\u00a0",
        "1772366400",
        "1772366400,0",
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
        "2026-03-01 24:01",
        "2026-03-01 25:00",
        "2026-03-01 12:60",
        "2026-03-01 12:00:60",
        "2026-13-01",
        "2026-00-01",
        "2026-03-00",
        "2026-03-01-05",
        "2026-03-01 +01:00",
        "2026-03-01 12:00+24:00",
        "2026-03-01 12:00+01:60",
        "2026-03-01 12:00 CET",
        "26-03-01 12:00",
        "3026-03-01 12:00",
        "0026-03-01 12:00",
        "20260230T120000",
        "01032026T120000",
        "20260301",
        "20260301120000",
        "12:00",
    ],
)
def test_what_is_no_time_is_not_guessed_at(text: str):
    assert parse(text) == [None]


def test_a_date_without_a_time_is_its_midnight():
    assert parse("2026-03-01") == [NOON - 12 * 3600 * 10**9]
    assert parse("2026-03-01Z", parser=OSLO_TIMES) == [NOON - 12 * 3600 * 10**9]
    assert parse("2026-03-01", parser=OSLO_TIMES) == [NOON - 13 * 3600 * 10**9]


@pytest.mark.parametrize("text", ["2026-03-01 24:00:00", "2026-03-01T24:00", "20260301T240000.000Z"])
def test_24_hours_are_the_midnight_after(text: str):
    assert parse(text) == [NOON + 12 * 3600 * 10**9]


def test_24_hours_of_a_local_day_are_the_midnight_of_the_zone():
    assert parse("2026-03-28 24:00", "2026-03-29 24:00", parser=OSLO_TIMES) == [
        to_ns(datetime(2026, 3, 28, 23, tzinfo=UTC)),
        to_ns(datetime(2026, 3, 29, 22, tzinfo=UTC)),
    ]


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
        pa.array([NOON // 10**9], pa.uint64()),
        pa.array(["2026-03-01 12:00:00"]).dictionary_encode(),
        pa.array(["2026-03-01 12:00:00"], pa.large_string()),
        pa.array(["2026-03-01 12:00:00"], pa.string_view()),
        pa.array([b"2026-03-01 12:00:00"], pa.binary()),
        pa.array(["2026-03-01 12:00:00"], pa.large_string()).dictionary_encode(),
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


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_time_that_nanoseconds_do_not_reach_is_not_readable_and_the_others_are(unit: str, zone: str | None):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6}[unit]
    counts = [NOON // 10**9 * per_second, 33_000_000_000 * per_second, None, -33_000_000_000 * per_second]
    parsed = UTC_TIMES.parse(pa.array(counts, pa.timestamp(unit, zone)))

    assert parsed.readable.tolist() == [True, False, False, False]
    assert parsed.times[0] == NOON


# Two columns


@pytest.mark.parametrize(
    "columns",
    [
        [pa.array([date(2026, 3, 1), None]), pa.array([time(12), time(1)])],
        [pa.array([date(2026, 3, 1), None], pa.date64()), pa.array([time(12), time(1)], pa.time32("s"))],
        [pa.array([datetime(2026, 3, 1), None], pa.timestamp("us")), pa.array([time(12), time(1)], pa.time32("ms"))],  # noqa: DTZ001
        [pa.array([datetime(2026, 3, 1), None], pa.timestamp("us")), pa.array(["12:00", "01:00"])],  # noqa: DTZ001
        [pa.array([date(2026, 3, 1), None]), pa.array(["12:00:00", "01:00"], pa.string_view())],
        [pa.array(["2026-03-01", None]), pa.array([time(12), time(1)])],
        [pa.array(["2026-03-01", ""]), pa.array([" 12:00 ", "01:00"]).dictionary_encode()],
        [pa.array([20260301, 1]), pa.array(["12:00", "01:00"])],
        [pa.array(["2026-03-01", "noon"]), pa.array(["12:00:00", ""])],
    ],
)
def test_a_date_and_a_time_of_day_make_a_time(columns: list[object]):
    parsed = UTC_TIMES.parse(join_times(columns))

    assert parsed.readable.tolist() == [True, False]
    assert parsed.times[0] == NOON


def test_a_date_and_a_time_of_day_are_local_times():
    parsed = OSLO_TIMES.parse(join_times([pa.array([date(2026, 7, 1)]), pa.array([time(14)])]))

    assert parsed.times.tolist() == [to_ns(datetime(2026, 7, 1, 12, tzinfo=UTC))]


# Formats


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d.%m.%Y %H:%M", "01.03.2026 12:00"),
        ("%d.%m.%Y %H:%M", " 1.3.2026   12:00 "),
        ("%m/%d/%Y %I:%M:%S %p", "3/1/2026 12:00:00 PM"),
        ("%m/%d/%Y %I:%M:%S %p", "03/01/2026 12:00:00\u202fpm"),
        ("%m/%d/%Y %I:%M %p", "3/1/2026 12:00 p.m."),
        ("%d-%b-%Y %H:%M:%S.%f", "01-Mar-2026 12:00:00.000"),
        ("%d %B %Y %H:%M", "1 march 2026 12:00"),
        ("%a %b %d %H:%M:%S %Y", "Sun Mar  1 12:00:00 2026"),
        ("%d.%m.%y %H:%M", "01.03.26 12:00"),
        ("%Y%m%d%H%M%S", "20260301120000"),
        ("%y%m%d %H%M", "260301 1200"),
        ("%Y-%j %H:%M", "2026-060 12:00"),
        ("%Y/%m/%d %H:%M:%S %z", "2026/03/01 13:00:00 +0100"),
        ("%Y/%m/%d %H:%M:%S %Z", "2026/03/01 12:00:00 UTC"),
        ("%d.%m.%YT%R%z", "01.03.2026T07:00-05:00"),
        ("%F %T", "2026-03-01 12:00:00"),
        ("%-d/%-m/%Y kl. %H", "1/3/2026 kl. 12"),
        ("%s", "1772366400"),
        ("%s.%f", "1772366400.0"),
        ("%d.%m.%Y %H:%M", "28.02.2026 24:00"),
    ],
)
def test_formats_of_the_settings_are_read(form: str, text: str):
    expected = NOON - 12 * 3600 * 10**9 if "24:00" in text else NOON
    parser = TimeParser(ZoneInfo("UTC"), [form])

    assert parse(text, parser=parser) == [expected]
    assert parse("nonsense", text, None, parser=parser) == [None, expected, None]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d.%m.%Y", "30.02.2026"),
        ("%d.%m.%Y", "29.02.2026"),
        ("%d.%m.%Y", "31.04.2026"),
        ("%d.%m.%Y", "01.13.2026"),
        ("%d.%m.%Y", "01.03.26"),
        ("%d.%m.%Y", "01.03.2026 12:00"),
        ("%d.%m.%Y %H:%M", "01.03.202612:00"),
        ("%d.%m.%Y", "2026-03-01"),
        ("%Y%m%d", "2026031"),
        ("%d%m%Y", "132026"),
        ("%Y-%j", "2026-366"),
        ("%Y-%j", "2026-000"),
        ("%m/%d/%Y %I:%M %p", "3/1/2026 13:00 PM"),
        ("%m/%d/%Y %I:%M %p", "3/1/2026 0:00 PM"),
        ("%d.%m.%Y %H:%M", "01.03.2026 24:01"),
        ("%d.%m.%Y", "01.03.3026"),
        ("%d.%m.%Y", "1772366400"),
    ],
)
def test_what_does_not_have_the_format_is_not_guessed_at(form: str, text: str):
    assert parse(text, parser=TimeParser(ZoneInfo("UTC"), [form])) == [None]


def test_the_first_format_that_fits_a_cell_is_the_one():
    parser = TimeParser(OSLO, ["%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%Y-%m-%d %H:%M %z"])

    texts = ["01.03.2026 13:00", "03/01/2026 13:00", "31/03/2026 14:00", "2026-03-01 12:00 +0000", "1772366400"]
    assert parse(*texts, parser=parser) == [NOON, NOON, to_ns(datetime(2026, 3, 31, 12, tzinfo=UTC)), NOON, None]


def test_two_digits_of_a_year_are_read_as_posix_says():
    parser = TimeParser(ZoneInfo("UTC"), ["%d.%m.%y"])

    years = [datetime(year, 1, 1, tzinfo=UTC) for year in (1969, 1999, 2000, 2068)]
    assert parse("1.1.69", "1.1.99", "1.1.00", "1.1.68", parser=parser) == [to_ns(year) for year in years]


def test_every_day_of_a_leap_year_and_the_year_after_is_read_as_python_does():
    days = [datetime(2024, 1, 1, tzinfo=UTC) + number * timedelta(days=1) for number in range(731)]
    for form in ("%d.%m.%Y", "%Y-%j", "%d %B %y"):
        parser = TimeParser(ZoneInfo("UTC"), [form])
        assert parse(*[f"{day:{form}}" for day in days], parser=parser) == [to_ns(day) for day in days]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([46082.5, None, 60.0, 1772366400.0, float("nan")]),
        pa.array(["46082.5", None, "60", "1772366400", "noon"]),
        pa.array(["46082,5", None, "60,0", "46082.5.1", "-1"]),
    ],
)
def test_serial_dates_are_read_by_name(column: object):
    parsed = TimeParser(ZoneInfo("UTC"), ["excel"]).parse(column)

    assert parsed.readable.tolist() == [True, False, False, False, False]
    assert parsed.times[0] == NOON


def test_serial_dates_are_whole_numbers_too_and_local_times():
    parser = TimeParser(OSLO, ["excel"])

    assert parser.parse(pa.array([46082], pa.int32())).times.tolist() == [NOON - 13 * 3600 * 10**9]
    assert parse("46082", parser=parser) == [NOON - 13 * 3600 * 10**9]


@given(st.integers(0, 4_000_000_000))
def test_milliseconds_survive_serial_dates(milliseconds: int):
    days = 25569 + milliseconds / 86_400_000

    parsed = TimeParser(ZoneInfo("UTC"), ["excel"]).parse(pa.array([days]))
    assert parsed.times.tolist() == [milliseconds * 10**6]


def test_whole_numbers_are_read_by_a_format():
    parser = TimeParser(ZoneInfo("UTC"), ["%Y%m%d"])

    parsed = parser.parse(pa.array([20260301, 20260230, None]))
    assert parsed.readable.tolist() == [True, False, False]
    assert parsed.times[0] == NOON - 12 * 3600 * 10**9


# The hour that happens twice


def test_rows_of_a_repeated_hour_are_named_and_nothing_is_decided():
    hour = RepeatedHour(to_ns(datetime(2026, 10, 25, 1, tzinfo=UTC)), 3600 * 10**9)
    texts = ["2026-10-25 01:59:59", "2026-10-25 02:00:00", "nonsense", "2026-10-25 02:59:59", "2026-10-25T02:10:00Z"]
    parsed = OSLO_TIMES.parse(pa.array([*texts, "2026-10-25 03:00:00"]))

    assert parsed.hours == (hour,)
    assert parsed.ambiguous.tolist() == [1, 3]
    assert parsed.readable.tolist() == [True, True, False, True, True, True]
    assert (parsed.second - parsed.times).tolist() == [0, hour.length, 0, hour.length, 0, 0]

    placed = parsed.placed({hour: np.array([Run.SECOND, Run.DOUBTFUL], np.int8)})
    assert placed.times[1] == hour.at
    assert placed.readable.tolist() == [True, True, False, False, True, True]
    assert placed.doubtful.tolist() == [3]
    assert parsed.placed({}).doubtful.tolist() == [1, 3]
    assert parsed.placed({hour: np.zeros(3, np.int8)}).doubtful.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("zone", "at", "minutes"),
    [
        ("Europe/Oslo", datetime(2026, 10, 25, 1, tzinfo=UTC), 60),
        ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC), 60),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC), 30),
        ("America/Santiago", datetime(2026, 4, 5, 3, tzinfo=UTC), 60),
    ],
)
def test_a_repeated_hour_is_known_by_when_clocks_are_set_back(zone: str, at: datetime, minutes: int):
    rows = [at + number * timedelta(minutes=10) for number in range(-12, 12)]
    texts = [f"{row.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" for row in rows]
    parsed = TimeParser(ZoneInfo(zone)).parse(pa.array(texts))

    hour = RepeatedHour(to_ns(at), minutes * 60 * 10**9)
    assert parsed.hours == (hour,)
    runs = np.where(np.array(rows)[parsed.ambiguous] < at, Run.FIRST, Run.SECOND).astype(np.int8)
    assert parsed.placed({hour: runs}).times.tolist() == [to_ns(row) for row in rows]
