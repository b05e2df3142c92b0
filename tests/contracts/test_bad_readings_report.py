"""Bad readings in the ledger: each process reports its counts, and the status names those of the last day."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from latigo.domain.bad_readings import BadReadingCount, Fault
from latigo.domain.errors import Unavailable
from latigo.ledger.bad_readings import KEPT, BadReadingReports, keep_bad_readings
from latigo.reports.snapshot import NAMED
from latigo.reports.status import read_status
from latigo.reports.status_parts import BadReadingsOfTag
from tests.support.build import NOW
from tests.support.clock import ManualClock
from tests.support.ledgers import Ledgers
from tests.support.waiting import eventually

DAY = timedelta(days=1)


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    return ledgers


def found(
    readings: int, tag: str = "A", *, example: str = "line 2: 'Bad'", ago: timedelta = DAY / 2
) -> BadReadingCount:
    return BadReadingCount("a.csv", tag, Fault.TEXT, readings, example, NOW - ago, NOW - ago)


async def shown(ledger: Ledgers) -> Sequence[BadReadingsOfTag]:
    return (await read_status(ledger.database, "test")).bad_readings


async def test_the_status_names_them_by_place_tag_and_fault_most_first(ledger: Ledgers) -> None:
    await BadReadingReports(ledger.database, "executor-1").report([found(3), found(9, "B")])

    status = await read_status(ledger.database, "test")

    assert [(bad.place, bad.tag, bad.fault, bad.readings) for bad in status.bad_readings] == [
        ("a.csv", "B", "text", 9),
        ("a.csv", "A", "text", 3),
    ]
    assert (status.bad_readings[0].example, status.bad_readings[0].last_at) == ("line 2: 'Bad'", NOW - DAY / 2)
    assert status.bad_reading_kinds == 2
    assert "bad_reading" not in str(status.causes)


async def test_what_two_processes_have_read_is_not_added_up(ledger: Ledgers) -> None:
    await BadReadingReports(ledger.database, "executor-1").report([found(3)])
    await BadReadingReports(ledger.database, "executor-2").report([found(5, example="line 9", ago=timedelta(0))])

    (bad,) = await shown(ledger)

    assert (bad.readings, bad.example, bad.first_at, bad.last_at) == (5, "line 9", NOW - DAY / 2, NOW)


async def test_a_count_that_grows_replaces_the_one_before_and_one_that_does_not_is_not_written(ledger: Ledgers) -> None:
    reports = BadReadingReports(ledger.database, "executor-1")
    await reports.report([found(3)])
    await reports.report([found(4)])
    await ledger.fetch("DELETE FROM bad_reading WHERE readings <> 4")
    assert [bad.readings for bad in await shown(ledger)] == [4]
    await ledger.fetch("DELETE FROM bad_reading")

    await reports.report([found(4)])

    assert await shown(ledger) == []


async def test_what_was_found_over_a_day_ago_is_not_shown_and_in_time_dropped(ledger: Ledgers) -> None:
    reports = BadReadingReports(ledger.database, "executor-1")
    await reports.report([found(1, "old", ago=KEPT + DAY), found(1, "yesterday", ago=DAY * 1.5), found(1, "new")])

    assert [bad.tag for bad in await shown(ledger)] == ["new"]
    rows = await ledger.fetch("SELECT tag FROM bad_reading ORDER BY tag")
    assert [row["tag"] for row in rows] == ["new", "yesterday"]


async def test_names_that_postgresql_has_no_text_for_and_long_ones_are_kept_as_far_as_they_can_be(
    ledger: Ledgers,
) -> None:
    long = "x" * 10_000
    await BadReadingReports(ledger.database, "executor-1").report(
        [found(1, "nul \0", example="\0"), found(2, long + "a"), found(3, long + "b")]
    )

    assert [(bad.tag[:5], bad.readings) for bad in await shown(ledger)] == [("xxxxx", 3), ("nul �", 1)]


async def test_only_so_many_are_named_and_the_rest_is_counted(ledger: Ledgers) -> None:
    await BadReadingReports(ledger.database, "executor-1").report([found(1, f"tag {n}") for n in range(NAMED + 7)])

    status = await read_status(ledger.database, "test")

    assert (len(status.bad_readings), status.bad_reading_kinds) == (NAMED, NAMED + 7)


class Failing(BadReadingReports):
    """Its ledger is unreachable the first time."""

    failures = 1

    async def report(self, counts: Sequence[BadReadingCount]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("gone", downstream="ledger")
        await super().report(counts)


async def test_they_are_reported_at_intervals_and_at_the_end_whether_or_not_a_report_failed(ledger: Ledgers) -> None:
    clock, stop, counts = ManualClock(NOW), asyncio.Event(), [found(1)]
    reports = Failing(ledger.database, "executor-1")
    keeping = asyncio.create_task(
        keep_bad_readings(reports, lambda: counts, clock, stop, interval=timedelta(seconds=15))
    )
    await clock.advance(timedelta(seconds=15))
    await eventually(lambda: not reports.failures)
    assert await shown(ledger) == []

    counts.append(found(2, "B"))
    stop.set()
    await keeping

    assert [bad.tag for bad in await shown(ledger)] == ["B", "A"]
