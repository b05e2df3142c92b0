"""The heat map of more models than are sent at once: sums at first, and the models that come into sight."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Visitor, eventually_true
from tests.support.populated import HOSTILE, Populated, populated_plant

Visit = Callable[[str], Visitor]
MODELS = 25_000
#: Of a part of the rows that is asked for at once.
PART = 500
_UNKNOWN = "latigoGrid.cells.filter((code) => code === 255).length"
_COLOURS = """() => {
  const { canvas } = latigoGrid, pen = canvas.getContext("2d");
  const { data } = pen.getImageData(300, 40, canvas.width - 320, canvas.height - 60);
  const colours = new Set();
  for (let at = 0; at < data.length; at += 4) colours.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]);
  return colours.size;
}"""


@pytest.fixture(scope="module")
def huge(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    """25 000 models in ten projects."""
    with populated_plant(postgres_server, ledger_template, tmp_path_factory.mktemp("huge"), MODELS) as plant:
        yield plant


def grid_of(visitor: Visitor, path: str) -> tuple[Page, list[str]]:
    """A page whose grid is there, and the requests for cells since then."""
    visitor.offline = True  # a first grid of so many models may take longer than its limit; the page asks again
    page = visitor.page("/settings")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("/api/v1")[2]))
    visitor.go(page, path)
    eventually_true(page, "() => window.latigoGrid && window.latigoGrid.shape")
    return page, asked


def test_at_fit_it_shows_the_share_of_each_project(visit: Visit, huge: Populated) -> None:
    page, asked = grid_of(visit(huge.url), "/models?range=7d&zoom=fit")

    assert page.evaluate("latigoGrid.shape.rows") == MODELS + len(HOSTILE)
    expect(page.locator(".models .quiet", has_text="fit shows the share of each project")).to_be_visible()
    eventually_true(page, f"() => ({_COLOURS})() > 3")
    assert [path for path in asked if path.startswith("/grid/cells")] == []
    # What a busy server has not answered in time is asked for again.
    assert len([path for path in dict.fromkeys(asked) if path.startswith("/grid/summary")]) == 1


def test_a_zoom_loads_the_models_in_sight_and_scrolling_the_next_ones(visit: Visit, huge: Populated) -> None:
    page, asked = grid_of(visit(huge.url), "/models?range=7d&zoom=8")
    columns, rows = page.evaluate("[latigoGrid.shape.columns, latigoGrid.shape.rows]")
    eventually_true(page, "() => latigoGrid.cells[0] !== 255")
    assert page.evaluate(_UNKNOWN) == (rows - PART) * columns

    page.evaluate("latigoGrid.node.scrollTop = 8 * 2000")

    eventually_true(page, "() => latigoGrid.cells[2000 * latigoGrid.shape.columns] !== 255")
    assert page.evaluate("latigoGrid.cells[1000 * latigoGrid.shape.columns]") == 255
    # What a busy server has not answered in time is asked for again.
    parts = [re.search(r"rows=(\d+)-(\d+)", path) for path in dict.fromkeys(asked) if path.startswith("/grid/cells")]
    assert 2 <= len(parts) <= 4
    assert all(part and int(part[2]) - int(part[1]) < 3 * PART for part in parts)


def test_a_cell_says_what_it_is_also_at_fit(visit: Visit, huge: Populated) -> None:
    page, _ = grid_of(visit(huge.url), "/models?range=7d&zoom=fit")
    for key in ("ArrowDown", "ArrowLeft", "ArrowLeft"):  # the newest slot is not due yet
        page.keyboard.press(key)
    expect(page.locator("#detail strong")).to_have_text(re.compile("^(covered|missing|in flight|parked)$"))
    expect(page.locator("#detail")).to_contain_text(re.compile(r"plant-\d/unit-\d+-\w+"))


def test_a_project_has_all_its_models(visit: Visit, huge: Populated) -> None:
    page, asked = grid_of(visit(huge.url), "/models?range=7d&project=plant-3")
    assert page.evaluate("latigoGrid.shape.rows") == MODELS / 10
    assert page.evaluate(_UNKNOWN) == 0
    assert [path for path in asked if path.startswith("/grid/summary")] == []
