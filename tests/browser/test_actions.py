"""What people do on the pages: a dialog previews it, confirms it against the preview, and says what was done."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import NARROW, Visitor
from tests.support.populated import HOSTILE, TOKEN, Populated, populated_plant

Visit = Callable[[str], Visitor]
MODELS = 120  # of which unit-0007 and unit-0107 of plant-7 are parked
_PARK = """
INSERT INTO parked (model_id, revision, reason, detail, windows, since, version)
SELECT id, revision, '{}', 'a test', tstzmultirange(tstzrange(due - slot, due)), now(), 'test'
FROM (SELECT *, date_bin(slot, now() - delay, 'epoch') AS due FROM model WHERE name LIKE 'unit-{}-%') m
"""


@pytest.fixture(scope="module")
def plant(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    """A plant that tests change."""
    with populated_plant(postgres_server, ledger_template, tmp_path_factory.mktemp("small"), MODELS) as populated:
        for unit in ("0004", "0014"):
            populated.run(_PARK.format("write_refused", unit))
        yield populated


def sign_in(page: Page, token: str = TOKEN) -> None:
    dialog = page.get_by_role("dialog", name="Token needed")
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Go on").click()


def opened(page: Page, name: str | re.Pattern[str]) -> Locator:
    dialog = page.get_by_role("dialog", name=name)
    expect(dialog).to_be_visible()
    return dialog


def test_a_group_is_released_against_its_preview_after_a_wrong_token(visit: Visit, plant: Populated) -> None:
    visitor = visit(plant.url)
    visitor.offline = True  # requests are refused
    page = visitor.page("/failures")
    group = page.locator(".group", has_text="Every attempt has failed")
    expect(group).to_contain_text("2 models")
    group.get_by_role("button", name="Release").click()
    sign_in(page, "wrong")
    expect(opened(page, "Token needed")).to_contain_text("the token is not one of http.tokens")
    sign_in(page)
    dialog = opened(page, "Release: Every attempt has failed?")
    expect(dialog).to_contain_text("2 models. Tried again: 2 parked windows")
    expect(dialog.locator("code")).to_have_text("latigo retry --reason attempts")

    plant.run(_PARK.format("attempts", "0003"))
    dialog.get_by_label("Why").fill("the network is back")
    dialog.get_by_role("button", name="Release").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Nothing was done: the selection has changed")
    expect(dialog.get_by_role("alert")).to_contain_text("models 2, now 3")
    expect(dialog).to_contain_text("3 models. Tried again: 3 parked windows")

    dialog.get_by_role("button", name="Release").click()
    expect(dialog).to_contain_text("3 windows released.")
    dialog.get_by_role("button", name="Close").last.click()
    expect(group).to_have_count(0)
    visitor.go(page, "/settings?tab=actions")
    expect(page.locator("main")).to_contain_text("the network is back")


def test_a_backfill_is_started_paused_and_cancelled_by_keyboard(visit: Visit, plant: Populated) -> None:
    visitor = visit(plant.url)
    visitor.offline = True
    page = visitor.page("/models/plant-1/unit-0011-compressor?range=7d")
    button = page.get_by_role("button", name="Predict again")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Token needed").get_by_label("Token")).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    dialog = opened(page, "Predict again?")
    expect(dialog).to_contain_text(re.compile(r"1 model, \d+ slots in .* calls?"))
    expect(dialog).to_contain_text("Predictions that are there are overwritten.")
    expect(dialog.get_by_label("Why")).to_be_focused()
    page.keyboard.type("new gauge")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("status")).to_contain_text(re.compile(r"Request \d+: \d+ slots of 1 model"))
    expect(dialog.get_by_role("button", name="Close").last).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(r"/backfills/\d+"))
    expect(page.locator(".request")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    for verb, confirm, state in (("Pause", "Pause", "paused"), ("Cancel", "Cancel the backfill", "cancelled")):
        page.get_by_role("button", name=f"{verb}\N{HORIZONTAL ELLIPSIS}").press("Enter")
        dialog = opened(page, re.compile(f"^{verb} backfill"))
        expect(dialog).to_contain_text("1 model and")
        dialog.get_by_role("button", name=confirm, exact=True).press("Enter")
        expect(dialog.get_by_role("status")).to_contain_text(state)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.locator(".request")).to_contain_text(f"\N{MIDDLE DOT} {state}")


def test_a_model_is_paused_and_resumed_and_escape_leaves_it_as_it_is(visit: Visit, plant: Populated) -> None:
    visitor = visit(plant.url)
    visitor.offline = True
    page = visitor.page("/models/plant-2/unit-0012-pump", width=NARROW)
    pause = page.get_by_role("button", name="Pause\N{HORIZONTAL ELLIPSIS}")
    pause.click()
    dialog = opened(page, "Pause unit-0012-pump?")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(pause).to_be_focused()

    pause.click()
    box = dialog.bounding_box()
    assert box is not None
    assert (box["x"], box["y"], box["width"]) == (0, 0, NARROW)
    dialog.get_by_role("button", name="Pause").click()
    assert dialog.get_by_label("Why").evaluate("(field) => field.matches(':invalid')")
    dialog.get_by_label("Why").fill("sensor is replaced")
    expect(dialog.locator("code")).to_have_text("latigo pause plant-2/unit-0012-pump --reason 'sensor is replaced'")
    dialog.get_by_role("button", name="Pause").click()
    sign_in(page)
    expect(dialog).to_contain_text("1 model paused.")
    dialog.get_by_role("button", name="Close").last.click()
    page.get_by_role("button", name="Resume\N{HORIZONTAL ELLIPSIS}").click()
    dialog = opened(page, "Resume unit-0012-pump?")
    dialog.get_by_role("button", name="Resume").click()
    expect(dialog).to_contain_text("1 model resumed.")


def test_a_refusal_is_a_message_in_the_dialog(visit: Visit, plant: Populated) -> None:
    visitor = visit(plant.url)
    visitor.offline = True
    page = visitor.page("/models/plant-2/unit-0022-turbine")
    page.get_by_role("button", name="Pause\N{HORIZONTAL ELLIPSIS}").click()
    dialog = opened(page, re.compile("Pause"))
    dialog.get_by_label("Why").fill("a test")
    dialog.get_by_role("button", name="Pause").click()
    sign_in(page, f"{TOKEN}-reads")
    expect(dialog.get_by_role("alert")).to_contain_text("may read only")
    expect(dialog.get_by_role("button", name="Pause")).to_be_enabled()
    dialog.get_by_role("button", name="Use another token").click()
    sign_in(page)
    expect(dialog.get_by_role("status")).to_contain_text("1 model paused.")

    page.keyboard.press("Escape")
    page.get_by_role("button", name="Predict now").click()
    dialog = opened(page, re.compile("Predict"))
    dialog.get_by_label("Why").fill("a test")
    dialog.get_by_role("button", name="Predict now").click()
    expect(dialog.get_by_role("alert")).to_contain_text("paused")
    visitor.go(page, "/models/plant-2/unit-0032-compressor")
    page.get_by_role("button", name="Predict now").click()
    dialog.get_by_label("Why").fill("a test")
    dialog.get_by_role("button", name="Predict now").click()
    expect(dialog.get_by_role("status")).to_contain_text(re.compile(r"Task \d+ for .*\d\d:\d\d"))


def test_a_block_of_the_heat_map_is_chosen_by_keys_and_a_large_one_has_its_number_typed(
    visit: Visit, plant: Populated
) -> None:
    visitor = visit(plant.url)
    visitor.offline = True
    page = visitor.page("/models?order=name&range=24h")
    page.locator(".grid").focus()
    page.keyboard.press("ArrowDown")
    page.evaluate(f"window.latigoGrid.step({MODELS + 10}, -20, true)")
    page.keyboard.press("Shift+ArrowLeft")
    block = page.locator(".block")
    expect(block).to_contain_text("models \N{MULTIPLICATION SIGN} 11 h")
    block.get_by_role("button", name="Predict again").click()
    sign_in(page)
    dialog = opened(page, "Predict again?")
    typed = dialog.get_by_label("To confirm, type the number of models")
    expect(typed).to_be_visible()
    typed.fill("1")
    dialog.get_by_role("button", name="Start").click()
    assert typed.evaluate("(field) => field.matches(':invalid')")
    number = re.search(r"(\d+) models, ", dialog.inner_text())
    assert number is not None
    assert 100 < int(number[1]) <= MODELS + len(HOSTILE)
    typed.fill(number[1])
    dialog.get_by_role("button", name="Start").click()
    expect(dialog.get_by_role("status")).to_contain_text(f"of {number[1]} models")


def test_several_models_are_released_together_or_not_at_all(visit: Visit, plant: Populated) -> None:
    visitor = visit(plant.url)
    visitor.offline = True
    page = visitor.page("/models?project=plant-4&order=name&range=24h")
    page.locator(".grid").focus()
    page.keyboard.press("ArrowDown")
    page.evaluate(f"window.latigoGrid.step({-MODELS}, 0)")
    page.evaluate(f"window.latigoGrid.step({MODELS}, -20, true)")
    page.locator(".block").get_by_role("button", name="Release").click()
    sign_in(page)
    dialog = opened(page, "Release: 2 models?")
    expect(dialog).to_contain_text("2 models. Tried again: 2 parked windows")
    expect(dialog).to_contain_text("Only slots from")
    expect(dialog.locator("code")).to_contain_text(
        re.compile(r"^latigo retry plant-4/\S+ plant-4/\S+ --from \S+ --to \S+$")
    )

    plant.run(
        "UPDATE parked SET reason = 'too_large' WHERE model_id = (SELECT id FROM model WHERE name LIKE 'unit-0014%')"
    )
    dialog.get_by_role("button", name="Release").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Nothing was done: the selection has changed")
    expect(dialog).to_contain_text("2 models. Tried again: 2 parked windows")
    dialog.get_by_role("button", name="Release").click()
    expect(dialog.get_by_role("status")).to_contain_text("2 windows released.")


def test_rows_of_the_table_are_selected_by_keys_and_acted_on_as_they_were(visit: Visit, plant: Populated) -> None:
    for unit in ("0005", "0015"):
        plant.run(_PARK.format("write_refused", unit))
    visitor = visit(plant.url)
    visitor.offline = True
    page = visitor.page("/models?view=table&project=plant-5&range=24h")
    rows = page.locator("tbody tr")
    expect(rows.first).to_contain_text("write refused")  # the cause
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("X")
    bar = page.get_by_role("group", name="Selected rows")
    expect(bar).to_contain_text("3 models selected")
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(3)
    page.keyboard.press("x")
    expect(bar).to_contain_text("2 models selected")
    names = bar.locator(".name").evaluate_all("(all) => all.map((one) => one.title)")

    page.get_by_label("Search among the models").fill("unit-0115")
    expect(rows).to_have_count(1)
    expect(bar).to_contain_text("2 not in the list that is shown")
    bar.get_by_role("button", name="Release").click()
    sign_in(page)
    dialog = opened(page, "Release: 2 models?")
    expect(dialog).to_contain_text("2 models. Tried again: 2 parked windows")
    expect(dialog.locator("code")).to_have_text(f"latigo retry {names[0]} {names[1]}")
    plant.run(_PARK.format("crashed", "0005"))
    dialog.get_by_role("button", name="Release").click()
    expect(dialog.get_by_role("alert")).to_contain_text("windows 2, now 3")
    dialog.get_by_label("Why").fill("the disk has room again")
    expect(dialog.locator("code")).to_contain_text("--note 'the disk has room again'")
    dialog.get_by_role("button", name="Release").click()
    expect(dialog.get_by_role("status")).to_contain_text("3 windows released.")
    page.keyboard.press("Escape")
    bar.get_by_role("button", name="Clear").click()
    expect(bar).to_have_count(0)
    visitor.go(page, "/settings?tab=actions")
    expect(page.locator("main")).to_contain_text("the disk has room again")


def test_a_click_with_shift_selects_a_range_and_the_heading_all(visit: Visit, plant: Populated) -> None:
    page = visit(plant.url).page("/models?view=table&project=plant-6", width=NARROW)
    boxes = page.locator("tbody").get_by_role("checkbox")
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])
    bar = page.get_by_role("group", name="Selected rows")
    expect(bar).to_contain_text("4 models selected")
    boxes.nth(2).click()
    expect(bar).to_contain_text("3 models selected")
    expect(boxes.nth(2)).to_have_attribute("aria-checked", "false")
    page.keyboard.press("Escape")
    expect(bar).to_have_count(0)
