"""Idempotency keys in the ledger: an action is done once, and answered as often as it is requested."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientSession

from latigo.domain.errors import LatigoError, Unavailable
from latigo.reports.base import Report
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Question
from tests.support.build import NOW
from tests.support.ledgers import Ledgers
from tests.support.web import OPERATOR, context_of, serving_api


class Order(Question):
    what: str
    dry_run: bool = False


class Delivered(Report):
    number: int


class Kitchen:
    """Counts what it has done."""

    def __init__(self) -> None:
        self.done = 0
        self.error: Exception | None = None
        self.begun, self.going = asyncio.Event(), asyncio.Event()
        self.going.set()

    async def cook(self, _context: Context, _asked: Order) -> Delivered:
        self.begun.set()
        await self.going.wait()
        if self.error is not None:
            raise self.error
        self.done += 1
        return Delivered(number=self.done)

    @property
    def endpoint(self) -> Endpoint[Any, Any]:
        limit = timedelta(seconds=60)
        return Endpoint(
            method="POST",
            path="/cook",
            summary="Cook.",
            question=Order,
            answer=Delivered,
            handle=self.cook,
            limit=limit,
        )


@pytest.fixture
async def kitchen() -> Kitchen:
    return Kitchen()


@pytest.fixture
async def client(ledgers: Ledgers, kitchen: Kitchen) -> AsyncIterator[ClientSession]:
    async with (
        serving_api(context_of(ledgers.database), [kitchen.endpoint]) as server,
        ClientSession(server.url, headers={"Authorization": f"Bearer {OPERATOR}"}) as session,
    ):
        yield session


async def order(client: ClientSession, what: str, key: str | None, **more: Any) -> tuple[int, Any, bool]:
    headers = {} if key is None else {"Idempotency-Key": key}
    async with client.post("/api/v1/cook", json={"what": what, **more}, headers=headers) as answer:
        return answer.status, await answer.json(), "Idempotency-Replayed" in answer.headers


async def test_the_same_request_with_the_same_key_is_done_once(client: ClientSession, kitchen: Kitchen):
    assert await order(client, "soup", "a") == (200, {"number": 1}, False)
    assert await order(client, "soup", "a") == (200, {"number": 1}, True)
    assert await order(client, "soup", "b") == (200, {"number": 2}, False)
    assert await order(client, "soup", None) == (200, {"number": 3}, False)
    assert kitchen.done == 3


async def test_a_key_is_of_one_request(client: ClientSession, kitchen: Kitchen):
    await order(client, "soup", "a")
    status, problem, _ = await order(client, "cake", "a")

    assert (status, problem["type"], kitchen.done) == (422, "key-reused", 1)


async def test_a_dry_run_takes_no_key(client: ClientSession):
    await order(client, "soup", "a", dry_run=True)
    assert await order(client, "cake", "a") == (200, {"number": 2}, False)


async def test_while_it_is_done_the_same_is_not_begun_again(client: ClientSession, kitchen: Kitchen):
    kitchen.going.clear()
    first = asyncio.create_task(order(client, "soup", "a"))
    await kitchen.begun.wait()
    status, problem, _ = await order(client, "soup", "a")
    kitchen.going.set()

    assert (status, problem["type"]) == (409, "in-progress")
    assert await first == (200, {"number": 1}, False)


async def test_a_refusal_is_repeated_and_what_was_unavailable_is_tried_again(client: ClientSession, kitchen: Kitchen):
    kitchen.error = LatigoError("the oven is cold")
    assert (await order(client, "soup", "a"))[0] == 409
    kitchen.error = Unavailable("no gas", downstream="ledger")
    assert (await order(client, "cake", "b"))[0] == 503
    kitchen.error = None

    assert (await order(client, "soup", "a"))[::2] == (409, True)
    assert await order(client, "cake", "b") == (200, {"number": 1}, False)


async def test_a_key_is_free_again_after_a_day(client: ClientSession, ledgers: Ledgers):
    await ledgers.set_clock(NOW)
    await order(client, "soup", "a")
    await order(client, "soup", "forgotten")
    await ledgers.set_clock(NOW + timedelta(hours=23))
    assert (await order(client, "soup", "a"))[2]
    await ledgers.set_clock(NOW + timedelta(hours=25))

    assert await order(client, "cake", "a") == (200, {"number": 3}, False)
    assert [row["key"] for row in await ledgers.fetch("SELECT key FROM idempotency_key")] == ["a"]


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201])
async def test_what_is_no_key_is_refused(client: ClientSession, kitchen: Kitchen, key: str):
    assert (await order(client, "soup", key))[0] == 400
    assert kitchen.done == 0
