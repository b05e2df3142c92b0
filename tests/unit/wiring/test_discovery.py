"""What names the projects, as the settings choose it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from latigo.domain.errors import ConfigurationError, Unavailable
from latigo.domain.model import DiscoveredProject
from latigo.providers.metadata_api import MetadataApi
from latigo.runtime.clock import SystemClock
from latigo.settings import Settings, load_settings
from latigo.wiring.discovery import open_discovery, source_of

MODULE = "python:tests.unit.wiring.test_discovery"
openings: list[str] = []


class Tilstand:
    """A plug-in."""

    def __init__(self, region: str) -> None:
        self.region = region

    async def ping(self) -> str:
        return f"in the {self.region}"

    async def get_projects(self) -> Sequence[DiscoveredProject]:
        return [DiscoveredProject(self.region, ("pump",))]


@asynccontextmanager
async def open_tilstand(region: str, password: str, *, fail: int = 0) -> AsyncIterator[Tilstand]:
    openings.append(password)
    if len(openings) <= fail:
        raise Unavailable("not yet", downstream="tilstand")
    yield Tilstand(region)


@asynccontextmanager
async def open_nothing() -> AsyncIterator[object]:
    yield object()


def chosen(**discover: Any) -> Settings:
    return Settings.model_validate({"models": {"discover": discover}})


async def test_the_settings_name_the_projects_by_default() -> None:
    settings = Settings()
    async with open_discovery(settings, SystemClock()) as discovery:
        assert discovery is None


async def test_the_metadata_api_may_name_them() -> None:
    settings = Settings.model_validate(
        {"models": {"discover": {"kind": "metadata_api"}}, "metadata_api": {"url": "http://localhost:1/metadata"}}
    )
    async with open_discovery(settings, SystemClock()) as discovery:
        assert isinstance(discovery, MetadataApi)
    assert source_of(settings) == "metadata_api http://localhost:1/metadata"


async def test_a_plug_in_may_name_them_with_its_options_and_secrets() -> None:
    openings.clear()
    options: Mapping[str, Any] = {"options": {"region": "north"}, "secrets": {"password": "a-password"}}
    settings = chosen(kind=f"{MODULE}:open_tilstand", **options)
    async with open_discovery(settings, SystemClock()) as discovery:
        assert discovery is not None
        assert await discovery.ping() == "in the north"
        assert await discovery.get_projects() == [DiscoveredProject("north", ("pump",))]
    assert openings == ["a-password"]
    assert settings.secret_values() == {"a-password"}
    assert "a-password" not in str(settings.masked())


async def test_a_plug_in_that_is_unavailable_does_not_keep_the_scheduler_from_starting() -> None:
    openings.clear()
    options: Mapping[str, Any] = {"options": {"region": "north", "password": "p", "fail": 2}}
    async with open_discovery(chosen(kind=f"{MODULE}:open_tilstand", **options), SystemClock()) as discovery:
        assert discovery is not None
        with pytest.raises(Unavailable, match="not yet"):
            await discovery.get_projects()
        assert await discovery.get_projects() == [DiscoveredProject("north", ("pump",))]
        await discovery.get_projects()
    assert len(openings) == 3


async def test_a_plug_in_that_does_not_fit_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(ConfigurationError, match=r"models\.discover\.kind = .*object is no ModelDiscovery: .*get_proj"):
        async with open_discovery(chosen(kind=f"{MODULE}:open_nothing"), SystemClock()):
            pass


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('discover = { kind = "gordon" }', 'models.discover.kind: unknown kind; did you mean "gordo"?'),
        ('discover = { kind = "metadata_api", url = "x" }', "models.discover.url: unknown key"),
        ('projects = ["a"]\ndiscover = { kind = "metadata_api" }', "leave projects empty"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "latigo.toml"
    path.write_text(f"[models]\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_settings(path, {})

    assert problem in str(refused.value)


def test_the_environment_may_choose_it(tmp_path: Path) -> None:
    path = tmp_path / "latigo.toml"
    path.write_text("", encoding="utf-8")
    settings = load_settings(path, {"LATIGO_MODELS__DISCOVER__KIND": "metadata_api"})

    assert settings.models.discover.kind == "metadata_api"
