"""The pages of a plant of 9000 models, which stands still: what is shown, how soon, and by which keys."""

import re
import time
from collections.abc import Callable
from statistics import median

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import NARROW, WIDE, Visitor, eventually_true, settled, text_of
from tests.support.populated import HOSTILE, Populated

Visit = Callable[[str], Visitor]
SCREENS = (
    "/",
    "/models",
    "/models?view=table",
    "/models/plant-1/unit-0001-turbine?range=7d",
    "/anomalies",
    "/failures",
    "/backfills",
    "/queue",
    "/settings",
)
LOOKS = [(width, scheme) for width in (WIDE, NARROW) for scheme in ("light", "dark")]
_WIDER_THAN_THE_WINDOW = "document.documentElement.scrollWidth - window.innerWidth"
_FOLLOW = """(path) => {
  const link = document.createElement("a");
  link.href = path;
  document.body.append(link);
  link.click();
  link.remove();
}"""
_STATUS_MS = """async () => {
  const began = performance.now();
  await (await fetch("api/v1/status")).arrayBuffer();
  return performance.now() - began;
}"""
_OF_30_SECONDS = """async () => {
  const time = await import(document.documentElement.dataset.static + "time.js");
  time.chooseZone("utc");
  const at = Date.UTC(2024, 10, 1, 22, 8);
  return [time.slot(at, at + 30e3), time.when(at + 30e3, true), time.when(at, true), time.fixed(at, at + 30e3)];
}"""
_DASH = "\N{EN DASH}"
_WITHOUT_NAME = """() => [...document.querySelectorAll(
  "a, button, input, select, summary, [tabindex], [role=img]"
)].filter((node) => {
  if (!node.offsetParent && getComputedStyle(node).position !== "fixed") return false;
  if (node.matches("main")) return false;
  const labelled = node.getAttribute("aria-label") || node.title || node.textContent.trim()
    || node.closest("label")?.textContent.trim();
  return !labelled;
}).map((node) => node.outerHTML.slice(0, 120))"""
_FAINT = """() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = (colour) => channels(colour).slice(0, 3).map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (node) => {
    for (let up = node; up; up = up.parentElement) {
      const colour = getComputedStyle(up).backgroundColor;
      if (channels(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.nodeValue.trim());
    if (!own || !node.offsetParent || node.closest(".hidden, .skip, .stale")) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${contrast.toFixed(2)} ${node.outerHTML.slice(0, 120)}`);
  }
  return faint;
}"""


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_screen_fits_its_window_and_can_be_read(visit: Visit, large: Populated, width: int, scheme: str) -> None:
    visitor = visit(large.url)
    page = visitor.page(SCREENS[0], width=width, scheme=scheme)
    wrong = {}
    for path in SCREENS:
        visitor.go(page, path)
        expect(page.locator(".problem")).to_have_count(0)
        found = {
            "wide": page.evaluate(_WIDER_THAN_THE_WINDOW) > 0,
            "nameless": page.evaluate(_WITHOUT_NAME),
            "faint": page.evaluate(_FAINT),
            "tab order": page.locator("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").count(),
            "no zone": "UTC" not in page.locator("header").inner_text(),
        }
        wrong[path] = {name: what for name, what in found.items() if what}
    assert {path: what for path, what in wrong.items() if what} == {}


def test_what_is_wrong_stands_first_with_its_cause_and_a_way_on(visit: Visit, large: Populated) -> None:
    page = visit(large.url).page("/")

    first = page.locator(".sentences li").first
    expect(first).to_contain_text(
        re.compile("^.Needs attention: 90 models of plant-7 get no predictions: all attempts have failed")
    )
    expect(first.locator(".sign")).to_have_attribute("title", "Needs attention")
    first.get_by_role("link").click()
    expect(page).to_have_url(re.compile("/failures"))
    settled(page)
    expect(page.locator(".group").first).to_contain_text("You:")


def test_a_model_is_found_by_three_letters(visit: Visit, large: Populated) -> None:
    page = visit(large.url).page("/")

    page.keyboard.press("/")
    page.keyboard.type("pum")
    expect(page.locator(".search li").first).to_contain_text("pump")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.locator(".search input").fill("unit-0077-compressor")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/models/plant-7/unit-0077-compressor"))


