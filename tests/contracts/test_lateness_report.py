"""Late readings in the ledger: processes add up, and the status names the delay that would do."""

from datetime import timedelta

import pytest

from latigo.domain.errors import Unavailable
from latigo.domain.lateness import LatenessCounts, Observed
from latigo.ledger.lateness import KEPT, report_lateness
from latigo.reports.status import read_status
from latigo.reports.status_parts import SourceLateness
from tests.support.build import NOW
from tests.support.ledgers import Ledgers

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    return ledgers


async def report(ledger: Ledgers, source: str, *, in_time: int = 0, late: int = 0) -> None:
    counts = LatenessCounts()
    counts.add([Observed(source, 5 * MINUTE, complete=True)] * in_time)
    counts.add([Observed(source, 11 * MINUTE, complete=False)] * late)
    await report_lateness(ledger.database, counts)


async def shown(ledger: Ledgers) -> list[SourceLateness]:
    return list((await read_status(ledger.database, "test")).lateness)


async def test_what_processes_report_of_a_source_adds_up(ledger: Ledgers):
    await report(ledger, "sensors/a", in_time=90)
    await report(ledger, "sensors/a", in_time=6, late=4)
    await report(ledger, "sensors/b", in_time=100, late=1)

    a, b = await shown(ledger)

    assert (a.source, a.slots, a.complete_share, a.delay) == ("sensors/a", 100, 0.96, 12 * MINUTE)
    assert (b.source, b.slots, b.delay) == ("sensors/b", 101, 5 * MINUTE)


async def test_what_was_counted_longer_ago_than_a_week_is_forgotten(ledger: Ledgers):
    await report(ledger, "sensors/a", late=1)
    await ledger.set_clock(NOW + KEPT + timedelta(days=1))
    await report(ledger, "sensors/a", in_time=1)

    (a,) = await shown(ledger)

    assert (a.slots, a.complete_share) == (1, 1.0)


async def test_what_cannot_be_recorded_is_recorded_later(ledger: Ledgers):
    class Gone:
        async def execute(self, *_: object) -> None:
            raise Unavailable("gone", downstream="ledger")

    counts = LatenessCounts()
    counts.add([Observed("sensors/a", 5 * MINUTE, complete=True)])
    with pytest.raises(Unavailable):
        await report_lateness(Gone(), counts)  # type: ignore[arg-type]  # all of a database that is asked for

    await report_lateness(ledger.database, counts)

    assert [source.slots for source in await shown(ledger)] == [1]
    assert counts.take() == {}
