"""Streams of events: clients that take nothing, and requests that cannot have one."""

import asyncio
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from latigo.domain.errors import Unavailable
from latigo.runtime.clock import SystemClock
from latigo.runtime.secret_file import FileSecret
from latigo.web.api import events
from latigo.web.api.context import Context
from latigo.web.api.handling import Api
from latigo.web.api.tokens import Tokens
from latigo.web.problems import RefusedRequest
from latigo.web.server import run_server
from tests.support.waiting import eventually
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


async def test_a_client_that_has_left_takes_no_place_from_another(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "_HEARTBEAT", timedelta(hours=1))  # with which it would be noticed anyhow
    monkeypatch.setattr(events, "MOST_STREAMS", 2)
    streams = events.EventStreams(Api(NothingOpen(), Tokens({}), SystemClock(), []), SystemClock())
    begun: list[web.Request] = []

    async def stream(request: web.Request) -> web.StreamResponse:
        begun.append(request)
        return await streams.respond(request)

    app = web.Application()
    app.router.add_get("/events", stream)
    app.on_shutdown.append(streams.close)
    async with run_server(app) as server, asyncio.timeout(60):
        for _ in range(4):
            async with ClientSession(server.url) as leaving, leaving.get("/events") as answer:
                assert answer.status == 200
            await eventually(lambda: all(each.transport is None for each in begun), what="all have left")
        async with ClientSession(server.url) as session, session.get("/events") as one, session.get("/events") as two:
            assert (one.status, two.status) == (200, 200)
            with pytest.raises(RefusedRequest, match="2 streams already"):
                await streams.respond(begun[-1])


async def test_the_head_of_a_stream_is_no_stream():
    async with (
        serving_api(context_without_ledger()) as server,
        ClientSession(server.url) as session,
        session.head("/api/v1/events") as answer,
    ):
        assert answer.status == 405


async def test_a_stream_ends_when_its_token_is_changed_and_says_nothing_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(events, "_HEARTBEAT", timedelta(seconds=0.05))
    file = tmp_path / "anna"
    file.write_text("the-first-token")
    tokens = Tokens({"anna": (FileSecret(file, 1000), False)}, required=True)
    streams = events.EventStreams(Api(NothingOpen(), tokens, SystemClock(), []), SystemClock())
    app = web.Application()
    app.router.add_get("/events", streams.respond)
    app.on_shutdown.append(streams.close)
    async with run_server(app) as server, ClientSession(server.url) as session, asyncio.timeout(60):
        async with session.get("/events", headers={"Authorization": "Bearer the-first-token"}) as stream:
            assert await stream.content.readuntil(b": here\n\n")
            file.write_text("the-second-token")
            streams.publish("status", {"verdict": "of after the change"})
            rest = await stream.content.read()
        async with session.get("/events", headers={"Authorization": "Bearer the-second-token"}) as again:
            assert b"of after the change" in await again.content.readuntil(b"change")

    assert b"of after the change" not in rest
