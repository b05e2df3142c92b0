"""Every screen at both widths, in both schemes, with no, few and many models: can all read and use it?"""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import NARROW, WIDE, Visitor, breaches, settled
from tests.support.populated import Populated

Visit = Callable[[str], Visitor]
MODEL = "/models/plant-1/unit-0001-turbine?range=7d"
SCREENS = (
    "/",
    "/models",
    "/models?view=table",
    MODEL,
    "/anomalies",
    "/failures",
    "/failures?by=sensor",
    "/backfills",
    "/queue",
    "/settings",
)
#: Nodes of a page with 9000 models: what is shown is bounded, whatever the number of models.
MOST_NODES = 2500
#: Octets that are sent for a first paint, without the library of charts; raw and compressed.
MOST_RAW, MOST_SENT = 150_000, 40_000
_FOCUSED = """() => {
  const node = document.activeElement, style = getComputedStyle(node);
  const { top, bottom, left, right } = node.getBoundingClientRect();
  return {
    what: node.outerHTML.slice(0, 100),
    at: [...document.querySelectorAll("*")].indexOf(node),
    body: node === document.body,
    outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: bottom > 0 && right > 0 && top < innerHeight && left < innerWidth,
  };
}"""
_FOCUSABLE = """() => [...document.querySelectorAll(
  "a[href], button, input, select, textarea, summary, [tabindex='0']"
)].filter((node) => node.getClientRects().length && !node.disabled && node.tabIndex >= 0).length"""
_NOTE_TEXTS = """
window.texts = [];
const draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...others) {
  texts.push(text);
  return draw.call(this, text, ...others);
};
"""
_FIRST_PAINT = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .filter(({ name, entryType }) => entryType === "navigation" || (name.includes("/static/") && !name.includes("uPlot")))
  .map(({ decodedBodySize, encodedBodySize }) => [decodedBodySize, encodedBodySize])"""


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("plant", ["empty", "small", "large"])
def test_every_screen_can_be_read_and_used_by_all(
    visit: Visit, request: pytest.FixtureRequest, plant: str, width: int
) -> None:
    populated: Populated = request.getfixturevalue(plant)
    visitor = visit(populated.url)
    page = visitor.page(SCREENS[0], width=width)
    wrong: dict[str, list[str]] = {}
    for path in SCREENS:
        if plant == "empty" and path == MODEL:
            continue
        visitor.go(page, path)
        expect(page.locator(".problem")).to_have_count(0)
        expect(page.locator("header")).to_contain_text("UTC")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            wrong[f"{path} {scheme}"] = breaches(page)
        assert page.locator("*").count() <= MOST_NODES, path
    assert {where: what for where, what in wrong.items() if what} == {}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("document.querySelector('.tools input').removeAttribute('aria-label')", "name: <input"),
        (
            "document.querySelector('main').append(Object.assign(document.createElement('h4'), {textContent: 'x'}))",
            "order",
        ),
        ("document.querySelector('nav.main').setAttribute('role', 'navigatoin')", "no such role"),
        ("document.querySelector('.mark').setAttribute('aria-pressed', 'maybe')", "value: aria-pressed=maybe"),
        ("document.querySelector('.tools input').setAttribute('aria-controls', 'nothing')", "id that is not there"),
        ("document.querySelector('.brand').tabIndex = 3", "tabindex"),
        ("document.querySelector('table caption').remove()", "caption"),
        ("document.querySelector('main').append(document.createElement('canvas'))", "canvas without a role"),
        ("document.querySelector('.tile').append(document.createElement('button'))", "nested interactive"),
        (
            "document.body.append(Object.assign(document.createElement('div'), {textContent: 'x'}))",
            "outside of landmarks",
        ),
        ("document.querySelector('.tile .label').style.color = '#999'", "faint text"),
        ("document.querySelector('.tools input').style.borderColor = '#ddd'", "faint edge"),
        (
            "document.querySelector('.brand').style.cssText = 'width: 10px; overflow: hidden; display: block'",
            "cut without",
        ),
        ("document.querySelector('.tiles').style.width = '3000px'", "wider than the window"),
        ("document.querySelector('.mark').style.cssText = 'min-height: 0; height: 12px'", "small target"),
    ],
)
def test_the_rules_find_what_is_broken(page_of_overview: Page, broken: str, said: str) -> None:
    assert breaches(page_of_overview) == []
    found = breaches(page_of_overview, after=broken)
    assert any(said in each for each in found), found


@pytest.fixture
def page_of_overview(visit: Visit, small: Populated) -> Page:
    page = visit(small.url).page("/")
    page.keyboard.press("p")  # nothing is drawn anew meanwhile
    return page


@pytest.mark.parametrize("path", ["/", "/models?view=table&q=unit", "/failures", "/queue"])
def test_focus_goes_through_all_in_their_order_and_is_seen(visit: Visit, small: Populated, path: str) -> None:
    page = visit(small.url).page(path)
    page.keyboard.press("p")
    places, unseen = [], []
    for _ in range(page.evaluate(_FOCUSABLE)):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        assert not focused["body"], "focus has left the page before its end"
        places.append(focused["at"])
        if not (focused["outline"] and focused["seen"]):
            unseen.append(focused["what"])
    assert places == sorted(set(places))
    assert unseen == []


def test_the_content_is_reached_without_the_navigation(visit: Visit, small: Populated) -> None:
    page = visit(small.url).page("/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("main a").first).to_be_focused()


@pytest.mark.parametrize(
    ("path", "letters"),
    [("/models?zoom=16&range=24h", "cMX"), ("/models/plant-7/unit-0007-turbine?range=6h", "cX")],
)
def test_states_have_letters_where_colours_are_forced(visit: Visit, small: Populated, path: str, letters: str) -> None:
    visitor = visit(small.url)
    page = visitor.page("/", forced_colors="active")
    page.add_init_script(_NOTE_TEXTS)
    visitor.go(page, path)
    assert set(letters) <= set(page.evaluate("texts"))


def test_states_have_no_letters_otherwise(visit: Visit, small: Populated) -> None:
    visitor = visit(small.url)
    page = visitor.page("/")
    page.add_init_script(_NOTE_TEXTS)
    visitor.go(page, "/models?zoom=16&range=24h")
    texts = set(page.evaluate("texts"))
    assert "unit-0001-turbine" in texts
    assert not texts & {"c", "M", "X"}


@pytest.mark.parametrize("path", SCREENS)
def test_what_is_sent_for_a_first_paint_is_small(visit: Visit, small: Populated, path: str) -> None:
    page = visit(small.url).page(path)
    sizes = page.evaluate(_FIRST_PAINT)
    assert len(sizes) > 12
    assert sum(raw for raw, _ in sizes) <= MOST_RAW
    assert sum(sent for _, sent in sizes) <= MOST_SENT


def test_other_screens_come_with_their_first_visit(visit: Visit, small: Populated) -> None:
    page = visit(small.url).page("/")
    assert "queue.js" not in page.evaluate(_LOADED)
    page.keyboard.press("g")
    page.keyboard.press("q")
    expect(page).to_have_url(re.compile("/queue"))
    settled(page)
    assert "queue.js" in page.evaluate(_LOADED)


_LOADED = "performance.getEntriesByType('resource').map(({name}) => name.split('/').pop()).join(' ')"
