"""What names the projects: when its lists are acted on, and what holds meanwhile."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from latigo.domain.errors import Unavailable
from latigo.domain.model import DiscoveredProject, ModelRef
from latigo.ledger.model_protocol import KnownDiscovery
from latigo.scheduler import discovery
from latigo.scheduler.discovery import Discovered, Discovery
from tests.support.build import an_entry
from tests.support.clock import ManualClock
from tests.support.memory_ledgers import MemoryDiscovery, MemoryModels

A, B = DiscoveredProject("a"), DiscoveredProject("b")
HOUR = timedelta(hours=1)


class Named:
    """A `ModelDiscovery` that names what it is given, or fails."""

    def __init__(self, *projects: DiscoveredProject) -> None:
        self.projects: Any = projects
        self.error: Exception | None = None

    async def ping(self) -> str:
        raise NotImplementedError

    async def get_projects(self) -> Sequence[DiscoveredProject]:
        if self.error:
            raise self.error
        return self.projects  # type: ignore[no-any-return]


class Harness:
    """A discovery with ledgers in memory."""

    def __init__(self, *projects: DiscoveredProject) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryDiscovery(self.clock)
        self.models = MemoryModels(self.clock)
        self.named = Named(*projects)
        self.discovery = Discovery(
            source="plugin", provider=self.named, ledger=self.ledger, models=self.models, clock=self.clock
        )
        self.roster: dict[ModelRef, bool] = {}

    async def read(self) -> Discovered | None:
        return await self.discovery.read(self.roster)

    async def predict(self, project: str, *models: str) -> None:
        await self.models.put_models([an_entry(name, project=project) for name in models])
        await self.models.project_listed(project, "1000", models)


def many(count: int) -> tuple[str, ...]:
    return tuple(f"m{number:02}" for number in range(count))


async def test_what_is_named_is_kept_in_an_order_of_its_own() -> None:
    harness = Harness(DiscoveredProject("b", ("pump", "fan", "pump")), A)

    assert await harness.read() == Discovered((A, DiscoveredProject("b", ("fan", "pump"))), current=True)
    assert harness.ledger.known.named == (A, DiscoveredProject("b", ("fan", "pump")))


@pytest.mark.parametrize(
    ("error", "alarm", "text"),
    [
        (Unavailable("503", downstream="it"), False, "503"),
        (Unavailable("403", downstream="it", alarm=True), True, "403"),
        (KeyError("region"), True, "KeyError: 'region'"),
    ],
)
async def test_while_there_is_no_list_the_last_one_holds(error: Exception, alarm: bool, text: str) -> None:
    harness = Harness(A, B)
    harness.named.error = error
    first = await harness.read()
    harness.named.error = None
    await harness.read()
    harness.named.error = error

    assert first == Discovered(None, current=False)
    assert await harness.read() == Discovered((A, B), current=False)
    assert (harness.ledger.error, harness.ledger.alarm) == (text, alarm)


async def test_a_list_that_never_comes_ends_with_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Named):
        async def get_projects(self) -> Sequence[DiscoveredProject]:
            await ManualClock().sleep(HOUR)  # of which no hour passes
            raise AssertionError

    monkeypatch.setattr(discovery, "LIMIT", timedelta(milliseconds=10))
    harness = Harness()
    harness.discovery = Discovery(
        source="plugin", provider=Hanging(), ledger=harness.ledger, models=harness.models, clock=harness.clock
    )

    assert await harness.read() == Discovered(None, current=False)
    assert harness.ledger.error == "no list of projects within 0.01 s"


async def test_an_empty_list_is_quarantined_for_an_hour() -> None:
    harness = Harness(A)
    await harness.read()
    await harness.predict("a", *many(5))
    harness.named.projects = ()
    first = await harness.read()
    harness.clock.jump(HOUR - timedelta(seconds=1))
    second = await harness.read()
    harness.clock.jump(timedelta(seconds=1))

    assert first == second == Discovered((A,), current=False)
    assert await harness.read() == Discovered((), current=True)


@pytest.mark.parametrize(("lost", "accepted"), [(2, True), (3, False)])
async def test_a_list_may_lack_a_fifth_of_the_models(lost: int, accepted: bool) -> None:
    harness = Harness(A, B)
    await harness.read()
    await harness.predict("a", *many(10 - lost))
    await harness.predict("b", *many(lost))
    harness.named.projects = (A,)

    assert await harness.read() == Discovered((A,) if accepted else (A, B), current=accepted)


async def test_models_that_a_list_leaves_out_of_a_project_count_and_those_registered_by_hand_do_not() -> None:
    harness = Harness(A)
    await harness.predict("a", *many(10))
    harness.named.projects = (DiscoveredProject("a", many(7)),)
    quarantined = await harness.read()
    harness.roster = {ModelRef("a", name): True for name in many(10)[7:]}

    assert quarantined == Discovered(None, current=False)
    assert await harness.read() == Discovered((DiscoveredProject("a", many(7)),), current=True)


async def test_another_list_begins_another_quarantine_and_the_old_one_ends_it() -> None:
    harness = Harness(A, B)
    await harness.read()
    for project in "ab":
        await harness.predict(project, *many(5))
    harness.named.projects = (A,)
    await harness.read()
    harness.clock.jump(HOUR)
    harness.named.projects = (B,)
    other = await harness.read()
    harness.named.projects = (A, B)

    assert other == Discovered((A, B), current=False)
    assert await harness.read() == Discovered((A, B), current=True)
    assert harness.ledger.known == KnownDiscovery((A, B))


@pytest.mark.parametrize(
    ("projects", "problem"),
    [
        ((A, A), "the project 'a' is named twice"),
        ((DiscoveredProject("a/b"),), "'a/b' cannot be the name of a project or model"),
        ((DiscoveredProject("a", ("..",)),), "'..' cannot be"),
        ((DiscoveredProject("a", ("x\ny",)),), "cannot be"),
        ((DiscoveredProject("a", ("x" * 256,)),), "cannot be"),
        ((DiscoveredProject(7),), "7 cannot be"),  # type: ignore[arg-type]
        ((DiscoveredProject("a", many(1) * 100_001),), "more than"),
        ((DiscoveredProject("a", "pump"),), "models='pump') is no DiscoveredProject"),  # type: ignore[arg-type]
        (("ab",), "'ab' is no DiscoveredProject"),
        (7, "TypeError"),
    ],
)
async def test_what_cannot_be_used_is_no_list(projects: Any, problem: str) -> None:
    harness = Harness()
    harness.named.projects = projects

    assert await harness.read() == Discovered(None, current=False)
    assert problem in harness.ledger.error
    assert harness.ledger.alarm


async def test_where_the_settings_name_the_projects_nothing_else_is_remembered() -> None:
    harness = Harness(A)
    await harness.read()
    settings = Discovery(
        source="gordo", provider=None, ledger=harness.ledger, models=harness.models, clock=harness.clock
    )

    assert await settings.read({}) is None
    assert harness.ledger.known == KnownDiscovery()
