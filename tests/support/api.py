"""The API over HTTP, on the ledger of a test, by a clock of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, ClientTimeout

from latigo.runtime.clock import Clock
from latigo.web.api.context import Context
from tests.support.build import DEFAULTS
from tests.support.ledgers import Ledgers
from tests.support.web import serving_api


@asynccontextmanager
async def serve_api(ledgers: Ledgers, clock: Clock, **parts: Any) -> AsyncIterator[ClientSession]:
    """A client of the API; ``parts`` of the context are those that a test needs besides the ledger."""
    context = Context(ledgers.database, DEFAULTS, clock, **parts)
    async with serving_api(context) as server, ClientSession(server.url, timeout=ClientTimeout(120)) as session:
        yield session


async def ask(client: ClientSession, path: str, status: int = 200, /, **query: Any) -> Any:
    """What the API answers, which has this status: JSON, or octets."""
    async with client.get(f"/api/v1{path}", params=query) as answer:
        body = await answer.read()
        assert answer.status == status, body[:500]
        return await answer.json() if "json" in answer.content_type else body
