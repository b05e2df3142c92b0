"""The wire of the InfluxDB adapter against a real HTTP server that answers as proxies and broken servers do."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgpack
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from latigo.domain.errors import ConfigurationError, Rejected, TimedOut, TooLarge, Unavailable
from latigo.providers.influx.batch import Batch
from latigo.providers.influx.client import SWITCHES, InfluxClient, InfluxSwitches, open_client
from latigo.providers.influx.sensors import open_sensors
from latigo.runtime.clock import SystemClock
from latigo.runtime.documents import LARGEST
from latigo.settings import InfluxSensors, InfluxSink, load_settings
from tests.support.waiting import eventually

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LINE = b"a,b=c sensor_value=1.0 1"


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """The URL of a server that answers everything in this way."""
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def opened(url: str, switches: InfluxSwitches | None = None, **options: Any) -> Any:
    return open_client(InfluxSink(url=url, **{"database": "latigo", **options}), switches=switches)


@asynccontextmanager
async def client_of(handler: Handler, **options: Any) -> AsyncIterator[InfluxClient]:
    async with serving(handler) as url, opened(url, **options) as client:
        yield client


class Answering:
    """Gives one answer after the other, the last one for ever, and counts."""

    def __init__(self, *statuses: int, **options: Any) -> None:
        self.statuses = list(statuses)
        self.options = options
        self.calls = 0

    async def answer(self, _: web.Request) -> web.Response:
        status = self.statuses[min(self.calls, len(self.statuses) - 1)]
        self.calls += 1
        return web.Response(status=status, **self.options)


async def test_a_query_of_version_1_is_a_form_with_parameters():
    seen: dict[str, Any] = {}

    async def handler(request: web.Request) -> web.Response:
        seen.update(method=request.method, path=request.path, headers=request.headers, form=dict(await request.post()))
        return web.Response(body=b"\x80", content_type="application/x-msgpack")

    async with client_of(handler, retention_policy="monthly") as client:
        answer = await client.read("SELECT $a; SELECT 'æ +%41&b=c\r\n\0'", params={"a": "b'ø"}, max_bytes=10)

    assert (answer.content_type, answer.body) == ("application/x-msgpack", b"\x80")
    assert (seen["method"], seen["path"]) == ("POST", "/query")
    assert seen["form"] == {
        "q": "SELECT $a; SELECT 'æ +%41&b=c\r\n\0'",
        "db": "latigo",
        "rp": "monthly",
        "epoch": "ns",
        "params": '{"a":"b\'ø"}',
    }
    assert seen["headers"]["Accept"] == "application/x-msgpack"
    assert seen["headers"]["Accept-Encoding"] == "identity"


async def test_a_query_of_version_3_stands_in_the_url():
    seen: dict[str, Any] = {}

    async def handler(request: web.Request) -> web.Response:
        seen.update(method=request.method, query=dict(request.query), accept=request.headers["Accept"])
        return web.json_response({"results": []})

    async with client_of(handler, switches=SWITCHES["3"]) as client:
        await client.read("SELECT 'a+b;c&d=é %41'", epoch="ms", max_bytes=100, database="other")

    assert seen == {
        "method": "GET",
        "query": {"q": "SELECT 'a+b;c&d=é %41'", "db": "other", "epoch": "ms"},
        "accept": "application/json",
    }


@pytest.mark.parametrize("size", [100, 3 << 20])
async def test_lines_are_sent_with_the_unit_of_their_times(size: int):
    seen: dict[str, Any] = {}
    body = LINE + b"\n" * size

    async def handler(request: web.Request) -> web.Response:
        seen.update(path=request.path, query=dict(request.query), body=await request.read())
        return web.Response(status=204)

    async with client_of(handler, retention_policy="monthly") as client:
        assert await client.write_lines(body, precision="s") == 0

    assert seen == {
        "path": "/write",
        "query": {"db": "latigo", "precision": "s", "rp": "monthly"},
        "body": body,
    }


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({}, None),
        ({"token": "t-secret"}, "Token t-secret"),
        ({"username": "ä", "password": "b:ø"}, "Basic " + base64.b64encode("ä:b:ø".encode()).decode()),
    ],
)
async def test_credentials_stand_in_a_header_and_nowhere_else(options: dict[str, str], header: str | None):
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=403, text="no")

    async with client_of(handler, **options) as client:
        with pytest.raises(Unavailable) as refused:
            await client.write_lines(LINE, precision="s")
        shown = f"{client!r} {client._connection!r} {refused.value}"

    assert seen[0].headers.get("Authorization") == header
    assert seen[0].query_string == "db=latigo&precision=s"
    for secret in ("t-secret", "b:ø"):
        assert secret not in shown


@pytest.mark.parametrize("path", ["/influx", "/influx/", "//influx//"])
async def test_a_server_behind_a_path_is_found(path: str):
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=204, headers={"X-Influxdb-Version": "1.6.7"})

    async with serving(handler) as url, opened(url + path) as client:
        assert await client.ping() == "1.6.7"

    assert seen == ["/influx/ping"]


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"url": "influx:8086"}, "sensors.url"),
        ({"url": "ftp://influx"}, "sensors.url"),
        ({"url": "http://"}, "sensors.url"),
        ({"url": "http://influx:99999999"}, "sensors.url"),
        ({"url": "http://[::1"}, "sensors.url"),
        ({"url": "http://chef:hush@influx"}, "sensors.url"),
        ({"url": "http://influx?db=x"}, "sensors.url"),
        ({"url": f"http://{'x' * 64}.plant"}, "sensors.url"),
        ({"url": "http://influx..plant"}, "sensors.url"),
        ({"url": "http://influx/{project}"}, "sensors.url"),
        ({"ca_file": "/etc/plant-ca.pem"}, "sensors.ca_file"),
        ({"username": "chef"}, "sensors: username and password"),
        ({"password": "hush"}, "sensors: username and password"),
        ({"username": "chef", "password": "hush", "token": "hush"}, "sensors: .*token"),
        ({"username": "che:f", "password": "hush"}, "sensors.username"),
        ({"username": "che\tf", "password": "hush"}, "sensors.username"),
        ({"username": "chef", "password": "hush\0"}, "sensors.password"),
        ({"token": "hush\nX-Admin: yes"}, "sensors.token"),
        ({"token": "hush\ud800"}, "sensors.token"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_key_and_shows_no_secret(options: dict[str, str], key: str):
    given = {"kind": "influx", "url": "http://influx", **options}

    with pytest.raises(ConfigurationError, match=key) as refused:
        load_settings(None, {f"LATIGO_SENSORS__{name.upper()}": value for name, value in given.items()})

    assert "hush" not in str(refused.value)


async def test_authorities_that_cannot_be_read_are_named_by_their_key():
    with pytest.raises(ConfigurationError, match=r"predictions\.ca_file: /not/there\.pem cannot be read"):
        async with opened("https://influx", ca_file="/not/there.pem"):
            pytest.fail("it was opened")


async def test_a_short_outage_is_sat_out():
    answering = Answering(502, 503, 204)

    async with client_of(answering.answer) as client:
        assert await client.write_lines(LINE, precision="s") == 0

    assert answering.calls == 3


@pytest.mark.parametrize("write", [True, False])
async def test_a_longer_outage_is_reported_after_a_few_attempts(write: bool):
    answering = Answering(502, text="<h1>Bad gateway</h1>", content_type="text/html")

    async with client_of(answering.answer) as client:
        with pytest.raises(Unavailable, match="Bad gateway") as refused:
            await (client.write_lines(LINE, precision="s") if write else client.read("SELECT 1", max_bytes=10))

    assert answering.calls == 3
    assert (refused.value.downstream, refused.value.alarm) == ("sink/influx", False)


@pytest.mark.parametrize(
    ("status", "options", "kind"),
    [
        (400, {"text": "unable to parse"}, Rejected),
        (401, {"text": "authorization failed"}, Unavailable),
        (307, {"headers": {"Location": "/elsewhere"}}, Unavailable),
        (503, {"headers": {"Retry-After": "60"}}, Unavailable),
        (200, {"text": "<html>"}, Unavailable),
        (413, {}, TooLarge),
    ],
)
async def test_what_does_not_pass_in_a_moment_is_asked_once(
    status: int, options: dict[str, Any], kind: type[Exception]
):
    answering = Answering(status, **options)

    async with client_of(answering.answer) as client:
        with pytest.raises(kind):
            await client.write_lines(LINE, precision="s")

    assert answering.calls == 1


async def test_a_read_of_an_adapter_is_retried_in_one_place_only():
    raised = Answering(502)

    async with serving(raised.answer) as url, open_sensors(InfluxSensors(url=url), SystemClock()) as sensors:
        with pytest.raises(Unavailable):
            await sensors.get_sensor_list()

    assert raised.calls == 3


async def test_a_statement_that_is_refused_for_the_moment_is_retried_by_itself_and_in_one_place_only():
    busy = {"results": [{"statement_id": 0, "error": "max-concurrent-queries limit exceeded(1, 1)"}]}
    answering = Answering(200, text=json.dumps(busy), content_type="application/json")

    async with serving(answering.answer) as url, open_sensors(InfluxSensors(url=url), SystemClock()) as sensors:
        with pytest.raises(Unavailable, match="max-concurrent-queries"):
            await sensors.get_sensor_list()

    assert answering.calls == 1 + 3  # once among others, which has no reason


@pytest.mark.parametrize("reported", [True, False])
async def test_an_answer_beyond_the_limit_is_not_taken(reported: bool):
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Length": str(1 << 30)} if reported else {})
        await response.prepare(request)
        while True:
            sent += 1 << 16
            await response.write(b"x" * (1 << 16))

    async with client_of(handler) as client:
        with pytest.raises(TooLarge, match="1000000"):
            await client.read("SELECT 1", max_bytes=1_000_000)

    assert sent < 50_000_000


@pytest.mark.parametrize(("version", "read"), [("1", True), ("3", False)])
async def test_an_answer_in_json_is_no_larger_than_a_document(version: str, read: bool):
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b" " * (LARGEST + 1), content_type=request.headers["Accept"])

    async with client_of(handler, switches=SWITCHES[version]) as client:
        if read:
            assert len((await client.read("SELECT 1", max_bytes=2 * LARGEST)).body) == LARGEST + 1
        else:
            with pytest.raises(TooLarge, match=str(LARGEST)):
                await client.read("SELECT 1", max_bytes=2 * LARGEST)


@pytest.mark.parametrize("version", ["1", "3"])
async def test_an_answer_of_too_many_values_is_too_large(version: str):
    async def handler(request: web.Request) -> web.Response:
        kind = request.headers["Accept"]
        content = {"results": [{"series": [{"columns": ["a"], "values": [[[]] * 9_999] * 50}]}]}
        body = orjson.dumps(content) if kind.endswith("json") else msgpack.packb(content)
        return web.Response(body=body, content_type=kind)

    async with client_of(handler, switches=SWITCHES[version]) as client:
        with pytest.raises(TooLarge, match="more than"):
            await Batch(client, "").run(lambda _: "SELECT 1", [""], max_bytes=LARGEST)


async def test_no_more_of_a_refusal_is_read_than_explains_it():
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=400)
        await response.prepare(request)
        while True:
            await response.write(b"no! " * 10_000)

    async with client_of(handler) as client:
        with pytest.raises(Rejected, match="no! no!") as refused:
            await client.write_lines(LINE, precision="s")

    assert len(str(refused.value)) < 1000


async def test_an_answer_that_breaks_off_is_no_answer():
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with client_of(handler) as client:
        with pytest.raises(Unavailable):
            await client.read("SELECT 1", max_bytes=1000)


async def test_a_server_that_is_not_there_is_unavailable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        async with opened(f"http://127.0.0.1:{taken.getsockname()[1]}") as client:
            with pytest.raises(Unavailable) as refused:
                await client.ping()

    assert not isinstance(refused.value, TimedOut)


async def test_the_limit_on_time_holds_for_all_attempts_together():
    answering = Answering(502, headers={"Retry-After": "2"})

    async with client_of(answering.answer, write_timeout=timedelta(seconds=1)) as client:
        with pytest.raises(TimedOut):
            await client.write_lines(LINE, precision="s")

    assert answering.calls == 1


async def test_clients_of_one_server_share_eight_requests_in_flight():
    running = most = 0
    go = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1
        return web.Response(status=204)

    async with serving(handler) as url, opened(url) as sink, open_client(InfluxSensors(url=url + "/")) as source:
        work = [asyncio.create_task(each.write_lines(LINE, precision="s")) for each in (sink, source) * 15]
        await eventually(lambda: running == 8)
        go.set()
        await asyncio.gather(*work)

    assert most == 8
