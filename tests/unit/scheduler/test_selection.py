"""Which of the listed models are predicted."""

from latigo.domain.errors import Unavailable
from latigo.domain.model import ModelRef
from latigo.providers.protocols import ProjectModels
from latigo.scheduler.selection import SelectedModels, Selection

PROJECT = "plant-a"


def test_patterns_and_roster_decide_which_models_are_predicted() -> None:
    listing = ProjectModels(PROJECT, "17", ("fan-1", "pump-1", "pump-2", "pump-3", "valve-1"))
    roster = {ModelRef(PROJECT, "valve-1"): True, ModelRef(PROJECT, "pump-1"): False, ModelRef(PROJECT, "gone"): True}
    selection = Selection((PROJECT,), (f"{PROJECT}/pump-*", "*/fan-*"), ("*-3",))

    selected = selection.apply(listing, roster)

    assert selected.models == ("fan-1", "pump-2", "valve-1")
    assert selected.left_out == ("pump-1", "pump-3")
    assert (selected.project, selected.revision, selected.count) == (PROJECT, "17", 5)


def test_a_project_that_is_known_by_the_roster_only_gives_those_models_only() -> None:
    roster = {ModelRef("plant-b", "fan-2"): True, ModelRef("plant-c", "fan-3"): False}
    selection = Selection((PROJECT,))
    listings = [ProjectModels(PROJECT, "17", ("pump-1",)), ProjectModels("plant-b", "16", ("fan-1", "fan-2"))]

    assert selection.projects_to_list(roster) == [PROJECT, "plant-b"]
    assert [selection.apply(listing, roster).models for listing in listings] == [("pump-1",), ("fan-2",)]


def test_a_project_that_is_named_twice_is_listed_once_and_in_order() -> None:
    roster = {ModelRef("c", "x"): True, ModelRef("a", "x"): True}

    assert Selection(("b", "a", "b")).projects_to_list(roster) == ["b", "a", "c"]


def test_names_are_matched_as_they_are_written() -> None:
    selection = Selection((PROJECT,), ("*/Pump-*",))

    assert selection.selects(ModelRef(PROJECT, "Pump-1"), {})
    assert not selection.selects(ModelRef(PROJECT, "pump-1"), {})


def test_a_project_that_could_not_be_listed_stays_so() -> None:
    error = Unavailable("503", downstream=f"gordo/{PROJECT}")

    selected = Selection((PROJECT,)).apply(ProjectModels(PROJECT, error=error), {})

    assert selected == SelectedModels(PROJECT, error=error)
