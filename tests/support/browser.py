"""The system's browser, driven by playwright: pages that fail a test by any message or violation of the policy."""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.support.lacking import lacking

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
)
#: A limit for what hangs; a busy machine may take long.
WITHIN_MS = 60_000
WIDE, NARROW = 1400, 400
#: Noted by every page, since a refused script or style only shows there.
_NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""
_HERE = Path(__file__).parent
#: Functions of a page that list what it breaks: for every user, and for the eye.
_RULES = [(_HERE / name).read_text(encoding="utf-8") for name in ("rules.js", "legible.js")]
#: What the browser itself logs where a request fails, as it does in a test of an outage.
_FAILED_REQUEST = "Failed to load resource"

expect.set_options(timeout=WITHIN_MS)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """The system's Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        lacking("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Someone with a browser, who notes what goes wrong in it.

    Args:
        browser: that pages are opened in.
        url: of the server, without a slash at the end.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self.url = url
        self.messages: list[str] = []
        self.offline = False  #: requests may fail
        self._contexts: list[BrowserContext] = []

    def page(self, path: str = "/", *, width: int = WIDE, scheme: Any = "light", **options: Any) -> Page:
        """Open a page in a context of its own, and wait until it shows what it has asked for."""
        page = self.blank(width=width, scheme=scheme, **options)
        self.go(page, path)
        return page

    def blank(self, *, width: int = WIDE, scheme: Any = "light", **options: Any) -> Page:
        """Open an empty page in a context of its own."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 900 if width > NARROW else 800}, color_scheme=scheme, **options
        )
        self._contexts.append(context)
        context.set_default_timeout(WITHIN_MS)
        context.add_init_script(_NOTE_VIOLATIONS)
        page = context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.messages.append(f"{page.url}: {error}"))
        return page

    def go(self, page: Page, path: str) -> None:
        """Open another page as one does who types its address."""
        page.goto(self.url + path)
        settled(page)

    def _said(self, message: ConsoleMessage) -> None:
        late = message.text.startswith(_FAILED_REQUEST) and "503" in message.text  # the machine is busy; it asks again
        if not late and not (self.offline and message.text.startswith((_FAILED_REQUEST, "Access to"))):
            self.messages.append(f"{message.location}: {message.text}")

    def leave(self) -> None:
        """Close everything; nothing may have gone wrong."""
        for context in self._contexts:
            for page in context.pages:
                if page.url.startswith("http"):
                    self.messages += page.evaluate("window.violations || []")
            context.close()
        assert not self.messages, self.messages


def settled(page: Page) -> None:
    """Wait until every panel has an answer."""
    expect(page.locator("main > *").first).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def breaches(page: Page, *, after: str = "") -> list[str]:
    """What a page breaks of the rules of rules.js and legible.js, right after a statement: nothing is drawn between."""
    rules = [f"...({file[file.index('() =>', file.index(chr(10))) :]})()" for file in _RULES]
    found: list[str] = page.evaluate(f"() => {{ {after}; return [{', '.join(rules)}]; }}")
    return found


def text_of(place: Page | Locator) -> str:
    """What can be read, without the ages, which change by themselves."""
    text = place.locator("main").inner_text() if isinstance(place, Page) else place.inner_text()
    return re.sub(r"\b\d[\d.]* (ms|s|min|h( \d+)?|d)\b", "AGE", text)


def eventually_true(page: Page, function: str, *arguments: Any, within_ms: int = WITHIN_MS) -> None:
    """Wait until a function of the page returns something true; the policy forbids playwright's own way."""
    page.evaluate(
        """async ([source, given, within]) => {
            const end = performance.now() + within;
            for (;;) {
                if (source(...given)) return;
                if (performance.now() > end) throw new Error("not in time");
                await new Promise((done) => setTimeout(done, 20));
            }
        }""".replace("source(...given)", f"({function})(...given)").replace(
            "[source, given, within]", "[given, within]"
        ),
        [list(arguments), within_ms],
    )


def answers(url: str) -> Callable[[], bool]:
    """Return a function that says whether a server answers."""

    def does() -> bool:
        with suppress(OSError), urlopen(f"{url}/livez", timeout=2) as response:
            return bool(response.status == 200)
        return False

    return does


def names(rows: Sequence[str]) -> list[str]:
    """The names of models in rows of a table."""
    return [row.split()[0] for row in rows]
