"""Windows and slots of data time."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from latigo.domain.windows import (
    DAY,
    EPOCH,
    Window,
    floor_to_slot,
    foldable,
    from_ns,
    iso,
    slot_length,
    span_ns,
    to_ns,
)
from tests.support.build import at, window

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
ZERO, MICROSECOND = timedelta(0), timedelta(microseconds=1)

#: Whole seconds that divide a day.
DIVISORS = [n * SECOND for n in range(1, 86_401) if 86_400 % n == 0]

#: Bounds of a strategy that adds the zone itself.
EARLIEST, LATEST = datetime(1900, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - as it wants them
times = st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC))
#: Resolutions of which many divide a day and many do not.
resolutions = st.integers(1, 86_400).map(lambda seconds: seconds * SECOND) | st.sampled_from(
    [MINUTE, 5 * MINUTE, 7 * MINUTE, 10 * MINUTE, 50 * MINUTE, HOUR, 36 * HOUR]
)
intervals = st.integers(1, 1440).map(lambda minutes: minutes * MINUTE)
slots = st.sampled_from([n * MINUTE for n in (1, 5, 10, 30, 60, 90, 480, 1440)])


# --- slots ------------------------------------------------------------------------------------------------------------


@given(resolutions, intervals)
def test_a_slot_is_the_smallest_multiple_of_the_resolution_that_holds_an_interval_and_divides_a_day(
    resolution, interval
):
    fitting = [slot for slot in DIVISORS if slot >= interval and slot % resolution == ZERO]

    assert slot_length(resolution, interval) == min(fitting, default=DAY)


@given(resolutions, intervals)
def test_only_where_windows_cannot_be_folded_is_a_slot_not_made_of_whole_rows(resolution, interval):
    slot = slot_length(resolution, interval)

    assert (slot % resolution == ZERO) == foldable(resolution)
    assert DAY % slot == ZERO
    assert slot >= interval


@pytest.mark.parametrize(
    ("resolution", "interval", "slot"),
    [
        (10 * MINUTE, 30 * MINUTE, 30 * MINUTE),
        (MINUTE, 30 * MINUTE, 30 * MINUTE),
        (20 * MINUTE, 30 * MINUTE, 40 * MINUTE),
        (25 * MINUTE, 30 * MINUTE, DAY),  # none of 25, 50, 75 ... minutes divides a day
        (7 * MINUTE, 30 * MINUTE, DAY),
        (HOUR, 30 * MINUTE, HOUR),
        (5 * HOUR, 30 * MINUTE, DAY),
        (36 * HOUR, 30 * MINUTE, DAY),
        (5 * SECOND, 30 * SECOND, 30 * SECOND),
        (MINUTE, DAY, DAY),
        (7 * MICROSECOND, 30 * MINUTE, DAY),
        (MICROSECOND, 30 * MINUTE, 30 * MINUTE),
        (MICROSECOND, 7 * MINUTE, timedelta(minutes=7, seconds=12)),
        (MICROSECOND, 59 * MINUTE + 59 * SECOND, HOUR),
    ],
)
def test_the_slots_of_real_models(resolution: timedelta, interval: timedelta, slot: timedelta):
    assert slot_length(resolution, interval) == slot


@pytest.mark.parametrize(
    ("resolution", "interval"), [(ZERO, HOUR), (-MINUTE, HOUR), (MINUTE, ZERO), (MINUTE, -HOUR), (MINUTE, DAY + SECOND)]
)
def test_a_slot_of_nothing_or_of_more_than_a_day_is_refused(resolution: timedelta, interval: timedelta):
    with pytest.raises(ValueError, match=r"resolution and interval|at most a day"):
        slot_length(resolution, interval)


@given(times, slots)
def test_every_time_lies_in_exactly_the_slot_it_is_floored_to_and_midnight_begins_one(time, slot):
    start = floor_to_slot(time, slot)
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)

    assert start <= time < start + slot
    assert (start - midnight) % slot == ZERO


# --- nanoseconds ------------------------------------------------------------------------------------------------------


@given(times)
def test_times_survive_as_nanoseconds(time):
    assert from_ns(to_ns(time)) == time


@given(times, st.timedeltas(timedelta(days=-20_000), timedelta(days=20_000)))
def test_nanoseconds_add_up_like_times(time, duration):
    assert to_ns(time + duration) - to_ns(time) == span_ns(duration)
    assert span_ns(duration) == (duration // timedelta(microseconds=1)) * 1000


@given(times, st.integers(0, 999))
def test_what_is_below_a_microsecond_is_cut_off(time, nanoseconds):
    assert from_ns(to_ns(time) + nanoseconds) == time


def test_nanoseconds_are_counted_from_the_epoch():
    assert to_ns(EPOCH) == 0
    assert to_ns(EPOCH + timedelta(days=1, microseconds=1)) == 86_400 * 10**9 + 1000


# --- windows ----------------------------------------------------------------------------------------------------------


def test_a_window_holds_its_start_and_not_its_end():
    span = window("10:00", "10:30")

    assert at("10:00") in span
    assert at("10:30") not in span
    assert span.length == 30 * MINUTE


@pytest.mark.parametrize("end", ["10:00", "09:59"])
def test_an_empty_window_cannot_be(end: str):
    with pytest.raises(ValueError, match="ends after it starts"):
        window("10:00", end)


def test_a_time_without_an_offset_is_refused():
    with pytest.raises(ValueError, match="offset from UTC"):
        Window(at("9:00").replace(tzinfo=None), at("10:00"))
    with pytest.raises(ValueError, match="offset from UTC"):
        Window(at("10:00"), at("11:00").replace(tzinfo=None))


@pytest.mark.parametrize("zone", [timezone(timedelta(hours=2)), ZoneInfo("Europe/Oslo"), ZoneInfo("UTC")])
def test_windows_are_in_utc_whatever_zone_their_bounds_were_in(zone: timezone | ZoneInfo):
    summer = Window(datetime(2026, 7, 1, 12, tzinfo=zone), datetime(2026, 7, 1, 13, tzinfo=zone))

    assert summer.start.tzinfo is UTC
    assert summer.end.tzinfo is UTC
    assert summer.start == datetime(2026, 7, 1, 12, tzinfo=zone)


@given(st.lists(times, min_size=4, max_size=4, unique=True))
def test_what_two_windows_share_is_in_both_and_the_same_either_way(bounds):
    (a, b), (c, d) = sorted(bounds[:2]), sorted(bounds[2:])
    one, other = Window(a, b), Window(c, d)

    both = one.intersect(other)

    assert both == other.intersect(one)
    assert (both is None) == (b <= c or d <= a)
    if both:
        assert (both.start, both.end) == (max(a, c), min(b, d))


@given(times, st.integers(1, 5000).map(lambda minutes: minutes * MINUTE), slots)
def test_slots_tile_a_window_oldest_first_and_only_the_last_may_be_shorter(start, length, slot):
    assume(length / slot < 400)
    span = Window(start, start + length)

    pieces = list(span.slots(slot))

    assert pieces[0].start == span.start
    assert pieces[-1].end == span.end
    assert all(one.end == next_.start for one, next_ in pairwise(pieces))
    assert all(piece.length == slot for piece in pieces[:-1])
    assert pieces[-1].length <= slot


@given(times)
def test_times_are_written_short_and_without_loss(time):
    text = iso(time)

    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == time
    assert ("." in text) == bool(time.microsecond)


def test_a_window_is_written_half_open():
    assert str(window("10:00", "10:30")) == "[2026-03-01T10:00:00Z, 2026-03-01T10:30:00Z)"
