"""The charts of one model: what was filled, what may change, how odd each sensor was, and a slot predicted again."""

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Demo
from tests.support.browser import NARROW, Visitor, settled

Visit = Callable[[str], Visitor]
MODEL = "/models/demo/pump-001?range=5m"
#: Colours of the pixels of a canvas, as one text each.
_COLOURS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = new Map();
  for (let at = 0; at < data.length; at += 4) {
    const colour = data.slice(at, at + 4).join(",");
    found.set(colour, (found.get(colour) || 0) + 1);
  }
  return Object.fromEntries(found);
}"""


def reddish(colours: dict[str, int]) -> int:
    """How many pixels have the colour of alarms, or much of it."""
    channels = {tuple(map(int, colour.split(","))): count for colour, count in colours.items()}
    return sum(
        count
        for (red, green, blue, alpha), count in channels.items()
        if alpha > 60 and red > 150 and max(green, blue) < 75
    )


def changed(page: Page, path: str, change: Callable[[Any], None]) -> None:
    """Change what the server answers, on its way to the page."""

    def answer(route: Route) -> None:
        response = route.fetch()
        if not response.ok:  # too slow, say: the page asks again
            route.fulfill(response=response)
            return
        body = response.json()
        change(body)
        route.fulfill(response=response, json=body)

    page.route(re.compile(path), answer)


def test_below_each_sensor_a_band_shows_its_anomaly_against_its_threshold(visit: Visit, demo: Demo) -> None:
    page = visit(demo.url).page(MODEL)
    band = page.locator("canvas.anomaly-band").first
    expect(band).to_be_visible(timeout=120_000)
    expect(band).to_have_attribute("aria-label", re.compile(r"at most \S+, threshold \S+, above it in \d+ of \d+ rows"))
    assert reddish(band.evaluate(_COLOURS)) > 50  # the line of the threshold at least
    lines = page.locator(".chart").nth(1).locator(".u-over").bounding_box()
    own = band.bounding_box()
    assert lines is not None
    assert own is not None
    assert abs(lines["x"] - own["x"]) <= 1
    assert abs(lines["width"] - own["width"]) <= 1


def test_filled_and_provisional_rows_are_told_from_others(visit: Visit, demo: Demo) -> None:
    page = visit(demo.url).page("/models?view=table")

    def fill(body: Any) -> None:
        for tag in body["filled"]:
            body["filled"][tag] = [1.0 if at % 9 > 3 else 0.0 for at in range(len(body["time"]))]

    def provisional(body: Any) -> None:
        for each in body["stretches"]:
            each["state"] = "provisional"

    page.goto(f"{demo.url}{MODEL}")
    settled(page)
    expect(page.locator(".chart .uplot").nth(1)).to_be_visible(timeout=120_000)
    plain = page.locator(".chart").nth(1).locator(".uplot canvas").evaluate(_COLOURS)
    expect(page.locator(".series")).not_to_contain_text("Dotted")
    changed(page, "/api/v1/predictions/", fill)
    changed(page, "/coverage", provisional)
    page.goto(f"{demo.url}{MODEL}")
    settled(page)
    expect(page.locator(".series")).to_contain_text("Dotted: most of the rows", timeout=120_000)
    expect(page.locator(".series")).to_contain_text("Hollow: provisional")
    marked = page.locator(".chart").nth(1).locator(".uplot canvas").evaluate(_COLOURS)
    white = "255,255,255,255"  # the inside of the rings
    assert marked.get(white, 0) > plain.get(white, 0) + 100


def test_a_slot_is_predicted_again_and_compared_with_what_is_stored(visit: Visit, demo: Demo) -> None:
    token = re.search(r"token (\S{12,})", demo.said)
    assert token is not None
    visitor = visit(demo.url)
    visitor.offline = True  # the request without a token is refused
    page = visitor.page(MODEL, width=NARROW)
    page.locator("canvas.coverage").first.click(position={"x": 150, "y": 8})
    page.get_by_role("button", name="Predict again and compare").click()
    dialog = page.get_by_role("dialog", name="Token needed")
    dialog.get_by_label("Token").fill(token[1])
    dialog.get_by_role("button", name="Go on").click()

    found = page.locator(".comparison")
    expect(found).to_contain_text("The same as what is stored", timeout=120_000)
    expect(found).to_contain_text("Predicted again in revision")
    expect(found.locator("canvas.pair").first).to_have_attribute("aria-label", re.compile("stored .* predicted now"))
    page.keyboard.press("ArrowRight")
    expect(found).to_have_count(0)


def test_sensors_lead_to_the_other_models_that_read_them(visit: Visit, demo: Demo) -> None:
    page = visit(demo.url).page("/models/demo/pump-001?tab=about")
    first = page.locator("[role=tabpanel] li").first
    expect(first).to_contain_text(re.compile(r"ago|no reading within 24 h"), timeout=120_000)
    first.get_by_role("link", name="other models").click()
    expect(page).to_have_url(re.compile("sensor="))
    expect(page.locator(".models")).to_contain_text("Models that read")
    expect(page.locator("tbody tr", has_text="pump-001")).to_have_count(1)


def test_an_unknown_model_is_said_once_with_the_way_to_others(visit: Visit, demo: Demo) -> None:
    visitor = visit(demo.url)
    visitor.offline = True  # its requests are refused
    page = visitor.page("/models/demo/pump-999")
    said = page.locator(".problem").locator("visible=true")
    expect(said).to_have_count(1)
    expect(said).to_contain_text("pump-999")
    page.get_by_role("link", name="Models with a similar name").click()
    expect(page.locator("tbody tr", has_text="pump-001")).to_have_count(1)
