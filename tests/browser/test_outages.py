"""The pages while something is down: never an old "healthy", and back by themselves. Also those of a new service."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.support.browser import NARROW, WIDE, Visitor, settled
from tests.support.populated import Populated

Visit = Callable[[str], Visitor]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/", "No models yet"),
        ("/models", "No models yet"),
        ("/models?view=table", "No models yet"),
        ("/models?q=nothing&view=table", "No model matches “nothing”"),
        ("/anomalies", "No window of this range has an anomaly"),
        ("/failures", "Nothing has failed"),
        ("/backfills", "No backfill was ever asked for"),
        ("/queue", "No task is out"),
        ("/settings?tab=actions", "No action is recorded yet"),
    ],
)
def test_what_is_empty_says_what_is_next(visit: Visit, empty: Populated, path: str, sentence: str, width: int) -> None:
    page = visit(empty.url).page(path, width=width)

    expect(page.locator(".empty", has_text=sentence).first).to_be_visible()


def test_a_model_that_is_unknown_is_named(visit: Visit, empty: Populated) -> None:
    visitor = visit(empty.url)
    visitor.offline = True
    page = visitor.page("/models/plant-1/nothing")

    expect(page.locator(".problem").first).to_contain_text("plant-1/nothing")


def test_without_the_ledger_there_is_a_banner_and_the_page_comes_back(visit: Visit, empty: Populated) -> None:
    visitor = visit(empty.url)
    page = visitor.page("/backfills")
    new = page.get_by_role("button", name="New backfill")
    expect(page.locator(".verdict")).not_to_contain_text(re.compile("Unknown|Loading"))
    expect(new).to_be_visible()
    visitor.offline = True
    with empty.without_ledger():
        expect(page.get_by_role("alert")).to_contain_text(re.compile("ledger cannot be reached; what you see is from"))
        expect(page.locator(".verdict")).to_contain_text("Unknown")
        expect(page.locator(".verdict")).to_contain_text("Last known at")
        expect(page.locator(".panel.requests.stale")).to_have_count(1)
        expect(new).to_be_hidden()

    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".panel.stale")).to_have_count(0)
    expect(new).to_be_visible()
    expect(page.locator(".verdict")).not_to_contain_text("Unknown")


def test_without_a_scheduler_there_is_a_banner(visit: Visit, empty: Populated) -> None:
    page = visit(empty.url).page("/")
    expect(page.get_by_role("alert")).to_have_count(0)
    empty.run("UPDATE planner SET lease_until = '-infinity'")
    expect(page.get_by_role("alert")).to_contain_text("No scheduler runs")
    empty.run("UPDATE planner SET lease_until = now() + interval '1 hour'")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_without_its_stream_the_page_polls(visit: Visit, empty: Populated) -> None:
    visitor = visit(empty.url)
    visitor.offline = True
    page = visitor.page("/")
    expect(page.locator(".mark")).to_contain_text("live")
    page.context.route(re.compile("/api/v1/events"), lambda route: route.fulfill(status=503, body="{}"))
    page.reload()
    settled(page)
    expect(page.locator(".mark")).to_contain_text("polling")
    empty.run("UPDATE planner SET lease_until = '-infinity'")
    expect(page.get_by_role("alert")).to_contain_text("No scheduler runs")
    empty.run("UPDATE planner SET lease_until = now() + interval '1 hour'")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_server_that_is_frozen_is_not_shown_as_live(visit: Visit, empty: Populated) -> None:
    visitor = visit(empty.url)
    page = visitor.page("/queue")
    visitor.offline = True
    expect(page.locator(".mark")).to_contain_text("live")
    with empty.served.frozen():
        expect(page.get_by_role("alert")).to_contain_text("Latigo cannot be reached")
        expect(page.locator(".mark")).to_contain_text("silent")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".mark")).to_contain_text("live")


def test_a_server_that_is_killed_is_not_shown_as_healthy(visit: Visit, empty: Populated) -> None:
    visitor = visit(empty.url)
    page = visitor.page("/queue")
    visitor.offline = True
    port = empty.url.rpartition(":")[2]
    empty.served.kill()
    expect(page.get_by_role("alert")).to_contain_text("Latigo cannot be reached")
    expect(page.locator(".verdict")).to_contain_text("Unknown")
    expect(page.locator(".panel.stale").first).to_be_visible()
    empty.served.start(port=int(port))
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".panel.stale")).to_have_count(0)
    expect(page.locator(".mark")).to_contain_text("live")
