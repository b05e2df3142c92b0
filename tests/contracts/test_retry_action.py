"""What a retry tries again, and what it asks about before."""

import pytest

from latigo.actions.retry import Retried, count_retried, retry
from latigo.domain.errors import Reason
from latigo.postgres.ranges import to_range
from tests.support.build import NOW, an_entry, window
from tests.support.ledgers import Ledgers


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """One model with a parked window, and a task that waits for another attempt."""
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry("pump")])
    await ledgers.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, revision, $2, 'no', tstzmultirange($1), ledger_now(), 'test' FROM model",
        *(to_range(window("10:30", "11:00")), Reason.ATTEMPTS.value),
    )
    await ledgers.fetch(
        "INSERT INTO task (model_id, epoch, span, lane, state, planned_at, not_before)"
        " SELECT id, 1, $1, 'backfill', 'waiting', ledger_now(), 'infinity' FROM model",
        to_range(window("11:00", "11:30")),
    )
    return ledgers


@pytest.mark.parametrize(
    ("reason", "windows", "waiting"), [(None, 1, 1), ("attempts", 1, 0), ("retry", 0, 1), ("crashed", 0, 0)]
)
async def test_it_does_what_was_counted_of_parked_windows_and_of_waiting_tasks(
    ledger: Ledgers, reason: str | None, windows: int, waiting: int
):
    counted = await count_retried(ledger.database, None, None, reason)
    unparked, woken = await retry(ledger.database, "operator", None, None, reason)

    assert counted == Retried(windows=windows, waiting=waiting)
    assert (len(unparked), woken) == (windows, waiting)
    assert await ledger.fetch("SELECT FROM task WHERE not_before <= ledger_now()") == [{}] * waiting
    assert await ledger.fetch("SELECT FROM parked") == [{}] * (1 - windows)
