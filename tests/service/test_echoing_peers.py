"""Peers and plug-ins that return what they were sent: no secret reaches ledger, API, terminal or log."""

import asyncio
import base64
import html
import json
from collections.abc import Iterator
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from latigo.runtime.redaction import MASK
from tests.support.echoing import echoing_server, received
from tests.support.outside import Outside
from tests.support.process import PROJECT, a_project, latigo, serving
from tests.support.sandbox import Sandbox

TOKEN = 'Tok+en/with="quotes"&%41\\n-0123456789'
HEADER = "hdr-second secret; of several words"
INFLUX_PASSWORD = "pw/of=influx+9"
PLUGIN_PASSWORD = "k7#qz"
URL_PASSWORD = "url-p%40ssword"
OTHER = "plant-b"
CONFIGURATION = 78
PLUGIN = "python:tests.support.echoing"
_TABLES = """
SELECT oid::regclass::text AS name FROM pg_class
WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
"""


def spellings(secret: str) -> Iterator[str]:
    yield from (secret, quote(secret), quote(secret, safe=""), html.escape(secret))
    yield from (json.dumps(secret)[1:-1], json.dumps(json.dumps(secret)[1:-1])[1:-1], repr(secret)[1:-1])
    yield base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]
    if len(secret) > 16:
        yield secret[:8]


FORBIDDEN = {
    spelling
    for secret in (TOKEN, HEADER, INFLUX_PASSWORD, PLUGIN_PASSWORD, URL_PASSWORD, "url-p@ssword")
    for spelling in spellings(secret)
} | {base64.b64encode(f"latigo:{INFLUX_PASSWORD}".encode()).decode()}


def leaks(text: str) -> set[str]:
    return {spelling for spelling in FORBIDDEN if spelling in text}


def gordo(request: web.BaseRequest) -> web.Response | None:
    """Refuse lists of one project and predictions of one model; the reason is all that was received."""
    revision = {"revision": request.query.get("revision", "1")}
    if OTHER in request.path:
        content = {"error": "x" * 480 + request.headers["Authorization"] + received(request)}  # cut within the token
        return web.json_response(content, status=500, headers=revision)
    if "compressor" in request.path and request.method == "POST":
        return web.json_response({"message": received(request)}, status=400, headers=revision)
    return None


def influx(request: web.BaseRequest) -> web.Response | None:
    """Refuse everything, with a header that repeats another one."""
    headers = {"X-Influxdb-Version": request.headers["Authorization"]}
    if request.path.endswith("ping"):
        return web.Response(status=204, headers=headers)
    return web.json_response({"error": received(request)}, status=400, headers=headers)


def timeseries(request: web.BaseRequest) -> web.Response | None:
    """Refuse everything; the reason ends within a secret, wherever the client cuts it."""
    message = ("x" * 288 + request.headers["X-Second"]) * 2 + received(request)
    return web.json_response({"statusCode": 400, "message": message, "traceId": received(request)}, status=400)


async def contents(ledger: Outside) -> str:
    """Return all text of all tables."""
    tables = [row["name"] for row in await ledger.fetch(_TABLES)]
    assert {"parked", "task_history", "project", "circuit", "queue_refused"} <= set(tables)
    rows = [await ledger.fetch(f"SELECT t::text AS row FROM {table} t") for table in tables]
    return "\n".join(row["row"] for table in rows for row in table)


