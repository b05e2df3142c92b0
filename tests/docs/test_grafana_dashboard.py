"""What Grafana is provisioned with fits together."""

import re
from itertools import combinations

import pytest
import yaml

from tests.support.grafana import DASHBOARDS, GRAFANA, MIXED, Query, dashboard, queries, sources

BOARD = dashboard()
PANELS = BOARD["panels"]
VARIABLES = [each["name"] for each in BOARD["templating"]["list"]]
QUERIES = list(queries(BOARD))


def test_panels_have_numbers_of_their_own() -> None:
    assert sorted(panel["id"] for panel in PANELS) == list(range(1, len(PANELS) + 1))


def test_every_panel_and_query_has_a_data_source_that_is_provisioned() -> None:
    provisioned = {uid: source["type"] for uid, source in sources().items()}

    asked = [target["datasource"] for panel in PANELS for target in panel["targets"]]
    asked += [each["datasource"] for each in BOARD["templating"]["list"]]

    assert {(each["uid"], each["type"]) for each in asked} == set(provisioned.items())
    for panel in PANELS:
        assert panel["datasource"]["uid"] in {*provisioned, MIXED}
        if panel["datasource"]["uid"] != MIXED:
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {panel["datasource"]["uid"]}


def test_panels_are_within_the_grid_and_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in PANELS]

    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


def test_a_panel_that_is_repeated_has_nothing_below_it() -> None:
    (repeated,) = [panel for panel in PANELS if "repeat" in panel]

    assert repeated["repeat"] in VARIABLES
    assert repeated["gridPos"]["y"] > max(panel["gridPos"]["y"] for panel in PANELS if panel is not repeated)


def test_letters_of_queries_are_their_own_within_a_panel() -> None:
    for panel in PANELS:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters))


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.of)
def test_values_of_variables_stand_escaped_between_anchors(query: Query) -> None:
    used = re.findall(r"\$\{?(\w+)", query.text)
    escaped = re.findall(r'"\w+" =~ /\^\$\{(\w+):regex\}\$/', query.text)

    assert [each for each in used if each not in {"timeFilter", "__interval"}] == escaped


def test_a_variable_only_depends_on_those_before_it() -> None:
    for number, each in enumerate(BOARD["templating"]["list"]):
        assert re.findall(r"\$\{(\w+):", each["query"]) == VARIABLES[:number]


def test_nothing_is_fetched_from_elsewhere() -> None:
    for file in DASHBOARDS:
        assert "//" not in file.read_text(encoding="utf-8")


def test_the_provider_reads_dashboards_in_files() -> None:
    text = (GRAFANA / "provisioning" / "dashboards" / "latigo.yaml").read_text(encoding="utf-8")

    (provider,) = yaml.safe_load(text)["providers"]

    assert provider["type"] == "file"
    assert provider["options"] == {"path": "/etc/grafana/dashboards"}  # where compose.yaml puts them
