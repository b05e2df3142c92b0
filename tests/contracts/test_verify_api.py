"""A slot that is predicted again, over HTTP: who may ask for it, and that it is one at a time."""

import asyncio

import pytest
from aiohttp import ClientSession

from latigo.domain.model import ModelRef
from latigo.reports.explain import Explanation
from latigo.reports.verification import Verification
from tests.support.api import serve_api
from tests.support.build import NOW, an_entry, at
from tests.support.clock import ManualClock
from tests.support.ledgers import Ledgers
from tests.support.web import OPERATOR, READER

PATH = "/api/v1/models/plant/pump/verify"


class Predicting:
    """Takes its time, and counts how many are under way."""

    def __init__(self) -> None:
        self.asked: list[tuple[ModelRef, Explanation]] = []
        self.at_once = self.most = 0

    async def __call__(self, ref: ModelRef, moment: Explanation) -> Verification:
        self.asked.append((ref, moment))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        for _ in range(5):
            await asyncio.sleep(0)
        self.at_once -= 1
        return Verification(
            equal=True,
            sink="sink/postgres",
            start=moment.slot_start,
            end=moment.slot_end,
            tolerance=1e-6,
            stored_revisions=[],
            predicted_revision="1",
            rows_stored=0,
            rows_predicted=0,
            rows_differing=0,
            values=0,
            values_differing=0,
            largest_difference=0.0,
            columns=[],
            columns_differing=0,
            times=[],
            compared=[],
            reasons=[],
            story=[],
        )


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledgers:
    await ledgers.set_clock(NOW)
    await ledgers.models.put_models([an_entry("pump")])
    return ledgers


async def ask(client: ClientSession, status: int, *, token: str = OPERATOR, path: str = PATH) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with client.post(path, json={"at": "2026-03-01T10:40Z"}, headers=headers) as answer:
        body: dict[str, object] = await answer.json()
        assert answer.status == status, body
        return body


async def test_the_slot_of_the_moment_is_predicted_one_at_a_time(ledger: Ledgers):
    predicting = Predicting()
    async with serve_api(ledger, ManualClock(NOW), predict_again=predicting) as client:
        answers = await asyncio.gather(ask(client, 200), ask(client, 200))

    assert [(answer["equal"], answer["start"]) for answer in answers] == [(True, "2026-03-01T10:30:00Z")] * 2
    assert [(str(ref), moment.slot_start) for ref, moment in predicting.asked] == [("plant/pump", at("10:30"))] * 2
    assert predicting.most == 1


@pytest.mark.parametrize(("token", "status"), [("", 401), ("unknown", 401), (READER, 403)])
async def test_it_costs_a_call_so_that_it_needs_a_token_that_may_act(ledger: Ledgers, token: str, status: int):
    predicting = Predicting()
    async with serve_api(ledger, ManualClock(NOW), predict_again=predicting) as client:
        await ask(client, status, token=token)

    assert not predicting.asked


async def test_an_unknown_model_and_a_process_without_a_source_say_so(ledger: Ledgers):
    async with serve_api(ledger, ManualClock(NOW)) as client:
        unknown = await ask(client, 404, path=PATH.replace("pump", "pmp"))
        unable = await ask(client, 503)

    assert "pump" in str(unknown["detail"])
    assert unable["type"] == "no-source"
