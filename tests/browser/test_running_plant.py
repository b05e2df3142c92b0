"""The pages of `latigo demo`: a plant that runs, with real predictions, and its changes as they happen."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Demo
from tests.support.browser import NARROW, WIDE, Visitor, eventually_true, settled

Visit = Callable[[str], Visitor]
HOURS = 8
#: The page as it is where the package was built without the library of charts.
_WITHOUT_LIBRARY = ('data-charts="uPlot"', 'data-charts=""')


def test_there_is_something_to_see_soon(visit: Visit, demo: Demo) -> None:
    page = visit(demo.url).page("/")

    expect(page.locator(".projects tbody tr")).to_contain_text("demo")
    expect(page.locator(".tile", has_text="Fresh")).to_contain_text("%")
    expect(page.locator(".sentences li").first).to_contain_text(re.compile("Healthy|late|behind|left", re.IGNORECASE))
    assert re.search(r"token \S{12,}", demo.said)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_model_shows_its_series_and_the_story_of_a_moment(visit: Visit, demo: Demo, width: int) -> None:
    page = visit(demo.url).page("/models/demo/pump-001?range=30m", width=width)

    expect(page.locator(".the-model")).to_contain_text(re.compile("Fresh|Late|Nothing predicted yet"))
    expect(page.locator(".chart .uplot").first).to_be_visible(timeout=120_000)
    assert page.locator(".chart").count() > 3
    page.locator(".u-over").nth(1).click(position={"x": 60, "y": 20})
    expect(page).to_have_url(re.compile("at=20"))
    expect(page.locator(".moment .story")).to_contain_text("demo/pump-001")
    before = page.url
    page.keyboard.press("ArrowRight")
    expect(page).not_to_have_url(before)
    page.get_by_role("tab", name="Receipts").click()
    expect(page.locator(".receipts tbody tr").first).to_contain_text("stored")
    page.get_by_role("tab", name="About").click()
    expect(page.get_by_text("8 sensors")).to_be_visible()


def test_without_the_library_the_page_draws_its_charts_itself(visit: Visit, demo: Demo) -> None:
    visitor = visit(demo.url)
    page = visitor.page("/")

    def older(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace(*_WITHOUT_LIBRARY))

    page.route(re.compile(r":\d+/models/demo/pump-001"), older)
    page.goto(f"{demo.url}/models/demo/pump-001?range=30m")
    settled(page)

    plot = page.locator(".chart .plot canvas").first
    expect(plot).to_be_visible(timeout=120_000)
    assert page.locator(".uplot").count() == 0
    drawn = "(canvas) => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"
    assert plot.evaluate(drawn) > 3
    plot.click(position={"x": 200, "y": 40})
    expect(page).to_have_url(re.compile("at=20"))


def test_new_slots_appear_by_themselves_and_not_while_paused(visit: Visit, demo: Demo) -> None:
    page = visit(demo.url).page("/models?view=table")
    page.get_by_role("button", name="Pause or resume").or_(page.locator(".mark")).first.click()
    expect(page.locator(".mark")).to_contain_text("paused")
    cell = page.locator("tbody tr").first.locator("td[data-title='covered until']")
    shown = cell.inner_text()
    page.locator(".mark").click()
    expect(page.locator(".mark")).to_contain_text("live")
    expect(cell.locator("span")).to_have_attribute("title", re.compile("UTC"))
    eventually_true(
        page,
        "(title) => document.querySelector('tbody tr td[data-title=\\'covered until\\'] span')?.title !== title",
        cell.locator("span").get_attribute("title"),
        within_ms=120_000,
    )
    assert shown


def heap_mb(page: Page) -> float:
    """What the page's JavaScript holds."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return float(used) / 2**20


def test_eight_hours_of_updates_do_not_grow_the_heap(visit: Visit, demo: Demo) -> None:
    visitor = visit(demo.url)
    visitor.offline = True  # the stream is refused, so that the page polls
    page = visitor.page("/")
    page.context.route(re.compile("/api/v1/events"), lambda route: route.abort())
    page.clock.install()
    visitor.go(page, "/")
    expect(page.locator(".projects tbody tr")).to_contain_text("demo", timeout=120_000)

    def hours(count: float) -> None:
        for _ in range(round(count * 60)):
            page.clock.run_for(60_000)

    hours(0.5)
    page.wait_for_load_state("networkidle")
    before = heap_mb(page)
    nodes = page.evaluate("document.querySelectorAll('*').length")
    hours(HOURS)
    page.wait_for_load_state("networkidle")

    assert heap_mb(page) <= before + 2
    assert page.evaluate("document.querySelectorAll('*').length") <= nodes + 200
    expect(page.locator(".mark")).to_contain_text("polling")
