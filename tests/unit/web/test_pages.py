"""The shell, the static files and the policy of the web pages."""

import gzip
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, DummyCookieJar

from latigo.runtime.clock import SystemClock
from latigo.runtime.metrics import metrics_of, new_registry
from latigo.web.app import Access, create_app
from latigo.web.pages import (
    SCREENS,
    PageSettings,
    content_policy,
    first_modules,
    shell,
    static_files,
    without_comments,
)
from latigo.web.server import run_server
from tests.unit.web.test_malformed import Nothing

PLAIN = PageSettings()


@asynccontextmanager
async def browsing(pages: PageSettings = PLAIN, *, decompress: bool = True) -> AsyncIterator[ClientSession]:
    app = create_app(
        Nothing(),
        Nothing(),
        metrics_of(new_registry()),
        SystemClock(),
        Access(None, pages.base_path),
        pages=pages,
    )
    async with run_server(app) as address:
        jar = DummyCookieJar()
        async with ClientSession(address.url, cookie_jar=jar, auto_decompress=decompress) as session:
            yield session


@pytest.mark.parametrize("path", [re.sub(r"\{.*?\}", "a%2Fb", screen) for screen in SCREENS])
async def test_every_screen_has_the_same_shell_which_is_asked_for_again(path: str) -> None:
    async with browsing() as browser:
        async with browser.get(path) as first:
            page, tag = await first.text(), first.headers["ETag"]
        async with browser.get(path, headers={"If-None-Match": tag}) as again:
            assert (again.status, await again.read()) == (304, b"")

    assert first.status == 200
    assert first.headers["Cache-Control"] == "no-cache"
    assert '<script type="module" src="/static/' in page
    assert first.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


async def test_the_shell_has_no_script_and_no_style_of_its_own() -> None:
    async with browsing() as browser, browser.get("/") as response:
        page = await response.text()

    assert re.findall(r"<script[^>]*>(.+?)</script>", page, re.DOTALL) == []
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)


async def test_every_file_that_the_shell_names_is_kept_for_good_and_sent_compressed() -> None:
    async with browsing(decompress=False) as browser:
        async with browser.get("/", headers={"Accept-Encoding": "identity"}) as response:
            named = re.findall(r'(?:href|src)="(/static/[^"]+)"', await response.text())
        assert len(named) > 15
        for path in named:
            async with browser.get(path, headers={"Accept-Encoding": "br, gzip"}) as sent:
                compressed = await sent.read()
            assert sent.status == 200
            assert sent.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert (sent.headers["Content-Encoding"], sent.headers["Vary"]) == ("gzip", "Accept-Encoding")
            assert sent.headers["X-Content-Type-Options"] == "nosniff"
            async with browser.get(path, headers={"Accept-Encoding": "identity"}) as plain:
                assert gzip.decompress(compressed) == await plain.read()
                assert "Content-Encoding" not in plain.headers


async def test_a_file_of_another_version_is_not_kept() -> None:
    async with browsing() as browser:
        async with browser.get("/static/0123456789abcdef/app.js") as other:
            assert (other.status, other.headers["Cache-Control"]) == (200, "no-cache")
        for path in ("/static/0/nothing.js", "/static/0/..%2fpages.py", "/static/0/%00", "/static/0"):
            async with browser.get(path) as missing:
                assert missing.status in {400, 404}


async def test_below_a_base_path_every_address_has_it_and_a_proxy_may_take_it_off() -> None:
    async with browsing(PageSettings(base_path="/latigo")) as browser:
        for path in ("/latigo/", "/", "/latigo/models", "/models"):
            async with browser.get(path) as response:
                page = await response.text()
            assert response.status == 200
            links = re.findall(r'(?:href|src)="([^"]+)"', page)
            assert links
            assert [link for link in links if not link.startswith("/latigo/static/")] == []
        for path in (links[0], links[0].removeprefix("/latigo")):
            async with browser.get(path) as response:
                assert response.status == 200


async def test_what_the_settings_say_cannot_break_out_of_the_shell() -> None:
    pages = PageSettings(time_zone="Asia/Kolkata", grafana_url='https://g/"><script>alert(1)</script>?a=1&b={model}')
    async with browsing(pages) as browser, browser.get("/") as response:
        page = await response.text()

    assert 'data-zone="Asia/Kolkata"' in page
    assert "<script>alert" not in page
    assert "&quot;&gt;&lt;script&gt;" in page


def test_frames_are_allowed_for_those_that_are_named_only() -> None:
    assert content_policy(("https://grafana.example.com", "'self'")).endswith(
        "frame-ancestors https://grafana.example.com 'self'"
    )


def test_comments_and_indentation_are_not_sent() -> None:
    source = "/** @type {X} */\nconst a = /** @type {any} */ (b); // stays\n  // goes\n  f(`https://x/**`);\n"

    assert without_comments(source, "text/javascript") == "const a = (b); // stays\nf(`https://x/**`);\n"
    assert without_comments("/* why */\na {\n  color: red;\n}\n", "text/css") == "a{color:red;}"


def test_own_files_are_no_larger_than_the_budget() -> None:
    files = static_files().files
    page = shell(PLAIN, SCREENS["/"]).encode()
    for screen in SCREENS.values():
        first = [files[name] for name in ("latigo.css", *first_modules(screen))]
        assert sum(len(file.body) for file in first) + len(page) <= 150_000, screen
        assert sum(len(file.compressed) for file in first) + len(gzip.compress(page, 9)) <= 40_000, screen
    assert sum(len(file.body) for name, file in files.items() if not name.startswith("uPlot")) <= 210_000


def test_the_first_paint_of_a_screen_has_no_other_screen_and_no_dialog() -> None:
    modules = {screen: set(first_modules(screen)) for screen in SCREENS.values()}

    for screen, first in modules.items():
        assert {"app.js", "dom.js", "panel.js", screen} <= first
        assert not first & (set(modules) - {screen}), screen
        assert not first & {"actions.js", "dialog.js", "plain.js", "uPlot.js"}, screen
        assert first <= static_files().files.keys()


def test_the_frame_finds_the_module_of_every_screen() -> None:
    frame = static_files().files["app.js"].body.decode()
    shown = set(re.findall(r'\["(\w*)", "\w+", "\w"\]', frame))

    assert {name or "overview" for name in shown} | {"model"} == {name.removesuffix(".js") for name in SCREENS.values()}
    for name in SCREENS.values():
        exported = f"export const {name.removesuffix('.js')} = {{"
        assert exported in static_files().files[name].body.decode()
