"""Streams of events: clients that take nothing, and requests that cannot have one."""

import asyncio
import socket
from datetime import timedelta

import pytest
from aiohttp import ClientSession, web

from latigo.domain.errors import Unavailable
from latigo.runtime.clock import SystemClock
from latigo.web.api import events
from latigo.web.api.context import Context
from latigo.web.api.handling import Api
from latigo.web.api.tokens import Tokens
from latigo.web.server import run_server
from tests.support.web import context_without_ledger, serving_api


class NothingOpen:
    """A process that has nothing to answer from."""

    def context(self) -> Context:
        raise Unavailable("not open yet", downstream="ledger")


async def test_a_client_that_takes_nothing_loses_its_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "_TAKEN_WITHIN", timedelta(seconds=0.1))
    streams = events.EventStreams(Api(NothingOpen(), Tokens({}), SystemClock(), []), SystemClock())
    begun, left = asyncio.Event(), asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        begun.set()
        try:
            return await streams.respond(request)
        finally:
            left.set()

    app = web.Application()
    app.router.add_get("/events", stream)
    app.on_shutdown.append(streams.close)
    async with run_server(app) as server:
        with socket.create_connection((server.host, server.port)) as client:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await begun.wait()
            for number in range(40):  # more than all buffers on the way have room for
                streams.publish("status", {"number": number, "text": "x" * 1_000_000})
            async with asyncio.timeout(60):
                await left.wait()


async def test_the_head_of_a_stream_is_no_stream():
    async with (
        serving_api(context_without_ledger()) as server,
        ClientSession(server.url) as session,
        session.head("/api/v1/events") as answer,
    ):
        assert answer.status == 405
