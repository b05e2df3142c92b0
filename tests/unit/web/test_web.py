"""Responses over HTTP to a real client."""

import asyncio
import errno
import re
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, ClientTimeout, web
from prometheus_client import Counter
from pydantic import ConfigDict
from structlog.testing import capture_logs

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.reports.base import Report
from latigo.reports.status import Status
from latigo.runtime.clock import SystemClock
from latigo.runtime.metrics import metrics_of, new_registry
from latigo.web.api.context import Context
from latigo.web.api.endpoint import Endpoint, Question
from latigo.web.api.openapi import document
from latigo.web.api.registry import ENDPOINTS
from latigo.web.app import MOST_BODY, create_app
from latigo.web.pages import SCREENS
from latigo.web.server import run_server
from tests.support.web import context_without_ledger


class Answer(Report):
    """A report of any fields."""

    model_config = ConfigDict(extra="allow")


class Latigo:
    """A double of the rest of Latigo with given answers."""

    def __init__(self) -> None:
        self.sick: Sequence[str] = ()
        self.unready: Sequence[str] = ()
        self.calls: list[str] = []
        self.answer: Mapping[str, Any] | BaseException = {"models": 3}
        self.slow = asyncio.Event()
        self.slow.set()
        self.limit = timedelta(minutes=1)

    def not_live(self) -> Sequence[str]:
        return self.sick

    async def not_ready(self) -> Sequence[str]:
        self.calls.append("ready")
        return self.unready

    async def status(self, _context: Context, _question: Question) -> Answer:
        self.calls.append("status")
        await self.slow.wait()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return Answer(**self.answer)

    def context(self) -> Context:
        return context_without_ledger()

    @property
    def endpoints(self) -> list[Endpoint[Any, Any]]:
        return [
            Endpoint(
                path="/status",
                summary="How it is.",
                question=Question,
                answer=Answer,
                handle=self.status,
                limit=self.limit,
                shared_for=timedelta(0),
            )
        ]


@pytest.fixture
async def latigo() -> Latigo:
    return Latigo()


@pytest.fixture
def app(latigo: Latigo) -> web.Application:
    registry = new_registry()
    Counter("latigo_tasks_total", "Tasks.", registry=registry).inc(4)
    return create_app(latigo, latigo, metrics_of(registry), SystemClock(), endpoints=latigo.endpoints)


@pytest.fixture
async def client(app: web.Application) -> AsyncIterator[ClientSession]:
    async with run_server(app) as server, ClientSession(server.url, timeout=ClientTimeout(60)) as session:
        yield session


async def test_a_live_process_reports_so_without_any_check(latigo: Latigo, client: ClientSession) -> None:
    async with client.get("/livez") as answer:
        assert (answer.status, await answer.json()) == (200, {"live": True})
    assert latigo.calls == []


async def test_a_process_that_should_be_restarted_says_why(latigo: Latigo, client: ClientSession) -> None:
    latigo.sick = ["task beyond its hard limit: 7"]

    async with client.get("/livez") as answer:
        assert answer.status == 503
        assert await answer.json() == {"live": False, "reasons": ["task beyond its hard limit: 7"]}


