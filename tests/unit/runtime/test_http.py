"""The HTTP client seam, against a real server that is slow, endless, or breaks off."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from latigo.runtime.http import (
    BodyTooLarge,
    Failures,
    read_body,
    read_excerpt,
    request_body,
    retry_after,
    session_options,
    time_limit,
    tls_context,
    transport_errors,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MINUTE = timedelta(minutes=1)


class Unreachable(Exception):
    """No response."""


class Late(Exception):
    """No response in time."""


class Large(Exception):
    """More than was wanted."""


FAILURES = Failures(unreachable=Unreachable, timed_out=Late, too_large=Large)


@asynccontextmanager
async def response_of(handler: Handler) -> AsyncIterator[aiohttp.ClientResponse]:
    app = web.Application()
    app.router.add_get("/", handler)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(**session_options(connect_timeout=MINUTE)) as session,
        session.get(server.make_url("/")) as response,
    ):
        yield response


def sending(body: bytes, *, chunked: bool = False) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        if not chunked:
            return web.Response(body=body)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(body)
        return response

    return handler


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "without one"])
async def test_a_body_is_read_whole_or_not_at_all(chunked: bool):
    async with response_of(sending(b"12345", chunked=chunked)) as response:
        assert await read_body(response, 5) == b"12345"
    async with response_of(sending(b"12345", chunked=chunked)) as response:
        with pytest.raises(BodyTooLarge, match="larger than 4 bytes"):
            await read_body(response, 4)


async def test_of_a_body_that_explains_an_error_the_beginning_will_do():
    async with response_of(sending(b"12345", chunked=True)) as response:
        assert await read_excerpt(response, 3) == b"123"


async def test_cookies_are_not_kept_and_nothing_is_compressed():
    seen: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append({**request.headers})
        response = web.Response()
        response.set_cookie("affinity", "server-1")
        return response

    app = web.Application()
    app.router.add_get("/", handler)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession(**session_options(connect_timeout=MINUTE, headers=lambda: {"X-Key": "k"})) as session,
    ):
        for _ in range(2):
            await session.get(server.make_url("/"))

    assert [headers.get("Cookie") for headers in seen] == [None, None]
    assert {(headers["Accept-Encoding"], headers["X-Key"]) for headers in seen} == {("identity", "k")}


async def test_headers_are_asked_for_before_every_request():
    seen = []
    tokens = iter(("one", "two", "three"))

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.headers["X-Token"], request.headers["X-Of-Request"]))
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handler)
    options = session_options(
        connect_timeout=MINUTE, headers=lambda: {"X-Token": next(tokens), "X-Of-Request": "default"}
    )
    async with TestServer(app) as server, aiohttp.ClientSession(**options) as session:
        await session.get(server.make_url("/"))
        await session.get(server.make_url("/"), headers={"X-Of-Request": "own"})

    assert seen == [("one", "default"), ("two", "own")]


async def test_each_failure_of_the_transport_becomes_the_callers_own_exception():
    with pytest.raises(Large, match="reading: the response is larger"), transport_errors("reading", FAILURES):
        raise BodyTooLarge(3)
    with pytest.raises(Unreachable, match="reading: no connection in time"), transport_errors("reading", FAILURES):
        raise aiohttp.ConnectionTimeoutError
    with pytest.raises(Unreachable, match="reading: ServerDisconnected"), transport_errors("reading", FAILURES):
        raise aiohttp.ServerDisconnectedError
    with pytest.raises(KeyError), transport_errors("reading", FAILURES):
        raise KeyError


async def test_a_long_reason_is_cut():
    with pytest.raises(Unreachable) as raised, transport_errors("reading", FAILURES):
        raise aiohttp.ClientPayloadError("x" * 10_000)

    assert len(str(raised.value)) < 400


async def test_one_limit_holds_for_everything_inside():
    with pytest.raises(Late, match=r"reading: no answer within 0\.01 s"):
        async with time_limit(timedelta(milliseconds=10), "reading", FAILURES):
            await asyncio.Event().wait()


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_large_body_is_sent_in_pieces(size: int):
    data = b"x" * size
    body = request_body(data)

    assert (body if isinstance(body, bytes) else body.read()) == data
    assert isinstance(body, BytesIO) is (size > 1 << 20)


def test_authorities_of_ones_own_are_read_from_a_file(tmp_path: Path):
    assert isinstance(tls_context(None), ssl.SSLContext)
    (tmp_path / "no.pem").write_text("no certificate")
    for name in ("no.pem", "not-there.pem"):
        with pytest.raises(ValueError, match=f"{name} cannot be read"):
            tls_context(tmp_path / name)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"Retry-After": "120"}, timedelta(minutes=2)),
        ({"Retry-After": " 0 "}, timedelta(0)),
        ({"Retry-After": "999999999999"}, timedelta(days=1)),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (
            {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:27:30 GMT"},
            timedelta(seconds=30),
        ),
        (
            {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 09:27:30 +0000"},
            timedelta(0),
        ),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_clock_of_the_server(
    headers: dict[str, str], wait: timedelta | None
) -> None:
    assert retry_after(headers) == wait
