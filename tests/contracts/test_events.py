"""Server-sent events over a ledger: what is there at once, what follows a change, and what was seen is left out."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientResponse, ClientSession, ClientTimeout

from latigo.web.api import events
from tests.support.ledgers import Ledgers
from tests.support.web import context_of, serving_api

_WITHIN = 120.0


class Event(NamedTuple):
    id: str
    name: str
    data: Any


@pytest.fixture
async def client(ledgers: Ledgers) -> AsyncIterator[ClientSession]:
    async with (
        serving_api(context_of(ledgers.database)) as server,
        ClientSession(server.url, timeout=ClientTimeout(None)) as session,
    ):
        yield session


async def next_event(stream: ClientResponse) -> Event:
    fields: dict[str, str] = {}
    while True:
        line = (await stream.content.readline()).decode().rstrip("\n")
        if not line and "event" in fields:
            return Event(fields["id"], fields["event"], json.loads(fields["data"]))
        name, _, value = line.partition(": ")
        fields[name] = value


async def test_a_stream_begins_with_what_holds_and_goes_on_with_what_changes(client: ClientSession, ledgers: Ledgers):
    async with asyncio.timeout(_WITHIN), client.get("/api/v1/events") as stream:
        assert stream.content_type == "text/event-stream"
        assert (stream.headers["Cache-Control"], stream.headers["X-Accel-Buffering"]) == ("no-store", "no")
        first = [await next_event(stream) for _ in range(5)]
        await ledgers.fetch(
            "INSERT INTO executor (id, version, envelope_low, envelope_high, concurrency, started_at, seen_at)"
            " VALUES ('worker-1', 'test', 1, 2, 8, ledger_now(), ledger_now())"
        )
        later = await next_event(stream)
        while later.name != "executors":
            later = await next_event(stream)
        async with client.get("/api/v1/events", headers={"Last-Event-ID": first[-1].id}) as again:
            seen = await next_event(again)

    assert {event.name for event in first} == {"status", "failures", "circuits", "executors", "request"}
    assert first[0].data["verdict"] == "needs_attention"
    assert first[0].data["headline"].startswith("Needs attention: no scheduler")
    versions = {event.name: event.data for event in first}
    assert later.data != versions["executors"]
    assert seen.id not in {event.id for event in first}


async def test_there_is_a_limit_to_streams(client: ClientSession, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "MOST_STREAMS", 1)
    async with asyncio.timeout(_WITHIN), client.get("/api/v1/events") as stream:
        await next_event(stream)
        async with client.get("/api/v1/events") as refused:
            problem = await refused.json()

    assert (refused.status, problem["type"], refused.headers["Retry-After"]) == (503, "too-many-streams", "30")