async def test_no_secret_that_a_peer_returns_is_stored_or_shown(sandbox: Sandbox):
    async with echoing_server(gordo, sandbox.gordo.url) as models, echoing_server(influx) as history:
        password = sandbox.folder / "password"
        password.write_text(PLUGIN_PASSWORD, encoding="utf-8")
        config = sandbox.config(
            models={
                "url": models,
                "projects": [PROJECT, OTHER],
                "token": TOKEN,
                "headers": {"X-Second": HEADER},
            },
            sensors={
                "kind": f"{PLUGIN}:open_echoing",
                "options": {"word": a_project(3).models[2].tags[0], "url": f"https://reader:{URL_PASSWORD}@historian/"},
                "secrets": {"password_file": str(password)},
            },
            predictions=[
                {"kind": "postgres"},
                {
                    "kind": "influx",
                    "url": history,
                    "username": "latigo",
                    "password": INFLUX_PASSWORD,
                    "name": "history",
                },
            ],
        )
        async with serving(config) as service:
            parked = "SELECT count(DISTINCT (model, reason)) >= 3 FROM v_parked"
            await service.until(lambda: sandbox.ledger.value(parked), what="each model is parked")
            failed = f"SELECT error <> '' FROM project WHERE name = '{OTHER}'"
            await service.until(lambda: sandbox.ledger.value(failed), what="the other project has failed")
            async with aiohttp.ClientSession(await service.url()) as session:
                pages = [
                    await (await session.get(path)).text()
                    for path in ("/api/v1/status", "/readyz", "/livez", "/metrics")
                ]
            commands = [
                ("status",),
                ("status", "--json"),
                ("failures",),
                ("failures", "--json"),
                ("check",),
                ("models", "show", f"{PROJECT}/compressor-002"),
                ("models", "show", f"{OTHER}/any"),
                ("sensors", "list"),
                ("predict", f"{PROJECT}/compressor-002", "--from", "-2m", "--to", "-1m"),
                ("predict", f"{PROJECT}/separator-003", "--from", "-2m", "--to", "-1m"),
                ("config",),
            ]
            outputs = await asyncio.gather(
                *(latigo(*command, "--config", str(config), folder=sandbox.folder) for command in commands)
            )
            shown = {
                " ".join(command): output + errors
                for command, (_, output, errors) in zip(commands, outputs, strict=True)
            }
            assert await service.stop() == 0
        log = service.log()
    stored = await contents(sandbox.ledger)

    assert {command: leaks(text) for command, text in shown.items() if leaks(text)} == {}
    assert (leaks(stored), leaks(log), leaks("\n".join(pages))) == (set(), set(), set())
    # What was masked did arrive: in each of the places, for each of the peers.
    details = await sandbox.ledger.fetch("SELECT DISTINCT reason, detail FROM v_parked")
    assert {row["reason"] for row in details} >= {"crashed", "columns_refused", "write_refused"}
    assert all(MASK in row["detail"] for row in details)
    assert MASK in await sandbox.ledger.value("SELECT error FROM project WHERE name = $1", OTHER)
    for command in (
        "status",
        "failures",
        "failures --json",
        "check",
        f"predict {PROJECT}/compressor-002 --from -2m --to -1m",
    ):
        assert MASK in shown[command], command
    assert "Traceback" in shown["sensors list"]
    assert MASK in shown["sensors list"]
    assert MASK in pages[0]
    assert MASK in log


@pytest.mark.parametrize("factory", ["raise_arguments", "raise_in_opening"])
async def test_a_factory_that_raises_ends_as_a_configuration_error_without_its_arguments(sandbox: Sandbox, factory):
    plugin = {
        "kind": f"{PLUGIN}:{factory}",
        "options": {"region": "north-sea"},
        "secrets": {"password": PLUGIN_PASSWORD},
    }
    sensors, sink = sandbox.config(sensors=plugin), sandbox.config(predictions=[plugin])

    async def served(config) -> tuple[int, str]:
        async with serving(config) as service:
            return await service.ended(), service.log()

    results = await asyncio.gather(served(sensors), served(sink))
    code, checked, _ = await latigo("check", "--config", str(sensors), folder=sandbox.folder)

    assert [code, *(code for code, _ in results)] == [CONFIGURATION] * 3
    for text in (checked, *(log for _, log in results)):
        assert f":{factory}" in text
        assert "raises " in text
        assert "Traceback" not in text
        assert "north-sea" not in text
        assert PLUGIN_PASSWORD not in text


async def test_no_part_of_a_secret_is_left_of_an_error_of_the_timeseries_api(sandbox: Sandbox):
    async with echoing_server(timeseries) as url:
        api = {"kind": "timeseries_api", "url": url, "token": TOKEN, "headers": {"X-Second": HEADER}}
        config = sandbox.config(sensors=api, predictions=[api])
        code, output, errors = await latigo("check", "--config", str(config), folder=sandbox.folder)

    assert (code, output.count("FAIL")) == (1, 2)
    assert "status 400: xxx" in output
    assert leaks(output + errors) == set()
