"""Plug-ins: how they are named, and the errors of one that does not fit."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from latigo.domain.errors import ConfigurationError
from latigo.providers.files.sensors import FileSensors
from latigo.providers.influx.predictions import InfluxPredictions
from latigo.providers.influx.sensors import InfluxSensors
from latigo.providers.memory.predictions import MemoryPredictions
from latigo.providers.memory.sensors import MemorySensors
from latigo.providers.postgres import PostgresPredictions
from latigo.providers.protocols import PredictionStorageProvider, SensorSource
from latigo.providers.simulated import PlantSensors
from latigo.settings import Settings, load_settings
from latigo.settings.sections import PluginSensors, PluginSink
from latigo.wiring.plugins import list_plugins, open_plugin, shortcomings
from tests.support.plugins import AnyOptions, BadSensors, GoodSensors, Options, OptionsSensors, offer

MODULE = "python:tests.support.plugins"


async def refusal(
    kind: str, options: Mapping[str, Any] | None = None, secrets: Mapping[str, SecretStr] | None = None
) -> str:
    with pytest.raises(ConfigurationError) as refused:
        async with open_plugin(kind, "sensors.kind", options or {}, secrets or {}, SensorSource):
            pass
    return str(refused.value)


async def test_what_a_factory_opens_is_accepted_if_it_fits_the_protocol() -> None:
    secrets = {"password": SecretStr("a-password")}
    async with open_plugin(f"{MODULE}:open_good", "sensors.kind", {"region": "south"}, secrets, SensorSource) as opened:
        assert isinstance(opened, GoodSensors)


async def test_a_source_is_refused_with_everything_that_is_wrong_with_it() -> None:
    said = await refusal(f"{MODULE}:open_bad")

    assert said.startswith(f'sensors.kind = "{MODULE}:open_bad": BadSensors is no SensorSource: ')
    for problem in (
        "attribute downstream should be str, not int",
        "sensor_exists should be a method, not bool",
        "get_sensor_list should be async",
        "get_native_range_specifier should not be async",
        "get_data_for_range should take (self, tags: collections.abc.Sequence[str], window:",
        "get_last_before should take (self, tags: collections.abc.Sequence[str], time:",
        "missing a required argument: 'zone'",
        "got an unexpected keyword argument 'max_bytes'",
    ):
        assert problem in said


async def test_a_sink_without_a_method_is_refused_with_its_name_and_arguments() -> None:
    with pytest.raises(
        ConfigurationError, match=r"NoSink is no PredictionStorageProvider: .*method get_predictions\(self"
    ):
        async with open_plugin(f"{MODULE}:open_no_sink", "predictions.kind", {}, {}, PredictionStorageProvider):
            pass


async def test_a_sink_that_counts_rows_instead_of_reporting_them_is_refused() -> None:
    problem = r"OldSink is no PredictionStorageProvider: put_predictions should return Written, not int$"

    with pytest.raises(ConfigurationError, match=problem):
        async with open_plugin(f"{MODULE}:open_old_sink", "predictions.kind", {}, {}, PredictionStorageProvider):
            pass


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("python:tests.support.no_such_module:open", {}, "No module named 'tests.support.no_such_module'"),
        (f"{MODULE}:open_nothing", {}, "has no attribute 'open_nothing'"),
        (f"{MODULE}:NO_FACTORY", {}, "str cannot be called"),
        (f"{MODULE}:return_good", {}, "returns GoodSensors, which is no async context manager"),
        (f"{MODULE}:await_good", {}, "returns coroutine, which is no async context manager"),
        (f"{MODULE}:open_good", {"regoin": "north"}, "got an unexpected keyword argument 'regoin'"),
        ("nobody-offers-this", {}, "0 installed packages offer it"),
    ],
)
async def test_a_factory_that_cannot_be_used_is_named_with_the_reason(
    kind: str, options: dict[str, Any], says: str
) -> None:
    said = await refusal(kind, options)

    assert said.startswith(f'sensors.kind = "{kind}": ')
    assert says in said


async def test_no_error_shows_a_secret() -> None:
    secret = {"passwort": SecretStr("hunter2"), "region": SecretStr("hunter2")}

    twice = await refusal(f"{MODULE}:open_good", {"region": "north"}, secret)
    unknown = await refusal(f"{MODULE}:open_good", {}, secret)

    assert twice.endswith("region is in both options and secrets")
    assert "passwort" in unknown
    assert "hunter2" not in twice + unknown


@pytest.mark.parametrize(
    ("adapter", "protocol"),
    [
        (FileSensors, SensorSource),
        (InfluxSensors, SensorSource),
        (MemorySensors, SensorSource),
        (PlantSensors, SensorSource),
        (InfluxPredictions, PredictionStorageProvider),
        (MemoryPredictions, PredictionStorageProvider),
        (PostgresPredictions, PredictionStorageProvider),
    ],
)
def test_our_own_adapters_lack_nothing(adapter: type, protocol: type) -> None:
    opened: object = object.__new__(adapter)
    lacking = [each for each in shortcomings(opened, protocol) if "downstream" not in each]  # set when it is opened

    assert lacking == []


def test_what_cannot_be_inspected_is_accepted() -> None:
    class Opaque(GoodSensors):
        get_sensor_list = max  # type: ignore[assignment]  # written in C, as far as anybody can see

    assert [each for each in shortcomings(Opaque(), SensorSource) if "get_sensor_list" in each] == []
    assert shortcomings(BadSensors(), SensorSource)


# --- options that a plug-in validates ---------------------------------------------------------------------------------

HISTORIAN = f"{MODULE}:open_historian"


async def test_options_and_secrets_arrive_as_the_model_that_the_factory_takes() -> None:
    options = {"region": "north", "addresses": [{"port": "7"}]}
    secrets = {"password": SecretStr("a-password")}

    async with open_plugin(HISTORIAN, "sensors.kind", options, secrets, SensorSource) as opened:
        assert isinstance(opened, OptionsSensors)
        assert isinstance(opened.options, Options)
        assert (opened.options.region, opened.options.addresses[0].port) == ("north", 7)
        assert opened.options.password.get_secret_value() == "a-password"


async def test_a_model_may_be_a_parameter_by_name_and_may_allow_every_key() -> None:
    options = {"region": "north", "another": 1}

    async with open_plugin(f"{MODULE}:open_named", "sensors.kind", options, {}, SensorSource) as opened:
        assert isinstance(opened, OptionsSensors)
        assert opened.options == AnyOptions.model_validate(options)


@pytest.mark.parametrize(
    ("key", "options", "secrets", "problem"),
    [
        ("sensors.kind", {}, {}, "sensors.options.region: is missing"),
        ("models.discover", {}, {}, "models.discover.options.region: is missing"),
        ("sensors[1].kind", {}, {}, "sensors[1].options.region: is missing"),
        (
            "sensors.kind",
            {"region": "north", "addresses": [{"port": 1}, {"port": 0}]},
            {},
            "sensors.options.addresses[1].port: should be greater than or equal to 1",
        ),
        (
            "sensors.kind",
            {"region": "north", "adresses": []},
            {},
            "sensors.options.adresses: unknown key; the nearest known one is sensors.options.addresses",
        ),
        (
            "sensors.kind",
            {"region": "north"},
            {"pasword": "hunter2"},
            "sensors.secrets.pasword: unknown key; the nearest known one is sensors.secrets.password",
        ),
        (
            "sensors.kind",
            {"region": "north", "user": "nobody"},
            {},
            "sensors.options.user: nobody may not read",
        ),
    ],
    ids=["missing", "of another section", "of one of several", "nested", "unknown", "unknown secret", "refused"],
)
async def test_a_wrong_option_is_named_by_its_key(
    key: str, options: dict[str, Any], secrets: dict[str, str], problem: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        async with open_plugin(HISTORIAN, key, options, {k: SecretStr(v) for k, v in secrets.items()}, SensorSource):
            pass

    first, *problems = str(refused.value).splitlines()
    assert first == f'{key.removesuffix(".kind")}.kind = "{HISTORIAN}": the options cannot be used:'
    assert problems == [f"  {problem}"]


@pytest.mark.parametrize(
    ("region", "problem"),
    [
        ("north", "sensors.secrets.password: is refused by the plug-in"),
        ("south", "sensors.options: the south has no password such as ********"),
    ],
)
async def test_the_text_of_a_validator_shows_no_secret(region: str, problem: str) -> None:
    password = "hunter2" if region == "north" else "hunter22"

    said = await refusal(HISTORIAN, {"region": region}, {"password": SecretStr(password)})

    assert said.endswith(problem)
    assert "hunter2" not in said


async def test_a_secret_among_the_options_is_refused_since_they_are_shown() -> None:
    said = await refusal(HISTORIAN, {"region": "north", "password": "hunter2"})

    assert "sensors.options.password is a secret: write it in sensors.secrets" in said
    assert "hunter2" not in said


# --- entry points ----------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that offers a source of readings."""
    offer(tmp_path, "plant-historian", "[latigo.sensors]\nplant-historian = tests.support.plugins:open_good\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)


def load(toml: str) -> Settings:
    Path("latigo.toml").write_text(toml)
    return load_settings(None, {})


@pytest.mark.usefixtures("installed")
async def test_a_package_offers_a_plugin_by_name() -> None:
    sensors = load('[sensors]\nkind = "plant-historian"\noptions = { region = "north" }').sensors

    assert isinstance(sensors, PluginSensors)
    async with open_plugin(sensors.kind, "sensors.kind", sensors.options, {}, SensorSource) as opened:
        assert isinstance(opened, GoodSensors)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("toml", "known"),
    [
        ('[sensors]\nkind = "plant-historain"', 'did you mean "plant-historian"? known: files'),
        (
            '[[predictions]]\nkind = "plant-historian"',
            "unknown kind; known: postgres, influx, timeseries_api, python:package.module:factory",
        ),
    ],
    ids=["of another name", "of another section"],
)
def test_a_name_that_no_package_offers_for_the_section_is_refused(toml: str, known: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(known)):
        load(toml)