async def test_readiness_is_reported_with_its_reasons(latigo: Latigo, client: ClientSession) -> None:
    async with client.get("/readyz") as answer:
        assert (answer.status, await answer.json()) == (200, {"ready": True})

    latigo.unready = ["ledger: unavailable", "queue: unavailable"]
    async with client.get("/readyz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"ready": False, "reasons": ["ledger: unavailable", "queue: unavailable"]}


async def test_metrics_are_exposed_as_prometheus_text(client: ClientSession) -> None:
    async with client.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "\nlatigo_tasks_total 4.0\n" in await answer.text()


async def test_the_status_is_passed_on_with_times_in_utc(latigo: Latigo, client: ClientSession) -> None:
    latigo.answer = {
        "at": datetime(2024, 5, 1, tzinfo=UTC),
        "lag": timedelta(seconds=90),
        "share": float("nan"),
        "by_lane": {"live": 1},
    }

    async with client.get("/api/v1/status") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert await answer.json() == {
            "at": "2024-05-01T00:00:00Z",
            "lag": 90.0,
            "share": None,
            "by_lane": {"live": 1},
        }


async def test_a_status_that_does_not_come_in_time_is_a_time_out(latigo: Latigo) -> None:
    latigo.slow.clear()
    latigo.limit = timedelta(milliseconds=20)
    app = create_app(latigo, latigo, metrics_of(new_registry()), SystemClock(), endpoints=latigo.endpoints)

    async with run_server(app) as server, ClientSession(server.url) as client, client.get("/api/v1/status") as answer:
        assert (answer.status, answer.content_type) == (503, "application/problem+json")
        assert (await answer.json())["type"] == "too-slow"
        assert answer.headers["Retry-After"] == "2"


async def test_an_unavailable_status_has_the_reason(latigo: Latigo, client: ClientSession) -> None:
    latigo.answer = Unavailable("the ledger does not answer", downstream="ledger")

    async with client.get("/api/v1/status") as answer:
        problem = await answer.json()
        assert (answer.status, problem["type"], problem["detail"]) == (503, "unavailable", "the ledger does not answer")


@pytest.mark.parametrize("bug", [ZeroDivisionError("inside information"), {"what": object()}])
async def test_a_bug_is_logged_and_not_shown_to_clients(latigo: Latigo, client: ClientSession, bug: Any) -> None:
    latigo.answer = bug

    with capture_logs() as log:
        async with client.get("/api/v1/status") as answer:
            assert (answer.status, (await answer.json())["detail"]) == (
                500,
                "internal error; its traceback is in the log",
            )

    assert [(line["event"], line["path"]) for line in log] == [("request.crashed", "/api/v1/status")]


async def test_every_path_for_programs_is_described_and_no_other(app: web.Application, client: ClientSession) -> None:
    async with client.get("/api/v1/openapi.json") as answer:
        described = await answer.json()

    served = {(route.method.lower(), route.resource.canonical) for route in app.router.routes() if route.resource}
    assert described["openapi"] == "3.1.0"
    assert {(method, path) for path, methods in described["paths"].items() for method in methods} == {
        (method, path)
        for method, path in served
        if method != "head" and path not in SCREENS and not path.startswith("/static/")
    }


def test_the_status_is_described_field_by_field_and_every_reference_leads_somewhere() -> None:
    described = document(ENDPOINTS)

    schemas = described["components"]["schemas"]
    assert list(schemas["Status"]["properties"]) == list(Status.model_fields)
    references = set(re.findall(r"'#/components/(\w+)/(\w+)'", str(described)))
    assert ("schemas", "Status") in references
    assert all(name in described["components"][kind] for kind, name in references)


async def test_what_is_not_there_is_answered_in_json(client: ClientSession) -> None:
    async with client.get("/nothing") as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
        assert (await answer.json())["title"] == "Not Found"


async def test_a_method_that_is_not_for_a_path_is_answered_with_those_that_are(client: ClientSession) -> None:
    async with client.post("/livez") as answer:
        assert (answer.status, (await answer.json())["detail"]) == (405, "not for POST")
        assert answer.headers["Allow"] == "GET, HEAD"


async def test_a_request_that_is_too_large_is_refused_unread(app: web.Application) -> None:
    async with run_server(app) as server, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (MOST_BODY + 1))
        head, _, _ = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        problem = orjson.loads(await reader.readuntil(b"}"))
        writer.close()

    assert head.startswith(b"HTTP/1.1 413 ")  # Python 3.13 calls it otherwise
    assert problem["detail"] == f"a request has at most {MOST_BODY} bytes"


@pytest.mark.parametrize("path", ["/", "/livez", "/metrics", "/api/v1/status", "/nothing"])
async def test_every_answer_has_the_headers_of_a_careful_server(client: ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] in {"no-store", "private, no-cache", "no-cache"}
        assert "Server" not in answer.headers


async def test_a_server_listens_on_loopback_and_reports_its_port(app: web.Application) -> None:
    async with run_server(app) as server, ClientSession() as session:
        assert server.host == "127.0.0.1"
        assert server.port > 0
        async with session.get(f"http://127.0.0.1:{server.port}/livez") as answer:
            assert answer.status == 200


async def test_a_port_that_is_taken_may_be_free_later(app: web.Application, latigo: Latigo) -> None:
    other = create_app(latigo, latigo, metrics_of(new_registry()), SystemClock(), endpoints=latigo.endpoints)

    async with run_server(app) as server:
        with pytest.raises(Unavailable, match=rf"http\.port: cannot listen on 127\.0\.0\.1:{server.port}"):
            async with run_server(other, port=server.port):
                pass


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.EADDRNOTAVAIL, "not up yet"), Unavailable),
        (OSError(errno.EMFILE, "too many open files"), Unavailable),
        (OSError(errno.EACCES, "permission denied"), ConfigurationError),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), Unavailable),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), ConfigurationError),
    ],
    ids=str,
)
async def test_what_may_pass_is_no_matter_of_configuration(
    app: web.Application, monkeypatch: pytest.MonkeyPatch, error: OSError, kind: type[Exception]
) -> None:
    async def create_server(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_server", create_server)

    with pytest.raises(kind, match=r"http\.host, http\.port: cannot listen on plant:80: " + str(error.strerror)):
        async with run_server(app, "plant", 80):
            pass


async def test_the_port_is_closed_once_the_server_is_closed(app: web.Application) -> None:
    async with run_server(app) as server:
        pass

    with pytest.raises(ConnectionError):
        await asyncio.open_connection(server.host, server.port)
