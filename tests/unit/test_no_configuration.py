"""What is a configuration, and what is none."""

from pathlib import Path

import pytest

from latigo.domain.errors import ConfigurationError, NoConfiguration
from latigo.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "variables",
    [
        {"LATIGO_EXECUTOR__CONCURRENCY": "4"},
        {"latigo_models__url": "http://gordo:5555"},
        {"LATIGO_SCHEDULE": '{"interval": "1h"}'},
        {"LATIGO_PREDICTIONS": ' [{"kind": "postgres"}]'},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_a_variable_of_a_section_is_one(variables: dict[str, str]) -> None:
    assert isinstance(load_settings(None, variables, required=True), Settings)


def test_a_file_is_one_even_if_it_is_empty(folder: Path) -> None:
    (folder / "latigo.toml").touch()
    (folder / "other.toml").touch()

    assert load_settings(None, {}, required=True) == load_settings(None, {"LATIGO_CONFIG": "other.toml"}, required=True)
    (folder / "latigo.toml").unlink()
    assert isinstance(load_settings(Path("other.toml"), {}, required=True), Settings)


@pytest.mark.parametrize("variables", [{}, {"LATIGO_CONFIG": ""}, {"LATIGO": "1"}, {"XDG_DATA_HOME": "/data"}])
def test_anything_else_is_none(variables: dict[str, str]) -> None:
    with pytest.raises(NoConfiguration, match=r"latigo config > latigo\.toml"):
        load_settings(None, variables, required=True)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("LATIGO_EXECUTR__CONCURRENCY", "executr: unknown key; the nearest known one is executor"),
        ("LATIGO_HTTP_PORT", "unknown key; the nearest known one is http.port, in the environment LATIGO_HTTP__PORT"),
        ("LATIGO_INTERNAL_EVENT_HUB", "unknown key, of equinor/latigo; here it is task_queue.connection_string"),
        ("LATIGO_SCHEDULER_SERVICE_HOST", "a link to a Service of Kubernetes; enableServiceLinks: false"),
        ("LATIGO_SCHEDULER_SERVICE_PORT_HTTP", "a link to a Service of Kubernetes"),
        ("LATIGO_SCHEDULER_PORT_8080_TCP_ADDR", "a link to a Service of Kubernetes"),
        ("LATIGO_LOG", "log: should be a table"),
    ],
)
def test_a_variable_that_is_none_is_named(name: str, problem: str) -> None:
    with pytest.raises(NoConfiguration) as refused:
        load_settings(None, {name: "4"}, required=True)

    assert problem in str(refused.value)
    assert f"(from {name})" in str(refused.value)


def test_where_none_is_required_defaults_are_enough_but_not_for_an_unknown_variable() -> None:
    assert isinstance(load_settings(None, {}), Settings)
    with pytest.raises(ConfigurationError, match="x: unknown key") as refused:
        load_settings(None, {"LATIGO_X": "1"})
    assert not isinstance(refused.value, NoConfiguration)