def test_a_sink_is_called_by_the_name_of_its_plugin() -> None:
    assert PluginSink(kind="plant-historian").sink_name == "plant-historian"


# --- what is installed ------------------------------------------------------------------------------------------------


def test_plugins_are_listed_by_group_and_name_with_what_they_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, "plant-sink", "[latigo.predictions]\nplant-sink = tests.support.plugins:open_old_sink\n")
    offer(
        tmp_path,
        "plant-historian",
        "[latigo.sensors]\nzeta = tests.support.plugins:open_good\nhistorian = tests.support.plugins:open_historian\n"
        "[latigo.models]\nhistorian = tests.support.plugins:open_named\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    assert [
        (each.group, each.name, each.package, each.version, each.options, each.problem) for each in list_plugins()
    ] == [
        ("latigo.sensors", "historian", "plant-historian", "1.0", ["region", "addresses", "password", "user"], ""),
        ("latigo.sensors", "zeta", "plant-historian", "1.0", ["region", "password"], ""),
        ("latigo.models", "historian", "plant-historian", "1.0", ["region"], ""),
        ("latigo.predictions", "plant-sink", "plant-sink", "1.0", [], ""),
    ]
    assert list_plugins()[0].factory == "tests.support.plugins:open_historian"


def test_a_plugin_that_cannot_be_used_is_listed_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin_that_raises.py").write_text("raise OSError('hunter2')")
    offer(
        tmp_path,
        "plant-historian",
        "[latigo.sensors]\nabsent = tests.support.no_such_module:open\nraising = plugin_that_raises:open\n"
        "files = tests.support.plugins:open_good\ntwice = tests.support.plugins:open_good\n",
    )
    offer(tmp_path, "plant-copy", "[latigo.sensors]\ntwice = tests.support.plugins:open_good\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    problems = {plugin.name: plugin.problem for plugin in list_plugins()}

    assert problems["absent"] == "No module named 'tests.support.no_such_module'"
    assert problems["raising"].startswith("importing it raises OSError (")
    assert problems["files"] == "Latigo has a kind of this name, which is used instead"
    assert problems["twice"] == "2 installed packages offer it"
    assert "hunter2" not in str(problems)


async def test_a_factory_that_ends_the_process_is_a_configuration_error() -> None:
    refused = await refusal(f"{MODULE}:open_leaving", secrets={"password": SecretStr("a-password")})

    assert "SystemExit" in refused
    assert "a-password" not in refused