def test_the_same_address_shows_the_same_in_another_browser(visit: Visit, large: Populated) -> None:
    visitor = visit(large.url)
    one = visitor.page("/models?view=table")
    one.get_by_label("State").select_option("parked")
    one.get_by_label("Search among the models").fill("pump")
    expect(one).to_have_url(re.compile("q=pump"))
    one.get_by_role("button", name="behind").click()
    expect(one).to_have_url(re.compile("order=behind"))
    settled(one)
    expect(one.locator("tbody tr").first).to_contain_text("parked")
    rows = one.locator("tbody tr").count()

    other = visitor.page(one.url.removeprefix(large.url))

    expect(other.locator("tbody tr")).to_have_count(rows)
    assert text_of(other) == text_of(one)
    assert other.locator("select").evaluate_all("all => all.map(one => one.value)") == one.locator(
        "select"
    ).evaluate_all("all => all.map(one => one.value)")


def test_back_and_forward_show_the_same_over_ten_steps(visit: Visit, large: Populated) -> None:
    page = visit(large.url).page("/models?view=table")
    places = []
    for path in [
        "q=0001",
        "q=0002",
        "q=0003",
        "q=0004",
        "q=0005",
        "state=parked",
        "state=silent",
        "order=behind",
        "q=pump&order=state",
        "project=plant-3",
    ]:
        page.evaluate(_FOLLOW, f"?view=table&{path}")
        settled(page)
        expect(page.locator("tbody tr").first).to_be_visible()
        places.append((page.url, text_of(page)))

    for url, text in reversed(places[:-1]):
        page.go_back()
        settled(page)
        assert (page.url, text_of(page)) == (url, text)
    for url, text in places[1:]:
        page.go_forward()
        settled(page)
        assert (page.url, text_of(page)) == (url, text)


def test_names_that_mean_harm_are_text(visit: Visit, large: Populated) -> None:
    visitor = visit(large.url)
    page = visitor.page("/models?view=table&project=hostile")
    expect(page.locator("tbody tr")).to_have_count(len(HOSTILE))
    titles = page.locator("tbody th .name").evaluate_all("all => all.map((name) => name.title)")
    texts = page.locator("tbody th .name").evaluate_all("all => all.map((name) => name.textContent)")
    assert titles == texts
    shown = {title.removeprefix("hostile/") for title in titles}
    as_they_are = {name for name in HOSTILE if name.isprintable()}
    assert as_they_are < shown
    assert "two␊lines" in shown
    assert "\u202e" not in "".join(shown)
    for at in range(len(HOSTILE)):
        visitor.go(page, "/models?view=table&project=hostile")
        link = page.locator("tbody th a").nth(at)
        title = link.locator(".name").get_attribute("title") or ""
        link.click()
        expect(page.locator("h1")).to_be_visible()
        settled(page)
        assert page.locator("h1 button .name").get_attribute("title") == title.removeprefix("hostile/")
        assert page.locator("h1 b, h1 script").count() == 0
        assert page.evaluate(_WIDER_THAN_THE_WINDOW) <= 0
    visitor.go(page, "/models?project=hostile&zoom=16")
    page.locator(".grid").focus()
    for _ in HOSTILE:
        page.keyboard.press("ArrowDown")
        expect(page.locator("#detail")).to_contain_text("hostile/")
    visitor.offline = True  # there is no such project
    visitor.go(
        page, "/models?q=%3Cscript%3Ewindow.hostile%3D1%3C%2Fscript%3E&project=%3Cb%3E&range=%22%3E&at=%22%3E&order=%3C"
    )
    assert page.evaluate("window.hostile") is None


def test_the_grid_is_walked_by_keys_and_opens_the_model_at_that_moment(visit: Visit, large: Populated) -> None:
    page = visit(large.url).page("/models?range=24h")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#detail")).to_contain_text(re.compile(r"plant-\d/unit-\d+.* UTC · "))
    detail = page.locator("#detail .name").get_attribute("title") or ""
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"at=20\d\d-"))
    expect(page.locator("h1")).to_contain_text(detail.rpartition("/")[2][:8])
    expect(page.locator(".moment")).to_contain_text("UTC")
    page.go_back()
    settled(page)
    expect(page.locator("#detail .name")).to_have_attribute("title", detail)


