"""Times on the command line."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.runtime.times import parse_time

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("now", NOW),
        ("-30d", NOW - timedelta(days=30)),
        ("-90m", NOW - timedelta(minutes=90)),
        ("+1h", NOW + timedelta(hours=1)),
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-01-31T06:30", datetime(2024, 1, 31, 6, 30, tzinfo=UTC)),
        ("2024-01-31 06:30:15.5", datetime(2024, 1, 31, 6, 30, 15, 500_000, tzinfo=UTC)),
        ("2024-01-31T06:30:00Z", datetime(2024, 1, 31, 6, 30, tzinfo=UTC)),
        ("2024-01-31T06:30+02:00", datetime(2024, 1, 31, 4, 30, tzinfo=UTC)),
        (" 20240131T063000Z ", datetime(2024, 1, 31, 6, 30, tzinfo=UTC)),
    ],
)
def test_times_are_iso_8601_or_relative_to_now(text: str, time: datetime) -> None:
    parsed = parse_time(text, NOW)

    assert parsed == time
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "yesterday", "30d", "-30", "- 30d", "-1.5h", "--1h", "2024-13-01", "2024-02-30", "-99999999d", "12:00"]
)
def test_anything_else_is_refused_with_what_can_be_written(text: str) -> None:
    with pytest.raises(ValueError, match=r'is not a time: write "2024-05-01T12:00Z"'):
        parse_time(text, NOW)


def test_times_beyond_the_calendar_are_refused() -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_time("0001-01-01T00:00+14:00", NOW)
    with pytest.raises(ValueError, match="is not a time"):
        parse_time("-36500d", datetime(50, 1, 1, tzinfo=UTC))


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive
def test_what_python_writes_is_read_back(time: datetime) -> None:
    assert parse_time(time.isoformat(), NOW) == time


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        assert parse_time(text, NOW).tzinfo is UTC
    except ValueError as refused:
        assert "is not a time" in str(refused)  # noqa: PT017 - either way is right
