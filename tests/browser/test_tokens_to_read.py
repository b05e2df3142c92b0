"""A service whose readers need a token: the pages ask for it once, are live with it, and notice when it is changed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Visitor
from tests.support.populated import TOKEN, Populated, populated_plant

Visit = Callable[[str], Visitor]


@pytest.fixture(scope="module")
def guarded(
    postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Populated, Path]]:
    """Such a service, and the file of the token that may read."""
    folder = tmp_path_factory.mktemp("guarded")
    with populated_plant(postgres_server, ledger_template, folder, 20, require_token_to_read=True) as populated:
        yield populated, folder / "of-20" / "reads"


def sign_in(page: Page, token: str) -> None:
    dialog = page.get_by_role("dialog", name="Token needed")
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Go on").click()


def test_the_stream_is_live_with_a_token_and_ends_with_it(visit: Visit, guarded: tuple[Populated, Path]) -> None:
    plant, file = guarded
    visitor = visit(plant.url)
    visitor.offline = True  # requests without a token are refused
    page = visitor.blank()
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if request.url.endswith("/events") else None)
    page.goto(plant.url)
    sign_in(page, f"{TOKEN}-reads")
    mark = page.locator(".mark")
    expect(mark).to_contain_text("live")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert streams
    assert not any("token" in url.lower() for url in streams)

    mark.click()
    expect(mark).to_contain_text("paused")
    mark.click()
    expect(mark).to_contain_text("live")

    file.write_text("another-token-of-the-reader")
    expect(page.get_by_role("dialog", name="Token needed")).to_contain_text("the token is not one of http.tokens")
    sign_in(page, "another-token-of-the-reader")
    expect(mark).to_contain_text("live")
    file.write_text(f"{TOKEN}-reads")


def test_one_who_gives_no_token_is_not_asked_again_and_again_by_the_stream(
    visit: Visit, guarded: tuple[Populated, Path]
) -> None:
    plant, _ = guarded
    visitor = visit(plant.url)
    visitor.offline = True
    page = visitor.blank()
    page.goto(plant.url)
    expect(page.get_by_role("dialog", name="Token needed")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".mark")).to_contain_text("paused")
