"""The pages of a plant of 9000 models, which stands still: what is shown, how soon, and by which keys."""

import re
from collections.abc import Callable
from itertools import pairwise

from playwright.sync_api import Page, expect

from tests.support.browser import Visitor, eventually_true, settled, text_of
from tests.support.populated import HOSTILE, Populated
from tests.support.slots import within_a_slot

Visit = Callable[[str], Visitor]
TILE = 128  #: rows that are painted at once
_WIDER_THAN_THE_WINDOW = "document.documentElement.scrollWidth - window.innerWidth"
_FOLLOW = """(path) => {
  const link = document.createElement("a");
  link.href = path;
  document.body.append(link);
  link.click();
  link.remove();
}"""
_OF_30_SECONDS = """async () => {
  const time = await import(document.documentElement.dataset.static + "time.js");
  time.chooseZone("utc");
  const at = Date.UTC(2024, 10, 1, 22, 8);
  return [time.slot(at, at + 30e3), time.when(at + 30e3, true), time.when(at, true), time.fixed(at, at + 30e3)];
}"""
_DASH = "\N{EN DASH}"


def grid_is_there(page: Page) -> None:
    """Wait for the heat map: a busy machine may need a second request for it."""
    eventually_true(page, "() => window.latigoGrid && window.latigoGrid.shape")


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

    def one_and_other() -> tuple[Page, Page, str, str]:
        one = visitor.page("/models?view=table")
        one.get_by_label("State").select_option("parked")
        one.get_by_label("Search among the models").fill("pump")
        expect(one).to_have_url(re.compile("q=pump"))
        one.get_by_role("button", name="behind").click()
        expect(one).to_have_url(re.compile("order=behind"))
        settled(one)
        expect(one.locator("tbody tr").first).to_contain_text("parked")
        other = visitor.page(one.url.removeprefix(large.url))
        expect(other.locator("tbody tr").first).to_be_visible()
        return one, other, text_of(one), text_of(other)

    one, other, text, same = within_a_slot(one_and_other)

    assert same == text
    assert other.locator("tbody tr").count() == one.locator("tbody tr").count()
    assert other.locator("select").evaluate_all("all => all.map(one => one.value)") == one.locator(
        "select"
    ).evaluate_all("all => all.map(one => one.value)")


def test_back_and_forward_show_the_same_over_ten_steps(visit: Visit, large: Populated) -> None:
    visitor = visit(large.url)

    def shown(page: Page) -> tuple[str, str]:
        settled(page)
        return page.url, text_of(page)

    def there_and_back() -> tuple[list[tuple[str, str]], ...]:
        page = visitor.page("/models?view=table")
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
        back, forward = [], []
        for _ in places[1:]:
            page.go_back()
            back.append(shown(page))
        for _ in places[1:]:
            page.go_forward()
            forward.append(shown(page))
        return places, back, forward

    places, back, forward = within_a_slot(there_and_back)

    assert back == places[-2::-1]
    assert forward == places[1:]


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
    grid_is_there(page)
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
    grid_is_there(page)
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
    grid_is_there(page)
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


# --- The work of a step; benchmarks/pages.py measures what it takes ---------------------------------------------------


def assert_work_of_scrolling_is_bounded(page: Page) -> None:
    """Each cell is made to a pixel once, when its tile comes into sight, and never again while one scrolls."""
    painted = """(steps) => {
        latigoGrid.tiles.clear();
        const before = latigoGrid.painted;
        return Array.from({length: steps}, (_, step) => {
            latigoGrid.node.scrollTop = step * 150;
            latigoGrid.draw();
            return (latigoGrid.painted - before) / latigoGrid.shape.columns;
        });
    }"""
    rows = [0, *page.evaluate(painted, 100)]
    steps = [after - before for before, after in pairwise(rows)]
    assert steps[0] <= 3 * TILE  # what is in sight at first
    assert max(steps[1:]) <= TILE
    assert rows[-1] <= 100 * 150 / 3 + 5 * TILE + 10 * TILE  # what has been passed, and a part of a tile a project


def test_a_step_of_the_grid_of_a_week_is_little_work(large: Populated, visit: Visit) -> None:
    page = visit(large.url).page("/models?range=7d")
    eventually_true(page, "() => window.latigoGrid && window.latigoGrid.shape && window.latigoGrid.shape.rows >= 9000")
    page.get_by_role("button", name="3 px").click()
    eventually_true(page, "() => window.latigoGrid.each === 3")
    assert_work_of_scrolling_is_bounded(page)
    page.get_by_role("button", name="fit").click()
    eventually_true(page, "() => window.latigoGrid.each < 1")
