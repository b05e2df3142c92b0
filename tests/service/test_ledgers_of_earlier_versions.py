"""Ledgers that earlier versions have filled, one for each schema that was in use, are migrated and go on.

What they hold is described in ``tests/data/upgrades/README.md``.
"""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from latigo.domain.coverage import Coverage
from latigo.domain.outcome import Stored
from latigo.domain.task import Lane
from latigo.postgres.ranges import to_coverage
from latigo.postgres.schema import upgrade
from tests.support.build import CONNECT_TIMEOUT, at, window
from tests.support.ledgers import Ledgers, open_ledgers
from tests.support.upgrades import columns_of, contents, restore, rows

SCHEMAS = {"2074522": "0002", "3c8528f": "0004", "c233231": "0005"}  #: the commit that filled it, and its schema
NEWEST, BELOW = window("11:30", "12:30"), window("10:30", "11:30")
OUT = {"in-claim": "claimed", "in-queue": "published", "whole": "published", "planned": "planned", "waits": "waiting"}
LEASE = timedelta(seconds=30)


@pytest.fixture(params=sorted(SCHEMAS))
async def dumped(request: pytest.FixtureRequest, database_url: str) -> str:
    """The URL of a database that holds a dump as it is."""
    await restore(database_url, request.param)
    (schema,) = await rows(database_url, "SELECT version_num FROM alembic_version")
    assert schema["version_num"] == SCHEMAS[request.param]
    return database_url


@pytest.fixture
async def ledger(dumped: str) -> AsyncIterator[Ledgers]:
    """The dump, opened ten minutes after it was made."""
    await upgrade(dumped, connect_timeout=CONNECT_TIMEOUT)
    async with open_ledgers(dumped) as opened:
        await opened.set_clock(at("12:50"))
        yield opened


async def test_everything_that_was_there_is_there(dumped: str):
    columns = await columns_of(dumped)
    before = await contents(dumped, columns)

    await upgrade(dumped, connect_timeout=CONNECT_TIMEOUT)

    assert await contents(dumped, columns) == before
    assert {view: lines.total() for view, lines in before.items() if lines} == {
        "v_models": 2 + 9,
        "v_coverage": 2 + 9,
        "v_exceptions": 2 + 1,
        "v_tasks": 5 + 10,
        "v_parked": 2,
        "v_predictions": 156,
    }


async def test_what_is_covered_stays_covered(ledger: Ledgers):
    found = await ledger.fetch("SELECT project, model, covered FROM v_coverage WHERE NOT isempty(covered)")

    assert {(row["project"], row["model"]): to_coverage(row["covered"]) for row in found} == {
        ("plant-a", "compressor-002"): Coverage((window("10:00", "12:00"),)),
        ("plant-a", "pump-001"): Coverage((window("10:00", "12:00"),)),
        ("plant-b", "gaps"): Coverage((window("11:00", "11:30"),)),
        ("plant-b", "whole"): Coverage((BELOW,)),
    }


async def test_tasks_in_flight_stay_in_flight_and_what_is_parked_stays_parked(ledger: Ledgers):
    tasks = await ledger.fetch(
        "SELECT model, state, lane FROM v_tasks WHERE model = ANY ($1) AND state = ANY ($2)", list(OUT), [*OUT.values()]
    )
    parked = await ledger.fetch("SELECT model, reason FROM v_parked")

    assert {row["model"]: row["state"] for row in tasks} == OUT
    assert {row["lane"] for row in tasks} == {"live"}
    assert {row["model"]: row["reason"] for row in parked} == {"refused": "values_refused", "crashed": "crashed"}


async def test_a_claim_of_before_is_settled_and_the_rest_is_planned_and_published_again(ledger: Ledgers):
    term = await ledger.scheduler.acquire_lease("scheduler-2", LEASE)
    assert term is not None
    await ledger.scheduler.recover(term, "internal/another", isolated_starts=3, version="0.2.0")
    await ledger.scheduler.wake_waiting(term, blocked=[], most=10)

    tasks = {task.ref.name: task for task in await ledger.scheduler.unpublished(term, 100)}
    claims = [await ledger.executor.claim(task, "executor-2", LEASE) for task in tasks.values()]
    settled = [(claim, Stored.in_full(NEWEST, rows=6)) for claim in claims if claim]
    counted = await ledger.executor.settle(settled)

    # ``whole`` has a newer revision, so that its task of before is not published again.
    assert {(task.ref.name, task.window, task.lane) for task in tasks.values()} == {
        (name, NEWEST, Lane.LIVE) for name in OUT if name != "whole"
    }
    assert counted == {task.id for task in tasks.values()}
    found = await ledger.fetch("SELECT model, covered FROM v_coverage WHERE model = ANY ($1)", list(tasks))
    assert [to_coverage(row["covered"]) for row in found] == [Coverage((NEWEST,))] * len(tasks)


async def test_nothing_is_needed_that_was_done_and_everything_that_was_not(ledger: Ledgers):
    await ledger.set_clock(at("12:40"))

    needs = {
        need.ref.name: (need.windows.get(Lane.LIVE), need.windows.get(Lane.BACKFILL))
        for need in await ledger.scheduler.needs(timedelta(days=30))
    }

    assert needs == {
        **dict.fromkeys(("pump-001", "compressor-002"), (window("12:00", "12:30"), None)),
        **dict.fromkeys(("crashed", "refused", "in-claim", "in-queue", "planned", "waits"), (None, BELOW)),
        **dict.fromkeys(("gaps", "whole"), (None, window("09:30", "10:30"))),
    }
