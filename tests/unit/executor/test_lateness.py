"""How late the readings of a slot were when they were read."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.lateness import Observed
from latigo.domain.series import Readings, Series
from latigo.domain.windows import to_ns
from latigo.executor.lateness import observe
from latigo.providers.memory import MemorySensors
from latigo.providers.protocols import Part
from tests.support.build import at

END, MINUTE = at("11:00"), timedelta(minutes=1)
TEN, READ_AT = 10 * MINUTE, END + 5 * MINUTE
SOURCE = MemorySensors()


def every(minutes: int, until: int) -> Series:
    """Readings from 10:00 on, so many minutes apart, until so many minutes before the end."""
    times = np.array([to_ns(END - count * MINUTE) for count in range(60, until - 1, -minutes)], np.int64)
    return Series(times, np.ones(len(times)))


def observed(readings: Readings, *tags: str) -> list[Observed]:
    return observe([Part(SOURCE, tags or tuple(readings))], readings, END, TEN, READ_AT)


def seen(late: timedelta, *, complete: bool) -> list[Observed]:
    return [Observed(SOURCE.downstream, late, complete)]


@pytest.mark.parametrize("until", [1, 5, 10])
def test_a_slot_whose_sensors_have_reported_until_its_end_is_complete_at_the_delay_that_it_had(until: int):
    assert observed({"a": every(1, until)}) == seen(5 * MINUTE, complete=True)


def test_a_sensor_that_stopped_before_the_end_is_as_late_as_its_last_reading_is_old():
    assert observed({"a": every(1, 1), "b": every(1, 20)}) == seen(25 * MINUTE, complete=False)


def test_a_sensor_that_reports_seldom_is_not_late():
    assert observed({"a": every(30, 30)}) == seen(5 * MINUTE, complete=True)


def test_a_sensor_without_readings_says_nothing():
    assert observed({"a": every(1, 1)}, "a", "silent") == seen(5 * MINUTE, complete=True)
    assert observed({}, "silent") == []


def test_each_source_counts_for_itself():
    parts = [Part(SOURCE, ("a",)), Part(MemorySensors(name="other"), ("b",))]

    found = observe(parts, {"a": every(1, 1), "b": every(1, 20)}, END, TEN, READ_AT)

    assert [(one.source, one.complete) for one in found] == [("sensors/memory", True), ("sensors/other", False)]


@given(st.lists(st.integers(0, 3599), min_size=1, unique=True), st.integers(0, 3600))
def test_a_complete_slot_is_never_later_than_it_was_read_and_any_other_always_is(seconds: list[int], delay: int):
    times = np.array(sorted(to_ns(END - timedelta(seconds=each + 1)) for each in seconds), np.int64)
    read_at = END + timedelta(seconds=delay)

    (one,) = observe([Part(SOURCE, ("a",))], {"a": Series(times, np.ones(len(times)))}, END, TEN, read_at)

    assert (one.late == read_at - END) is one.complete
    assert one.late >= read_at - END
