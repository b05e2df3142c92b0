"""Projects and models that people name."""

from collections.abc import Sequence

import pytest

from latigo.domain.errors import Unavailable, UnknownName
from latigo.domain.model import ModelRef
from latigo.providers.protocols import ProjectModels
from latigo.reports.names import KnownNames, not_on_server, require_project

PUMP, OTHER = ModelRef("plant-a", "pump-001"), ModelRef("plant-b", "fan-001")
KNOWN = KnownNames(frozenset({"plant-a", "plant-b", "new"}), frozenset({PUMP, OTHER}))


@pytest.mark.parametrize(
    ("project", "model"), [(None, None), ("plant-a", None), ("new", None), (None, "pump-001"), ("plant-a", "pump-001")]
)
def test_what_is_known_passes(project: str | None, model: str | None) -> None:
    KNOWN.require(project, model)

    nothing = KnownNames(frozenset())
    if project or model:
        with pytest.raises(UnknownName):
            nothing.require(project, model)


@pytest.mark.parametrize(
    ("project", "model", "message"),
    [
        ("plnt-a", None, "plnt-a: unknown project; the nearest known one is plant-a"),
        ("plant-a/", None, "plant-a/: unknown project; the nearest known one is plant-a"),
        ("", None, "'': unknown project; the nearest known one is "),
        ("PLANT-B", "fan-001", "PLANT-B: unknown project; the nearest known one is plant-b"),
        ("plant-?", None, "the nearest known one is plant-a; names are exact here, not patterns"),
        (None, "pump-01", "pump-01: unknown model; the nearest known one is pump-001"),
        (None, "", "'': unknown model; the nearest known one is "),
        (None, "plant-a/pump-001/", "plant-a/pump-001/: unknown model; the nearest known one is plant-a/pump-001"),
        ("plant-a", "PUMP-001", "plant-a/PUMP-001: unknown model; the nearest known one is plant-a/pump-001"),
        ("plant-a", "fan-001", "plant-a/fan-001: unknown model; the nearest known one is plant-b/fan-001"),
        ("new", "fan", "new/fan: unknown model; no model is known yet in new: latigo status shows whether"),
    ],
)
def test_what_is_not_known_is_refused_with_the_nearest_name(
    project: str | None, model: str | None, message: str
) -> None:
    with pytest.raises(UnknownName) as refused:
        KNOWN.require(project, model)

    assert message in str(refused.value)


def test_before_anything_is_known_the_refusal_tells_where_to_look() -> None:
    with pytest.raises(
        UnknownName, match="no project is known yet: latigo status shows whether a scheduler is running"
    ):
        KnownNames(frozenset()).require("plant-a", None)


class Server:
    """Lists the models of some projects; where it has only one, under any name of it, as Gordo does."""

    def __init__(self, *projects: str, answers: bool = True, under_any_name: bool = False) -> None:
        self._projects = projects
        self._answers = answers
        self._under_any_name = under_any_name

    async def get_model_list(self, projects: Sequence[str]) -> Sequence[ProjectModels]:
        return [
            ProjectModels(project, "1", ("pump-001", "pump-002"))
            if self._answers and (self._under_any_name or project in self._projects)
            else ProjectModels(project, error=Unavailable("404", downstream=f"gordo/{project}"))
            for project in projects
        ]


async def test_a_project_that_only_the_server_has_is_known() -> None:
    await require_project(Server("plant-c", "plant-a"), "plant-c", KNOWN)

    with pytest.raises(UnknownName, match="plant-d: unknown project; the nearest known one is plant-"):
        await require_project(Server("plant-c", "plant-a"), "plant-d", KNOWN)


async def test_a_server_that_answers_for_every_name_makes_no_project_known() -> None:
    with pytest.raises(UnknownName, match=r"plnt-a: .* is plant-a; the model server answers for every name"):
        await require_project(Server(under_any_name=True), "plnt-a", KNOWN)


async def test_while_the_server_answers_for_no_project_nobody_knows_which_there_are() -> None:
    with pytest.raises(Unavailable):
        await require_project(Server(answers=False), "plant-c", KNOWN)


@pytest.mark.parametrize("known", [KNOWN, KnownNames(frozenset())], ids=["known", "nothing is known"])
async def test_what_settings_or_ledger_know_is_not_asked(known: KnownNames) -> None:
    await require_project(Server(answers=False), "plant-a", known)


async def test_the_nearest_model_is_one_of_the_servers_list() -> None:
    error = await not_on_server(Server("plant-a"), ModelRef("plant-a", "pump-02"), KNOWN)

    assert str(error) == "plant-a/pump-02: unknown model; the nearest known one is plant-a/pump-002"
