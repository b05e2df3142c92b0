"""The account of readings that a source skipped."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from latigo.providers import bad_readings
from latigo.providers.bad_readings import BadReadings, Fault
from tests.support.build import at
from tests.support.clock import ManualClock


def test_a_unit_that_is_read_again_counts_once_with_the_largest_count() -> None:
    bad = BadReadings(ManualClock(at("12:00")))
    for unit, count in ((0, 3), (0, 3), (1, 2), (0, 1), (1, 5)):
        bad.record("a.csv", unit, "A", Fault.TEXT, count, "line 2: 'Bad'")

    assert [(count.place, count.tag, count.fault, count.readings) for count in bad.counts()] == [
        ("a.csv", "A", Fault.TEXT, 8)
    ]


def test_places_tags_and_faults_are_counted_apart_most_readings_first() -> None:
    bad = BadReadings(ManualClock(at("12:00")))
    bad.record("a.csv", 0, "A", Fault.TEXT, 1, "one")
    bad.record("b.csv", 0, "A", Fault.TEXT, 3, "two")
    bad.record("a.csv", 0, "B", Fault.TEXT, 2, "three")
    bad.record("a.csv", 0, "A", Fault.QUALITY, 4, "four")
    bad.record("a.csv", 0, "C", Fault.QUALITY, 0, "none")

    assert [(count.place, count.tag, count.readings) for count in bad.counts()] == [
        ("a.csv", "A", 4),
        ("b.csv", "A", 3),
        ("a.csv", "B", 2),
        ("a.csv", "A", 1),
    ]


async def test_the_first_is_logged_and_kept_as_the_example_with_the_times_of_first_and_newest() -> None:
    clock = ManualClock(at("12:00"))
    bad = BadReadings(clock)
    with capture_logs() as logs:
        bad.record("a.csv", 0, "A", Fault.TEXT, 1, "line 2: 'Bad'")
        await clock.advance(timedelta(minutes=5))
        bad.record("a.csv", 1, "A", Fault.TEXT, 1, "line 900: 'Bad'")
        await clock.advance(timedelta(minutes=5))
        bad.record("a.csv", 1, "A", Fault.TEXT, 1, "line 900: 'Bad'")

    assert [entry["example"] for entry in logs if entry["event"] == "readings.skipped"] == ["line 2: 'Bad'"]
    (count,) = bad.counts()
    assert (count.example, count.first_at, count.last_at) == ("line 2: 'Bad'", at("12:00"), at("12:05"))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad_readings, "_MOST_ENTRIES", 3)
    monkeypatch.setattr(bad_readings, "_MOST_UNITS", 5)
    bad = BadReadings(ManualClock(at("12:00")))
    for number in range(100):
        bad.record(f"{number}.csv", 0, "A", Fault.ROW, 1, "line 2")

    assert len(bad.counts()) == 3
    assert len(bad._units) == 5