def test_everything_is_reached_by_keys(visit: Visit, large: Populated) -> None:
    page = visit(large.url).page("/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("pause or resume")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    for key, path in (("m", "/models"), ("f", "/failures"), ("b", "/backfills"), ("q", "/queue"), ("s", "/settings")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page).to_have_url(re.compile(path))
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.keyboard.press("p")
    expect(page.locator(".mark")).to_contain_text("paused")
    page.keyboard.press("p")
    expect(page.locator(".mark")).to_contain_text("live")
    page.keyboard.press("[")
    expect(page).to_have_url(re.compile(r"range=20\d\d-.*Z%2F20"))
    page.keyboard.press(".")
    expect(page).to_have_url(re.compile("range=1440m"))
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("range=720m"))
    page.goto(f"{large.url}/models?view=table")
    settled(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    name = page.locator("tr.selected .name").first.get_attribute("title") or ""
    page.keyboard.press("Enter")
    expect(page.locator("h1 button .name")).to_have_attribute("title", name.partition("/")[2])


def test_times_name_their_zone_and_slots_have_both_ends(visit: Visit, large: Populated) -> None:
    page = visit(large.url).page("/models?range=24h&zone=plant", timezone_id="America/New_York")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#detail")).to_contain_text(re.compile(rf"\d\d:\d\d{_DASH}\d\d:\d\d GMT\+5:30"))
    page.get_by_label("Time zone").select_option("local")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#detail")).to_contain_text(re.compile(rf"\d\d:\d\d{_DASH}\d\d:\d\d (GMT-[45]|E[SD]T)"))
    assert "zone" not in page.url  # it is this browser's default from now on
    assert page.evaluate(_OF_30_SECONDS) == [
        f"1 Nov 2024 22:08:00{_DASH}22:08:30",
        "1 Nov 2024 22:08:30",
        "1 Nov 2024 22:08",
        "2024-11-01T22:08Z/2024-11-01T22:08:30Z",
    ]


# --- Budgets ---------------------------------------------------------------------------------------------------------


def best_of(times: int, measured: Callable[[], float]) -> float:
    """The least of several measurements: a busy machine only adds to them."""
    return min(measured() for _ in range(times))


def test_the_overview_answers_in_time(large: Populated, visit: Visit) -> None:
    page = visit(large.url).page("/")
    page.keyboard.press("p")

    def milliseconds() -> float:
        page.evaluate("new Promise((done) => setTimeout(done, 5100))")  # answers are shared for five seconds
        return float(page.evaluate(_STATUS_MS))

    assert best_of(3, milliseconds) <= 300


def test_the_grid_of_a_week_is_ready_and_scrolls_in_time(large: Populated, visit: Visit) -> None:
    visitor = visit(large.url)
    page = visitor.page("/models?range=7d")

    def ready() -> float:
        began = time.perf_counter()
        page.goto(f"{large.url}/models?range=7d")
        eventually_true(
            page, "() => window.latigoGrid && window.latigoGrid.shape && window.latigoGrid.shape.rows >= 9000"
        )
        return time.perf_counter() - began

    assert best_of(3, ready) <= 1.5
    page.get_by_role("button", name="3 px").click()
    eventually_true(page, "() => window.latigoGrid.each === 3")
    steps = page.evaluate(
        """() => Array.from({length: 100}, (_, step) => {
            latigoGrid.node.scrollTop = step * 150;
            return latigoGrid.draw();
        })"""
    )
    assert median(steps) <= 16
    page.get_by_role("button", name="fit").click()
    eventually_true(page, "() => window.latigoGrid.each < 1")
    assert page.evaluate("() => { latigoGrid.images.clear(); return latigoGrid.draw(); }") <= 400
    assert median(page.evaluate("() => Array.from({length: 20}, () => latigoGrid.draw())")) <= 100


def test_own_files_are_small(large: Populated, visit: Visit) -> None:
    page: Page = visit(large.url).page("/")
    sizes = page.evaluate(
        """() => performance.getEntriesByType("resource")
        .filter(({name}) => name.includes("/static/") && !name.includes("uPlot"))
        .map(({decodedBodySize}) => decodedBodySize)"""
    )
    assert len(sizes) > 20
    assert sum(sizes) <= 150_000
