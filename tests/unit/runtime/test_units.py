"""Durations and sizes as text."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.runtime.units import LONGEST, format_duration, format_size, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("30m", timedelta(minutes=30)),
        ("3h", timedelta(hours=3)),
        ("7d", timedelta(days=7)),
        ("36500d", LONGEST),
    ],
)
def test_durations_have_a_number_and_a_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "30", "m", "1.5h", "-1h", "1 h", "1h30m", "3H", "٣h", "1h\n", "9" * 30 + "d", "36501d"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|longer than"):
        parse_duration(text)


@given(st.integers(0, 10**12).map(lambda ms: timedelta(milliseconds=ms)))
def test_what_is_written_is_read_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(1, 300), st.sampled_from(["s", "m", "h", "d"]))
def test_the_largest_unit_that_loses_nothing_is_written(count: int, unit: str) -> None:
    written = format_duration(parse_duration(f"{count}{unit}"))

    assert int(written[:-1]) <= count
    assert "smhd".index(written[-1]) >= "smhd".index(unit)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1001, "1001B"), (128_000_000, "128MB"), (2**30, "1GiB"), (64 * 2**20, "64MiB"), (2_000, "2kB")],
)
def test_sizes_are_written_in_the_largest_unit_that_loses_nothing(size: int, text: str) -> None:
    assert format_size(size) == text
