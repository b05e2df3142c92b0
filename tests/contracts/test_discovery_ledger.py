"""The contract of the ledger for what names the projects, PostgreSQL and in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from latigo.domain.model import DiscoveredProject
from latigo.ledger.discovery_store import PostgresDiscoveryLedger
from latigo.ledger.model_protocol import DiscoveryLedger, KnownDiscovery
from tests.support.build import NOW
from tests.support.clock import ManualClock
from tests.support.ledgers import open_ledgers
from tests.support.memory_ledgers import MemoryDiscovery
from tests.support.postgres import fresh_database

HOUR = timedelta(hours=1)
BOTH = (DiscoveredProject("a"), DiscoveredProject("b", ("fan", "pump")))
ONE = BOTH[:1]


@dataclass
class Setup:
    """A ledger, and its clock."""

    ledger: DiscoveryLedger
    set_clock: Callable[[datetime], Awaitable[None]]


@pytest.fixture(params=["memory", "postgres"])
async def setup(request: pytest.FixtureRequest, postgres_server: str, ledger_template: str) -> AsyncIterator[Setup]:
    if request.param == "memory":
        clock = ManualClock(NOW)

        async def set_clock(time: datetime) -> None:
            clock.jump(time - clock.now())

        yield Setup(MemoryDiscovery(clock), set_clock)
    else:
        async with fresh_database(postgres_server, template=ledger_template) as url, open_ledgers(url) as ledgers:
            await ledgers.set_clock(NOW)
            yield Setup(PostgresDiscoveryLedger(ledgers.database), ledgers.set_clock)


async def test_a_list_is_kept_as_it_was_named_and_belongs_to_its_source(setup: Setup):
    nothing = await setup.ledger.last("plugin")
    await setup.ledger.named("plugin", BOTH)

    assert nothing == KnownDiscovery()
    assert await setup.ledger.last("plugin") == KnownDiscovery(BOTH)
    assert await setup.ledger.last("another") == KnownDiscovery()


async def test_an_empty_list_is_a_list(setup: Setup):
    await setup.ledger.named("plugin", ())

    assert await setup.ledger.last("plugin") == KnownDiscovery(())


async def test_a_failure_keeps_the_last_list_of_the_same_source(setup: Setup):
    await setup.ledger.named("plugin", BOTH)
    await setup.ledger.failed("plugin", "503", alarm=False)
    kept = await setup.ledger.last("plugin")
    await setup.ledger.failed("another", "503", alarm=True)

    assert kept == KnownDiscovery(BOTH)
    assert await setup.ledger.last("another") == await setup.ledger.last("plugin") == KnownDiscovery()


async def test_a_quarantine_counts_from_its_first_list_and_ends_with_another_or_a_failure(setup: Setup):
    await setup.ledger.named("plugin", BOTH)
    await setup.ledger.quarantined("plugin", ONE)
    await setup.set_clock(NOW + HOUR)
    await setup.ledger.quarantined("plugin", ONE)
    longer = await setup.ledger.last("plugin")
    await setup.ledger.quarantined("plugin", ())
    other = await setup.ledger.last("plugin")
    await setup.ledger.failed("plugin", "503", alarm=False)
    failed = await setup.ledger.last("plugin")
    await setup.ledger.named("plugin", ONE)

    assert longer == KnownDiscovery(BOTH, ONE, NOW)
    assert other == KnownDiscovery(BOTH, (), NOW + HOUR)
    assert failed == KnownDiscovery(BOTH)
    assert await setup.ledger.last("plugin") == KnownDiscovery(ONE)


async def test_everything_can_be_forgotten(setup: Setup):
    await setup.ledger.named("plugin", BOTH)
    await setup.ledger.forget()

    assert await setup.ledger.last("plugin") == KnownDiscovery()
