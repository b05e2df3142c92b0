"""The contract of the ledger for descriptions of models, PostgreSQL and in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from latigo.domain.model import ModelRef
from latigo.domain.series import Column
from latigo.ledger.model_protocol import MetadataLedger
from latigo.ledger.prediction_metadata import PostgresMetadataLedger
from tests.support.build import NOW, an_entry
from tests.support.clock import ManualClock
from tests.support.ledgers import open_ledgers
from tests.support.memory_ledgers import MemoryMetadata
from tests.support.postgres import fresh_database

FAN, PUMP = ModelRef("plant", "fan"), ModelRef("plant", "pump")
COLUMNS = (Column("model-output", "1903.R1"), Column("total-anomaly-scaled", ""))
SINK, LEASE, MINUTE = "sink/timeseries_api", timedelta(minutes=15), timedelta(minutes=1)


@dataclass
class Setup:
    """A ledger that knows two models, and its clock."""

    ledger: MetadataLedger
    set_clock: Callable[[datetime], Awaitable[None]]

    async def due(self, most: int = 10) -> list[tuple[ModelRef, str, int]]:
        return [(one.ref, one.revision, one.attempts) for one in await self.ledger.take([SINK], most, LEASE)]


@pytest.fixture(params=["memory", "postgres"])
async def setup(request: pytest.FixtureRequest, postgres_server: str, ledger_template: str) -> AsyncIterator[Setup]:
    if request.param == "memory":
        clock = ManualClock(NOW)

        async def set_clock(time: datetime) -> None:
            clock.jump(time - clock.now())

        yield Setup(MemoryMetadata(clock), set_clock)
    else:
        async with fresh_database(postgres_server, template=ledger_template) as url, open_ledgers(url) as ledgers:
            await ledgers.set_clock(NOW)
            await ledgers.models.put_models([an_entry("fan"), an_entry("pump")])
            yield Setup(PostgresMetadataLedger(ledgers.database), ledgers.set_clock)


async def test_a_model_and_revision_is_taken_once_with_its_columns(setup: Setup):
    for _ in range(2):
        await setup.ledger.record(SINK, PUMP, "1000", COLUMNS)
    (taken,) = await setup.ledger.take([SINK], 10, LEASE)

    assert (taken.ref, taken.revision, taken.columns, taken.attempts) == (PUMP, "1000", COLUMNS, 1)
    assert await setup.due() == []


async def test_what_another_sink_has_stored_is_left_to_those_who_have_that_sink(setup: Setup):
    await setup.ledger.record("sink/another", PUMP, "1000", COLUMNS)

    assert await setup.due() == []


async def test_those_that_wait_longest_are_taken_first_and_no_more_than_asked_for(setup: Setup):
    await setup.ledger.record(SINK, PUMP, "1000", COLUMNS)
    await setup.set_clock(NOW + MINUTE)
    await setup.ledger.record(SINK, FAN, "1000", COLUMNS)

    assert await setup.due(most=1) == [(PUMP, "1000", 1)]
    assert await setup.due(most=1) == [(FAN, "1000", 1)]


async def test_what_was_taken_and_never_ended_is_due_again_after_the_lease(setup: Setup):
    await setup.ledger.record(SINK, PUMP, "1000", COLUMNS)
    await setup.due()
    await setup.set_clock(NOW + LEASE)

    assert await setup.due() == [(PUMP, "1000", 2)]


async def test_what_is_posted_is_never_due_again_whoever_records_it(setup: Setup):
    await setup.ledger.record(SINK, PUMP, "1000", COLUMNS)
    (taken,) = await setup.ledger.take([SINK], 10, LEASE)
    await setup.ledger.posted(taken)
    await setup.ledger.failed(taken, "a late failure of another process", MINUTE)
    await setup.ledger.record(SINK, PUMP, "1000", COLUMNS)
    await setup.set_clock(NOW + timedelta(days=9))

    assert await setup.due() == []


async def test_what_failed_is_due_after_its_wait_and_what_is_released_at_once(setup: Setup):
    await setup.ledger.record(SINK, PUMP, "1000", COLUMNS)
    (taken,) = await setup.ledger.take([SINK], 10, LEASE)
    await setup.ledger.failed(taken, "502", MINUTE)
    early = await setup.due()
    await setup.set_clock(NOW + MINUTE)
    (taken,) = await setup.ledger.take([SINK], 10, LEASE)
    await setup.ledger.released(taken)

    assert early == []
    assert await setup.due() == [(PUMP, "1000", 2)]


async def test_each_revision_is_described_and_none_that_is_older_than_a_recorded_one(setup: Setup):
    await setup.ledger.record(SINK, PUMP, "1000", COLUMNS)
    await setup.ledger.record(SINK, PUMP, "2000", COLUMNS)
    both = await setup.ledger.take([SINK], 10, LEASE)
    for one in both:
        await setup.ledger.posted(one)
    await setup.ledger.record(SINK, PUMP, "1000", COLUMNS)
    await setup.ledger.record(SINK, PUMP, "999", COLUMNS)

    assert sorted(one.revision for one in both) == ["1000", "2000"]
    assert await setup.due() == []


async def test_what_is_dropped_is_gone(setup: Setup):
    await setup.ledger.record(SINK, PUMP, "1000", COLUMNS)
    (taken,) = await setup.ledger.take([SINK], 10, LEASE)
    await setup.ledger.dropped(taken)
    await setup.set_clock(NOW + timedelta(days=9))

    assert await setup.due() == []
