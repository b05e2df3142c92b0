"""Requests as no browser sends them, over raw connections: answered like all others, or closed in time."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from latigo.runtime.clock import SystemClock
from latigo.runtime.metrics import metrics_of, new_registry
from latigo.web.api.context import Context
from latigo.web.app import Access, create_app
from latigo.web.hosts import allowed_hosts, host_of
from latigo.web.server import ServerAddress, run_server
from tests.support.waiting import eventually
from tests.support.web import context_without_ledger

_WITHIN = 60.0
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cache-control": "no-store",
    "content-type": "application/problem+json",
}


class Nothing:
    """A process without anything to report."""

    def not_live(self) -> list[str]:
        return []

    async def not_ready(self) -> list[str]:
        return []

    def context(self) -> Context:
        return context_without_ledger()


class Response(NamedTuple):
    """A response as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return str(orjson.loads(self.body)["detail"])


@asynccontextmanager
async def serving(hosts: frozenset[str] | None = None, **options: Any) -> AsyncIterator[ServerAddress]:
    async with run_server(
        create_app(Nothing(), Nothing(), metrics_of(new_registry()), SystemClock(), Access(hosts)), **options
    ) as address:
        yield address


async def send(address: ServerAddress, *parts: bytes) -> bytes:
    """Return all that the server sends until it closes the connection."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        async with asyncio.timeout(_WITHIN):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def parsed(received: bytes) -> Response:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Response(int(first.split()[1]), headers, body)


def is_like_all_others(response: Response) -> bool:
    """Return whether a response has the headers that every response has, and not the name of the server."""
    assert "aiohttp" not in str(response).lower()
    return "server" not in response.headers and response.headers.items() >= HEADERS.items()


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",  # hello of TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"G<script>T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 1_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n X: y\r\n\r\n",
        b"BREW / HTTP/1.1 extra\r\nHost: localhost\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_answered_like_everything_else_and_logged_once(request_: bytes) -> None:
    with capture_logs() as logged:
        async with serving() as address:
            response = parsed(await send(address, request_))

    assert response.status == HTTPStatus.BAD_REQUEST
    assert is_like_all_others(response)
    assert response.error == "this is not a valid HTTP request"
    events = [event for event in logged if event["event"] != "http.started"]
    assert [(event["event"], event["log_level"], event["peer"]) for event in events] == [
        ("request.malformed", "debug", "127.0.0.1")
    ]
    assert 0 < len(events[0]["reason"]) <= 200


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_nothing_else_logs_it(caplog: pytest.LogCaptureFixture, request_: bytes) -> None:
    with caplog.at_level("DEBUG"), capture_logs():
        async with serving() as address:
            await send(address, request_)

    assert [record for record in caplog.records if record.name.startswith("aiohttp")] == []


@pytest.mark.parametrize(
    "request_",
    [
        b"BREW / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: wonders\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /%00%ff/../.. HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/status?" + b"a=%zz&" * 1_000 + b" HTTP/1.0\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nConnection: close\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: close, Upgrade\r\n\r\n",
    ],
)
async def test_odd_requests_are_answered_without_the_servers_name(request_: bytes) -> None:
    async with serving() as address:
        response = parsed(await send(address, request_))

    assert response.status < HTTPStatus.INTERNAL_SERVER_ERROR
    assert is_like_all_others(
        response._replace(headers={**response.headers, "content-type": "application/problem+json"})
    )


async def test_a_bad_request_after_a_good_one_is_answered() -> None:
    async with serving() as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        async with asyncio.timeout(_WITHIN):
            writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            first = await reader.readuntil(b"}")
            writer.write(b"nonsense\r\n\r\n")
            second = await reader.read()
        writer.close()

    assert (parsed(first).status, parsed(second).status) == (HTTPStatus.OK, HTTPStatus.BAD_REQUEST)
    assert is_like_all_others(parsed(second))


@pytest.mark.parametrize("parts", [(), (b"GET / HTTP/1.1\r\nHost: local",), (b"G", b"E", b"T")])
async def test_a_connection_without_a_whole_request_is_closed_in_time(parts: tuple[bytes, ...]) -> None:
    async with serving(first_request_s=0.2) as address:
        assert await send(address, *parts) == b""


async def test_one_with_a_request_in_time_is_not_closed() -> None:
    async with serving(first_request_s=1) as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        async with asyncio.timeout(_WITHIN):
            for _ in range(2):
                writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readuntil(b"}")
                assert head.startswith(b"HTTP/1.1 200")
                assert await send(address) == b""  # closed once a first request has taken too long
        writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is of Linux")
async def test_a_client_that_takes_nothing_of_an_answer_loses_its_connection() -> None:
    requests: list[web.Request] = []

    async def large(request: web.Request) -> web.Response:
        requests.append(request)
        return web.Response(body=bytes(20_000_000))  # more than all buffers on the way have room for

    app = web.Application()
    app.router.add_get("/", large)
    async with run_server(app, taken_within_s=1) as address:
        with socket.create_connection(address) as client:
            client.sendall(get("/", "localhost"))
            await eventually(lambda: requests and requests[0].transport is None, what="the connection is closed")


# --- Hosts -----------------------------------------------------------------------------------------------------------


def get(target: str = "/", *hosts: str, version: str = "1.1") -> bytes:
    lines = [f"GET {target} HTTP/{version}", *(f"Host: {host}" for host in hosts), "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")


Serving = Callable[..., AbstractAsyncContextManager[ServerAddress]]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "localhost.",
        "localhost.:80",
        "127.0.0.1",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]",
        " localhost ",
    ],
)
async def test_a_loopback_name_is_answered_by_default(host: str) -> None:
    async with serving(allowed_hosts("127.0.0.1", None)) as address:
        assert parsed(await send(address, get("/", host))).status == HTTPStatus.OK


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "evil.example@localhost",
        "localhost@evil.example",
        "localhost:80@evil.example",
        "localhost:80:80",
        "localhost/",
        "localhost, evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "[::2]",
        "::1",
        "0.0.0.0",
        "",
        "[::1",
        "localhost..",
        "\xff",
    ],
)
async def test_another_host_is_refused_and_the_setting_is_named(host: str) -> None:
    async with serving(allowed_hosts("127.0.0.1", None)) as address:
        responses = [parsed(await send(address, get(path, host))) for path in ("/", "/api/v1/status", "/nowhere")]
        probes = [parsed(await send(address, get(path, host))) for path in ("/livez", "/readyz", "/metrics")]

    for response in responses:
        assert response.status in {HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.BAD_REQUEST}
        assert is_like_all_others(response)
        if response.status == HTTPStatus.MISDIRECTED_REQUEST:
            assert "http.allowed_hosts" in response.error
    assert [probe.status for probe in probes] == [HTTPStatus.OK] * 3


async def test_a_well_formed_other_host_is_misdirected() -> None:
    async with serving(allowed_hosts("127.0.0.1", None)) as address:
        response = parsed(await send(address, get("/", "evil.example:8080")))

    assert response.status == HTTPStatus.MISDIRECTED_REQUEST
    assert response.error == "evil.example is not answered here: http.allowed_hosts lists what is"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/"), HTTPStatus.BAD_REQUEST),
        (get("/", "localhost", "localhost"), HTTPStatus.BAD_REQUEST),
        (get("/", "localhost", "evil.example"), HTTPStatus.BAD_REQUEST),
        (get("/", version="1.0"), HTTPStatus.MISDIRECTED_REQUEST),
        (get("/", "localhost", version="1.0"), HTTPStatus.OK),
        (get("http://evil.example/", "localhost"), HTTPStatus.MISDIRECTED_REQUEST),
        (get("http://localhost/", "evil.example"), HTTPStatus.MISDIRECTED_REQUEST),
        (get("http://localhost:80/", "localhost"), HTTPStatus.OK),
        (get("/livez", version="1.0"), HTTPStatus.OK),
        (get("/livez"), HTTPStatus.BAD_REQUEST),
    ],
)
async def test_every_host_that_a_request_names_has_to_be_allowed(request_: bytes, status: HTTPStatus) -> None:
    async with serving(allowed_hosts("127.0.0.1", None)) as address:
        assert parsed(await send(address, request_)).status == status


async def test_listed_names_replace_the_default() -> None:
    async with serving(allowed_hosts("127.0.0.1", ["Latigo.Example.com.", "[::1]"])) as address:
        answered = [
            parsed(await send(address, get("/", host))).status
            for host in ("latigo.example.com:443", "LATIGO.example.com", "[::1]:80", "localhost")
        ]

    assert answered == [HTTPStatus.OK, HTTPStatus.OK, HTTPStatus.OK, HTTPStatus.MISDIRECTED_REQUEST]


@pytest.mark.parametrize(
    ("bound_to", "names", "hosts"),
    [
        ("127.0.0.1", None, {"localhost", "127.0.0.1", "::1"}),
        ("127.0.0.5", None, {"localhost", "127.0.0.1", "::1", "127.0.0.5"}),
        ("localhost", None, {"localhost", "127.0.0.1", "::1"}),
        ("::1", None, {"localhost", "127.0.0.1", "::1"}),
        ("0.0.0.0", None, None),
        ("::", None, None),
        ("plant-server", None, None),
        ("0.0.0.0", ["a", "B."], {"a", "b"}),
        ("127.0.0.1", ["*"], None),
    ],
)
def test_the_default_follows_from_the_address(bound_to: str, names: list[str] | None, hosts: set[str] | None) -> None:
    assert allowed_hosts(bound_to, names) == hosts


def test_a_header_that_is_not_a_host_is_none() -> None:
    assert [host_of(header) for header in ("a b", "a/b", "user@a", "[x]", ":80", "a:b")] == [""] * 6
