"""Times written in row filters, with what pandas 1.5.3 makes of them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.dataset.row_filter.times import read_time

HALF_PAST = datetime(2026, 1, 4, 10, 30, tzinfo=UTC)

READ = {
    "2026/01/04 00:00 UTC": datetime(2026, 1, 4, tzinfo=UTC),
    "2026/01/04 10:30+00:00": HALF_PAST,
    "Jan 4, 2026 10:30 UTC": HALF_PAST,
    "4 Jan 2026 10:30 +0100": HALF_PAST - timedelta(hours=1),
    "January 4, 2026 10:30 PM UTC": HALF_PAST + timedelta(hours=12),
    "04/01/2026 10:30 UTC": datetime(2026, 4, 1, 10, 30, tzinfo=UTC),
    "13/01/2026 10:30 UTC": datetime(2026, 1, 13, 10, 30, tzinfo=UTC),
    "2026.01.04 10:30 UTC": HALF_PAST,
    "04-Jan-26 10:30Z": HALF_PAST,
    "2026-01-04T10:30:15.123456Z": HALF_PAST + timedelta(seconds=15, microseconds=123456),
    "2026-01-04 10:30:00 +01": HALF_PAST - timedelta(hours=1),
    "2026-01-04 10:30:00 UTC+1": HALF_PAST + timedelta(hours=1),
    "20260104T1030Z": HALF_PAST,
    "20260104103000Z": HALF_PAST,
    "2026-1-4T1:3Z": datetime(2026, 1, 4, 1, 3, tzinfo=UTC),
    "Sun, 04 Jan 2026 10:30:00 GMT": HALF_PAST,
    "2026-01-04 10h30 UTC": HALF_PAST,
    " 2026-01-04  10:30Z ": HALF_PAST,
}


@pytest.mark.parametrize(("text", "time"), READ.items())
def test_a_time_is_what_pandas_reads(text: str, time: datetime) -> None:
    assert read_time(text) == time


@pytest.mark.parametrize("text", ["2026/01/04", "Jan 4, 2026", "2026-01-04 10:30", "2026-01-04 10:30 EST", "2026"])
def test_a_time_without_an_offset_is_refused_by_operators_and_utc_in_methods(text: str) -> None:
    with pytest.raises(ValueError, match="offset"):
        read_time(text)

    assert read_time(text, naive=True).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "now",
            "today",
            "yesterday",
            "NaT",
            "nan",
            "1767522600",
            "1.5",
            "2026-01-04Z",
            "2026-01-04 UTC",
            "Jan 2026 UTC",
        ),
        *(
            "10:30 UTC",
            "Jan 4 10:30 UTC",
            "Monday 10:30 UTC",
            "2026-W01-1T00:00Z",
            "2026-004T00:00Z",
            "2026-01-04T24:00Z",
        ),
        *("2026-01-04 10:30 +25:00", "9999-01-01 00:00Z", "1600-01-01 00:00Z", "2026-01-04 10:30:00 Europe/Oslo"),
        *(
            "2026年1月4日 10:30 UTC",
            "\u0662\u0660\u0662\u0666-\u0660\u0661-\u0660\u0664 10:30Z",
            "2026-01-04T10:30:15.1234567Z",
            "2026-02-30 10:30Z",
        ),
    ],
)
def test_what_pandas_does_not_read_or_reads_differently_every_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it as '2026-01-04 10:30\+00:00'"):
        read_time(text, naive=True)


def test_the_zone_of_the_machine_plays_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.tzname", ("CET", "CEST"))

    with pytest.raises(ValueError, match="offset"):
        read_time("2026-01-04 10:30 CET")


@given(st.one_of(st.text(max_size=70), st.text("0123456789:-+/., TZUtcJanPM", max_size=70)))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        time = read_time(text, naive=True)
    except ValueError:
        return
    assert time.tzinfo is not None


@given(st.integers(-(10**15), 10**15), st.integers(-23 * 60, 23 * 60))
def test_iso_times_are_read_to_the_microsecond(microseconds: int, minutes: int) -> None:
    aware = (HALF_PAST + timedelta(microseconds=microseconds)).astimezone(timezone(timedelta(minutes=minutes)))

    assert read_time(aware.isoformat()) == aware
    assert read_time(str(aware)) == aware
