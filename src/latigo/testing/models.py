"""What every list of the models to predict promises; the docstrings of its protocol, able to run."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import pytest

from latigo.domain.model import DiscoveredProject
from latigo.providers.protocols import ModelDiscovery
from latigo.wiring.plugins import shortcomings

Models = Mapping[str, Sequence[str]]  #: names by project
OpenDiscovery = Callable[[Models], AbstractAsyncContextManager[ModelDiscovery]]

_PLANTS: Models = {"plant-b": ["pump-1"], "plant-a": ["pump-2", "fan-1", "pump-1"]}


@pytest.mark.asyncio
class ModelDiscoveryContract:
    """Every test that a list of models has to pass; subclass it, with a fixture ``open_discovery`` of your own."""

    @pytest.fixture
    def open_discovery(self) -> OpenDiscovery:
        """Return a function that opens the list with these models and no others, as an async context manager."""
        raise NotImplementedError("the subclass has to have a fixture open_discovery")

    async def test_it_has_what_the_protocol_promises(self, open_discovery: OpenDiscovery) -> None:
        async with open_discovery(_PLANTS) as discovery:
            assert shortcomings(discovery, ModelDiscovery) == []

    async def test_a_list_that_can_be_reached_answers_in_a_line(self, open_discovery: OpenDiscovery) -> None:
        async with open_discovery(_PLANTS) as discovery:
            assert len((await discovery.ping()).splitlines()) == 1

    async def test_every_project_is_named_once_with_its_models_or_all_of_them(
        self, open_discovery: OpenDiscovery
    ) -> None:
        async with open_discovery(_PLANTS) as discovery:
            named = await discovery.get_projects()

        assert sorted(project.project for project in named) == sorted(_PLANTS)
        for project in named:
            assert project.models is None or sorted(project.models) == sorted(_PLANTS[project.project])

    async def test_a_list_without_models_is_empty(self, open_discovery: OpenDiscovery) -> None:
        async with open_discovery({}) as discovery:
            assert list(await discovery.get_projects()) == []

    async def test_many_may_read_it_at_once(self, open_discovery: OpenDiscovery) -> None:
        async with open_discovery(_PLANTS) as discovery:
            answers = await asyncio.gather(*(discovery.get_projects() for _ in range(10)))

        assert all(_as_sets(answer) == _as_sets(answers[0]) for answer in answers)


def _as_sets(named: Sequence[DiscoveredProject]) -> dict[str, frozenset[str] | None]:
    return {project: None if models is None else frozenset(models) for project, models in named}
