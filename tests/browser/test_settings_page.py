"""Settings and health: systems with their circuits, values with their origins, lists, and versions."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.support.browser import NARROW, WIDE, Visitor
from tests.support.populated import TOKEN, Populated, populated_plant

Visit = Callable[[str], Visitor]
_CIRCUIT = """
INSERT INTO circuit (downstream, reason, opened_at, pause, probe_at)
VALUES ('gordo/plant-3', 'no <b>response</b>', now() - interval '5 minutes', '1 minute', now() + interval '1 minute')
"""
_QUARANTINED = "UPDATE project SET doubted_since = now() - interval '1 hour' WHERE name = 'plant-2'"
_LIMIT = """
INSERT INTO runtime_limit (name, value, who, at, reason) VALUES ('concurrency', 7, 'anna', now(), 'the server is slow')
"""


@pytest.fixture(scope="module")
def plant(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    """A plant with an open circuit, a quarantined list and a limit that was set."""
    with populated_plant(postgres_server, ledger_template, tmp_path_factory.mktemp("settings"), 30) as populated:
        for statement in (_CIRCUIT, _QUARANTINED, _LIMIT):
            populated.run(statement)
        yield populated


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "dark"), (NARROW, "light")])
def test_systems_that_are_not_used_come_first_with_their_reason(
    visit: Visit, plant: Populated, width: int, scheme: str
) -> None:
    page = visit(plant.url).page("/settings", width=width, scheme=scheme)

    expect(page.get_by_role("tab", selected=True)).to_have_text("Health")
    first = page.locator(".systems tbody tr").first
    expect(first).to_contain_text("plant-3")
    expect(first).to_contain_text("no <b>response</b>")
    expect(first).to_contain_text("not used for now")
    expect(page.locator("main")).to_contain_text("1 system of")
    page.keyboard.press("j")
    expect(page.locator("tr.selected")).to_have_count(1)


def test_settings_say_where_they_come_from_and_what_holds_instead(visit: Visit, plant: Populated) -> None:
    page = visit(plant.url).page("/settings?tab=settings")
    search = page.get_by_label("Search among the settings")
    search.fill("tokens op1")
    rows = page.locator(".values tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="op1.token")).to_contain_text(re.compile(r"a file that \S+\.toml:\d+ names"))
    expect(page).to_have_url(re.compile("q=tokens"))
    search.fill("concurrency")
    expect(rows.first).to_contain_text("7 now, set by anna")
    expect(rows.first).to_contain_text("the server is slow")
    search.fill("http.port")
    expect(rows.first).to_contain_text("LATIGO_HTTP__PORT")
    search.fill("models.projects")
    expect(rows.first).to_contain_text(re.compile(r"\.toml:\d+"))
    assert TOKEN not in page.content()


def test_a_quarantined_list_is_accepted_with_confirmation(visit: Visit, plant: Populated) -> None:
    visitor = visit(plant.url)
    visitor.offline = True
    page = visitor.page("/settings?tab=lists")
    row = page.locator(".lists tbody tr", has_text="plant-2")
    expect(row).to_contain_text("Quarantined")
    row.get_by_role("button", name="Accept").click()
    dialog = page.get_by_role("dialog", name="Accept the list of plant-2?")
    expect(dialog.locator("code")).to_have_text("latigo models accept-loss plant-2")
    dialog.get_by_role("button", name="Accept", exact=True).click()
    token = page.get_by_role("dialog", name="Token needed")
    token.get_by_label("Token").fill(TOKEN)
    token.get_by_role("button", name="Go on").click()
    expect(dialog.get_by_role("status")).to_contain_text("Accepted")


def test_tabs_are_in_the_address_and_go_back(visit: Visit, plant: Populated) -> None:
    page = visit(plant.url).page("/settings")
    page.get_by_role("tab", name="About").click()
    expect(page.locator(".versions")).to_contain_text("PostgreSQL")
    expect(page.get_by_role("link", name="/api/v1/openapi.json")).to_be_visible()
    expect(page).to_have_url(re.compile("tab=about"))
    page.go_back()
    expect(page.get_by_role("tab", selected=True)).to_have_text("Health")
