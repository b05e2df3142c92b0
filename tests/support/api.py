"""The API over HTTP, on the ledger of a test."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import ClientSession, ClientTimeout

from latigo.runtime.clock import Clock
from latigo.runtime.metrics import metrics_of, new_registry
from latigo.web.api.context import Context
from latigo.web.app import create_app
from latigo.web.server import run_server
from tests.support.build import DEFAULTS
from tests.support.ledgers import Ledgers


class Served:
    """What the API answers from; nothing is sick."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def context(self) -> Context:
        return self._context

    def not_live(self) -> Sequence[str]:
        return ()

    async def not_ready(self) -> Sequence[str]:
        return ()


@asynccontextmanager
async def serve_api(ledgers: Ledgers, clock: Clock, **parts: Any) -> AsyncIterator[ClientSession]:
    """A client of the API; ``parts`` of the context are those that a test needs besides the ledger."""
    context = replace(Context(ledgers.database, DEFAULTS, clock), **parts)
    served = Served(context)
    app = create_app(served, served, metrics_of(new_registry()), clock)
    async with run_server(app) as server, ClientSession(server.url, timeout=ClientTimeout(20)) as session:
        yield session


async def ask(client: ClientSession, path: str, status: int = 200, /, **query: Any) -> Any:
    """What the API answers, which has this status: JSON, or octets."""
    async with client.get(f"/api/v1{path}", params=query) as answer:
        body = await answer.read()
        assert answer.status == status, body[:500]
        return await answer.json() if "json" in answer.content_type else body
