"""A look into the source of readings: what it holds, and what is odd about it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from latigo.domain.bad_readings import BadReadingCount, Fault
from latigo.domain.series import Series
from latigo.domain.windows import to_ns
from latigo.providers.memory.sensors import MemorySensors
from latigo.providers.protocols import SensorSample, SourceSample
from latigo.wiring.sampling import describe_sample, describe_unknown, evenly, sample

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def lines(*sensors: SensorSample, bad: tuple[BadReadingCount, ...] = (), notes: tuple[str, ...] = ()) -> list[str]:
    return describe_sample(SourceSample(sensors, notes), bad, NOW)


def test_readings_are_described_with_their_begin_and_end() -> None:
    assert lines(SensorSample("A", 1440, NOW - DAY, NOW), SensorSample("B", 3, None, NOW), SensorSample("C", 0)) == [
        "A: readings from 2026-03-01 12:00 to 2026-03-02 12:00 UTC; 1440 read",
        "B: readings to 2026-03-02 12:00 UTC; 3 read",
        "C: no readings found",
    ]


def test_what_was_skipped_is_a_share_and_named_with_an_example() -> None:
    text = BadReadingCount("a.csv", "A", Fault.TEXT, 5, "line 9: 'Bad'", NOW, NOW)
    rows = BadReadingCount("a.csv", "", Fault.ROW, 2, "line 12: 1 cells", NOW, NOW)

    assert lines(SensorSample("A", 995, NOW - DAY, NOW), bad=(text, rows), notes=("3 files are not read",)) == [
        "A: readings from 2026-03-01 12:00 to 2026-03-02 12:00 UTC; 995 read, 5 skipped (0.5 %)",
        "a.csv: 5 readings of A skipped (line 9: 'Bad')",
        "a.csv: 2 rows skipped (line 12: 1 cells)",
        "3 files are not read",
    ]


@pytest.mark.parametrize(
    ("first", "last", "odd"),
    [
        (NOW - DAY, NOW + timedelta(minutes=9), None),
        (NOW - DAY, NOW + timedelta(hours=1), "A: its last time is in the future, 2026-03-02 13:00 UTC"),
        (NOW + DAY, NOW + 2 * DAY, "A: all of its times are in the future"),
        (
            datetime(2001, 1, 1, tzinfo=UTC),
            datetime(2004, 1, 1, tzinfo=UTC),
            "A: its last time is long ago, 2004-01-01 00:00",
        ),
        (NOW - 9000 * DAY, NOW, None),
    ],
)
def test_times_that_cannot_be_meant_are_said(first: datetime, last: datetime, odd: str | None) -> None:
    found = lines(SensorSample("A", 9, first, last))[1:]

    assert (found == []) if odd is None else any(line.startswith(odd) for line in found)


def test_tags_are_taken_from_all_over_a_list() -> None:
    assert evenly(list("abcdefghi"), 3) == ["a", "e", "i"]
    assert evenly(list("ab"), 3) == ["a", "b"]
    assert evenly([], 3) == []


def test_unknown_tags_are_counted_and_the_first_named() -> None:
    assert describe_unknown(["A", "B"], 9) == "2 of 9 tags that models need are not known to the source: 'A', 'B'"


async def test_of_a_source_that_cannot_say_the_newest_day_is_read() -> None:
    times = np.array([to_ns(NOW - 3 * DAY), to_ns(NOW - DAY / 2), to_ns(NOW)], np.int64)
    source = MemorySensors({"A": Series(times, np.array([1.0, 2.0, 3.0])), "silent": Series.empty()})

    found = await sample(source, ["A", "silent"], NOW, 10**6)

    assert found.sensors == [SensorSample("A", 2, None, NOW), SensorSample("silent", 0)]
