"""``--url``: which commands take it, and what the others say."""

import json

import pytest
from aiohttp import web

from latigo.cli.lazy import PACKAGE
from latigo.web.server import run_server
from tests.service.test_without_configuration import COMMANDS, arguments
from tests.support.commands import command

#: Commands that work on this machine or on the systems themselves.
LOCAL = {
    ("check",),
    ("completion",),
    ("config",),
    ("demo",),
    ("ledger", "restored"),
    ("migrate",),
    ("plugins",),
    ("predict",),
    ("sensors", "exists"),
    ("sensors", "list"),
    ("sensors", "show"),
    ("serve",),
}


def takes_url(path: tuple[str, ...]) -> bool:
    return any("--token-file" in parameter.opts for parameter in COMMANDS[path].params)


def test_every_command_that_only_asks_or_acts_takes_it():
    assert {path for path in COMMANDS if not takes_url(path)} == LOCAL
    assert PACKAGE == "latigo.cli.commands"


@pytest.mark.parametrize("path", sorted(LOCAL), ids=" ".join)
async def test_a_command_that_needs_the_systems_refuses_it_and_says_why(path: tuple[str, ...]):
    given = ["completion", "bash"] if path == ("completion",) else arguments(path)

    code, _, error = await command(*given, "--url", "http://localhost:1")

    assert code == 2
    assert "--url cannot be used here: it " in error


async def test_a_token_without_a_url_is_refused():
    code, _, error = await command("status", "--token-file", "x")

    assert (code, error) == (2, "latigo: --token-file is of --url, which is missing\n")


async def test_the_variable_is_refused_by_what_would_work_on_other_systems(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATIGO_URL", "http://localhost:1")

    code, _, error = await command("migrate")

    assert code == 2
    assert "LATIGO_URL (unset it) cannot be used here" in error


@pytest.mark.parametrize(
    "url", ["ftp://a", "http://", "http://a..b", "http://a b", "http://a:99999", "http://u:p@a", "http://a\t"]
)
async def test_what_is_no_address_is_refused(url: str):
    code, _, error = await command("status", "--url", url)

    assert code == 2
    assert error.startswith("latigo: --url, LATIGO_URL: should be a URL such as")


@pytest.mark.parametrize("token", ["word-1\nX-Other: y", "word-1 word-2", "word-\xe9"])
async def test_a_token_that_no_header_can_have_is_refused_without_quoting_it(
    monkeypatch: pytest.MonkeyPatch, token: str
):
    monkeypatch.setenv("LATIGO_TOKEN", token)

    code, _, error = await command("status", "--url", "http://localhost:1")

    assert (code, error) == (2, "latigo: LATIGO_TOKEN holds no token: one word of plain characters\n")


async def test_what_a_newer_service_adds_to_rows_is_ignored():
    times = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:30:00Z"}
    marks = {"live": True, "held": False, "repair": False, "requested": False}
    window = {"project": "plant-a", "model": "pump", **times, "slots": 1.0, "calls": 1, **marks}

    async def plan(_request: web.Request) -> web.Response:
        answer = {"items": [window | {"added": 1}], "projects": [], "next": None, "at": "2026-01-01T00:00:00Z"}
        return web.json_response(answer | {"total": 1, "backfill_paused": None})

    app = web.Application()
    app.router.add_get("/api/v1/plan", plan)
    async with run_server(app) as server:
        code, output, _ = await command("plan", "--url", server.url, "--json")

    assert (code, json.loads(output)["windows"]) == (0, [window])


async def test_an_answer_of_something_else_is_said_to_be_that():
    async def log_in(_request: web.Request) -> web.Response:
        return web.Response(text="<html>Log in</html>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/api/v1/status", log_in)
    async with run_server(app) as server:
        code, _, error = await command("status", "--url", server.url)

    assert (code, error) == (
        1,
        f"latigo: {server.url.rstrip('/')}: 200 (text/html), which is no answer of Latigo's API\n",
    )
