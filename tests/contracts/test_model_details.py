"""What is known of one model, whatever its server does."""

import asyncio
from datetime import timedelta

import pytest

from latigo.domain.errors import Reason, Unavailable
from latigo.domain.model import ModelRef, ModelStatus
from latigo.reports import models
from latigo.reports.failures import MOST_FAILURES
from latigo.reports.models import read_model_details
from tests.support.build import NOW, an_entry
from tests.support.ledgers import Ledgers

PUMP = ModelRef("plant", "pump")


class Silent:
    """A model server that accepts every question and never answers."""

    async def get_model_status(self, name: ModelRef) -> ModelStatus:
        await asyncio.Event().wait()
        raise AssertionError(name)


class Away:
    """A model server that is not there."""

    async def get_model_status(self, name: ModelRef) -> ModelStatus:
        raise Unavailable(f"{name}: nobody there", downstream="gordo/plant")


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry("pump")])
    return ledgers


async def test_a_server_that_never_answers_is_not_waited_for(ledger: Ledgers, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(models, "ANSWER_LIMIT", timedelta(milliseconds=10))

    async with asyncio.timeout(30):
        details = await read_model_details(ledger.database, Silent(), PUMP)

    assert details.not_asked == "no answer within 0.01 s"
    assert (details.exists, details.ledger is not None, len(details.tags) > 0) == (None, True, True)


async def test_failures_that_are_too_many_to_show_are_counted(ledger: Ledgers):
    await ledger.fetch(
        "INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)"
        " SELECT id, n::text, $1, 'no', '{(,)}', ledger_now(), 'test' FROM model, generate_series(1, $2) AS n",
        *(Reason.ATTEMPTS.value, MOST_FAILURES + 1),
    )

    details = await read_model_details(ledger.database, Away(), PUMP)

    assert (len(details.failures), details.failure_count) == (MOST_FAILURES, MOST_FAILURES + 1)
