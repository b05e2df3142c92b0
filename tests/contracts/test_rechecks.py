"""Slots without all their rows are rechecked after 1 h, 6 h and 24 h, then never; and once more after silence."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from latigo.domain.coverage import Coverage
from latigo.domain.outcome import Settlement, SlotException, SlotState, Stored
from latigo.domain.windows import DAY, Window
from latigo.ledger.protocol import Claim
from tests.contracts.test_requests import covered, plan, settle
from tests.support.build import NOW, an_entry, at, window
from tests.support.ledgers import Ledgers

HOUR, MINUTE, MOMENT = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
SLOT = window("11:30", "12:00")
STATES = (SlotState.SHORT, SlotState.ABSENT, SlotState.PROVISIONAL)


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    """A model whose newest slot is the only one that is left."""
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry(horizon=HOUR / 2)])
    return ledgers


def ended_as(state: SlotState) -> Callable[[Claim], Settlement]:
    """End the slot like this, and all others as covered."""

    def end(claim: Claim) -> Settlement:
        whole = Coverage((claim.window,))
        exceptional = Coverage((SLOT,)) & whole
        exceptions = [SlotException(state, exceptional, "no data: a", ("a",))] if exceptional else []
        return Stored(whole - exceptional, exceptions)

    return end


async def rechecks(ledger: Ledgers, now: datetime, end: Callable[[Claim], Settlement]) -> int:
    """Settle all that is due; return how often the slot was among it."""
    await ledger.set_clock(now)
    times = 0
    while claims := await plan(ledger):
        await settle(ledger, claims, end)
        times += sum(bool(Coverage((claim.window,)) & Coverage((SLOT,))) for claim in claims)
    return times


@pytest.mark.parametrize("state", STATES)
async def test_a_slot_is_rechecked_three_times_and_is_final_then(ledger: Ledgers, state: SlotState):
    end = ended_as(state)
    first, last, times = await rechecks(ledger, NOW, end), NOW, []
    for pause in (HOUR, 6 * HOUR, 24 * HOUR):
        times += [await rechecks(ledger, last + pause - MOMENT, end), await rechecks(ledger, last + pause, end)]
        last += pause

    assert (first, times) == (1, [0, 1] * 3)
    assert [await rechecks(ledger, last + days * DAY, end) for days in (1, 2, 10)] == [0] * 3
    assert SLOT.start not in await covered(ledger, "pump")


@pytest.mark.parametrize("state", STATES)
async def test_a_slot_whose_readings_have_come_is_covered_by_its_recheck_and_not_rechecked_again(
    ledger: Ledgers, state: SlotState
):
    await rechecks(ledger, NOW, ended_as(state))

    assert await rechecks(ledger, NOW + HOUR, in_full) == 1
    assert SLOT.start in await covered(ledger, "pump")
    assert [await rechecks(ledger, NOW + hours * HOUR, in_full) for hours in (2, 7, 31)] == [0] * 3


async def test_a_slot_that_is_final_is_rechecked_once_when_silence_ends(ledger: Ledgers):
    end, last = ended_as(SlotState.ABSENT), NOW
    await rechecks(ledger, NOW, end)
    for pause in (HOUR, 6 * HOUR, 24 * HOUR):
        last += pause
        assert await rechecks(ledger, last, end) == 1
    quiet = Window(at("12:00") + 2 * DAY, at("12:30") + 2 * DAY)
    before = await rechecks(ledger, quiet.end + 6 * MINUTE, silent_in(quiet))
    during = await rechecks(ledger, quiet.end + 10 * MINUTE, silent_in(quiet))
    returned = quiet.end + 36 * MINUTE
    after = await rechecks(ledger, returned, end)
    later = [await rechecks(ledger, returned + hours * HOUR, end) for hours in (2, 8, 32)]

    assert (before, during, after, later) == (0, 0, 1, [0] * 3)


def in_full(claim: Claim) -> Settlement:
    return Stored.in_full(claim.window)


def silent_in(quiet: Window) -> Callable[[Claim], Settlement]:
    """End all as covered but a stretch of time without readings."""

    def end(claim: Claim) -> Settlement:
        whole = Coverage((claim.window,))
        silent = Coverage((quiet,)) & whole
        exceptions = [SlotException(SlotState.ABSENT, silent, "no data: a", ("a",))] if silent else []
        return Stored(whole - silent, exceptions, silent_since=quiet.start if silent else None)

    return end
