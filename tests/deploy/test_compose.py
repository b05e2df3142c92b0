"""``deploy/compose.yaml`` fits the image, the settings, and what else is in its folder; no container is started."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.main import get_command

from latigo.cli.main import cli
from latigo.runtime.units import parse_duration
from latigo.sandbox.eventhub.__main__ import _arguments as emulator_arguments
from latigo.sandbox.eventhub.server import DEVELOPMENT_KEY, KEY_NAME
from latigo.service import CLOSING
from latigo.settings import (
    EventHubQueue,
    InfluxSensors,
    InfluxSink,
    PostgresLedger,
    PostgresSink,
    Settings,
    load_settings,
)
from latigo.settings.sections.event_hubs import parse_connection_string
from tests.support.deployment_tools import tool
from tests.support.grafana import sources
from tests.support.process import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
FILLED_IN = {"GORDO_IMAGE": "gordo:6", "GORDO_PROJECT": "plant-a", "GORDO_MODELS": "/models", "GORDO_REVISION": "1"}
ROLES = ("scheduler", "executor")
#: Ports that images listen on, other than ours.
LISTENS = {"postgres": 5432, "influxdb": 8086, "gordo": 5555, "grafana": 3000, "prometheus": 9090}
EMULATORS = {"emulator": "event-hub", "microsoft-emulator": "event-hub-of-microsoft"}
_VARIABLE = re.compile(r"\$\{(\w+)(:[-?])?([^}]*)\}")


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Variables replaced as Compose does it; those that are required and missing raise their message."""

    def value(found: re.Match[str]) -> str:
        name, operator, more = found.groups()
        if given := variables.get(name):
            return given
        if operator != ":-":
            raise LookupError(f"{name}: {more}")
        return more

    return _VARIABLE.sub(value, text)


PROJECT: dict[str, Any] = yaml.safe_load(interpolated(COMPOSE, FILLED_IN))
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]


def image_variables() -> dict[str, str]:
    """What the image of Latigo sets."""
    return dict(re.findall(r"^(?:ENV| {3}) (\w+)=(\S+)", DOCKERFILE, re.MULTILINE))


def secrets(folder: Path) -> Path:
    """The folder with all secrets, as `make-secrets.sh` makes it."""
    script = folder / "make-secrets.sh"
    script.write_bytes((DEPLOY / script.name).read_bytes())
    subprocess.run(["sh", script], check=True)
    return folder / "secrets"


def settings_of(service: str, folder: Path) -> Settings:
    """The settings that a service of Latigo gets, its secrets read from where they are on the host."""
    made = secrets(folder)
    text = (DEPLOY / "latigo.toml").read_text(encoding="utf-8")
    for name in SERVICES[service]["secrets"]:
        file = PROJECT["secrets"][name]["file"]
        here = made / Path(file).name if file.startswith("./secrets/") else DEPLOY / file
        text = text.replace(f'"/run/secrets/{name}"', f'"{here}"')
    assert "/run/secrets/" not in text, "a secret that the service does not get"
    environ = image_variables() | SERVICES[service]["environment"]
    config = folder / "latigo.toml"
    config.write_text(text, encoding="utf-8")
    assert environ["LATIGO_CONFIG"] in {each.split(":")[1] for each in SERVICES[service]["volumes"]}
    return load_settings(None, environ | {"LATIGO_CONFIG": str(config)})


def mounts() -> Iterator[tuple[str, str]]:
    """Every service, and what it mounts."""
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            yield name, mount.split(":")[0]


@pytest.mark.parametrize("service", ROLES)
def test_settings_load_and_name_services_that_are_there(service: str, tmp_path: Path) -> None:
    settings = settings_of(service, tmp_path)

    assert isinstance(settings.ledger, PostgresLedger)
    assert isinstance(settings.task_queue, EventHubQueue)
    assert isinstance(settings.sensors, InfluxSensors)
    of_ours, influx = settings.predictions
    assert isinstance(of_ours, PostgresSink)
    assert isinstance(influx, InfluxSink)
    assert settings.models.projects == ("plant-a",)
    urls = (settings.ledger.url.get_secret_value(), settings.models.urls[0], settings.sensors.url, influx.url)
    for url in map(urlsplit, urls):
        assert LISTENS[url.hostname or ""] == url.port
    assert settings.deprecated() == {}


def test_the_ledger_is_the_database_that_is_made(tmp_path: Path) -> None:
    ledger = settings_of("scheduler", tmp_path).ledger
    made = SERVICES["postgres"]["environment"]

    assert isinstance(ledger, PostgresLedger)
    url = urlsplit(ledger.url.get_secret_value())
    password = (tmp_path / "secrets" / "postgres-password").read_text().strip()
    assert (url.username, url.password) == (made["POSTGRES_USER"], password)
    assert url.path == f"/{made['POSTGRES_DB']}"


def test_the_databases_of_influxdb_are_made_and_grafana_looks_at_them(tmp_path: Path) -> None:
    settings = settings_of("executor", tmp_path)
    made = re.findall(r'CREATE DATABASE "(\w+)"', (DEPLOY / "influxdb" / "databases.iql").read_text())

    assert isinstance(settings.sensors, InfluxSensors)
    _, sink = settings.predictions
    assert isinstance(sink, InfluxSink)
    assert made == [settings.sensors.database, sink.database]
    looked_at = {uid: (each["url"], each["jsonData"]["dbName"]) for uid, each in sources().items()}
    assert looked_at == {
        "latigo-sensors": (settings.sensors.url, settings.sensors.database),
        "latigo-predictions": (sink.url, sink.database),
    }


def test_the_connection_string_is_that_of_the_emulator(tmp_path: Path) -> None:
    queue = settings_of("executor", tmp_path).task_queue
    asked = emulator_arguments(SERVICES["event-hub"]["command"])

    assert isinstance(queue, EventHubQueue)
    assert queue.address.channel == f"eventhub/event-hub:{asked.port}/{asked.hub[0]}"
    assert queue.connection_string is not None
    given = queue.connection_string.get_secret_value()
    assert f"SharedAccessKeyName={KEY_NAME};SharedAccessKey={DEVELOPMENT_KEY};UseDevelopmentEmulator=true" in given
    assert asked.host == "0.0.0.0"
    assert SERVICES["executor"]["deploy"]["replicas"] <= asked.partitions


def test_one_of_the_emulators_is_chosen_or_none() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    example = (DEPLOY / "env.example").read_text(encoding="utf-8")
    official = SERVICES["event-hub-of-microsoft"]

    assert profiles == {
        "event-hub": ["emulator"],
        "event-hub-of-microsoft": ["microsoft-emulator"],
        "azurite": ["microsoft-emulator"],
    }
    assert set(re.findall(r"^# +COMPOSE_PROFILES=([\w-]*)", example, re.MULTILINE)) == {*EMULATORS, ""}
    for file in re.findall(r"EVENT_HUB=(\./eventhub/\S+?),", example):
        address = parse_connection_string((DEPLOY / file).read_text(encoding="utf-8"), "")
        (entity,) = json.loads((DEPLOY / f"{file}.json").read_text())["UserConfig"]["NamespaceConfig"][0]["Entities"]
        assert address.channel == f"eventhub/{official['networks']['default']['aliases'][0]}:5672/{entity['Name']}"
        assert int(entity["PartitionCount"]) >= SERVICES["executor"]["deploy"]["replicas"]
    for role in ROLES:  # or they would not start without it
        for service in EMULATORS.values():
            assert SERVICES[role]["depends_on"][service]["required"] is False


def test_a_real_namespace_is_a_file_with_its_connection_string() -> None:
    chosen = yaml.safe_load(interpolated(COMPOSE, {**FILLED_IN, "EVENT_HUB": "./secrets/event-hub"}))

    assert chosen["secrets"]["event-hub"] == {"file": "./secrets/event-hub"}
    assert PROJECT["secrets"]["event-hub"] == {"file": "./eventhub/emulator"}


def test_it_is_valid_by_the_schema_of_the_compose_specification(tmp_path: Path) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.replace("stop_grace_period: 40s", "stop_grace: 40s"), encoding="utf-8")

    assert schema_errors(DEPLOY / "compose.yaml") == ""
    assert "stop_grace" in schema_errors(wrong)


def schema_errors(file: Path) -> str:
    checked = subprocess.run(
        [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", file],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return "" if checked.returncode == 0 else checked.stdout


def test_prometheus_scrapes_every_container_of_latigo_and_has_the_alert_rules() -> None:
    mounted = dict(each.split(":")[:2] for each in SERVICES["prometheus"]["volumes"])
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
    (job,) = config["scrape_configs"]
    (found,) = job["dns_sd_configs"]

    assert mounted["./prometheus/prometheus.yaml"] == "/etc/prometheus/prometheus.yml"  # where the image looks
    for rules in config["rule_files"]:
        assert mounted[f"./prometheus/{rules}"] == f"/etc/prometheus/{rules}"
    assert (tuple(found["names"]), found["type"], found["port"]) == (ROLES, "A", 8080)


def test_commands_are_commands_of_the_image() -> None:
    assert 'ENTRYPOINT ["latigo"]' in DOCKERFILE
    for role in ROLES:
        assert "entrypoint" not in SERVICES[role]
        command = get_command(cli)
        name, *arguments = SERVICES[role]["command"]
        context = command.make_context("latigo", [name, *arguments], resilient_parsing=True)
        found = command.get_command(context, name)  # type: ignore[attr-defined]  # a group
        assert found.make_context(name, arguments).params["role"].value == role
    assert SERVICES["event-hub"]["entrypoint"] == ["python", "-m", "latigo.sandbox.eventhub"]


def test_what_is_missing_in_env_is_named_with_what_it_is() -> None:
    example = dict(re.findall(r"^(\w+)=(.*)$", (DEPLOY / "env.example").read_text(), re.MULTILINE))

    assert example == dict.fromkeys(FILLED_IN, "") | {"COMPOSE_PROFILES": "emulator"}  # to be filled in, and a choice
    for name in FILLED_IN:
        with pytest.raises(LookupError, match=rf"{name}: \w+ .*, see env.example"):
            interpolated(COMPOSE, {**FILLED_IN, name: ""})


@pytest.mark.parametrize(("service", "source"), list(mounts()))
def test_everything_mounted_is_there(service: str, source: str) -> None:
    if source.startswith("."):
        assert (DEPLOY / source).exists(), service
    else:
        assert source in PROJECT["volumes"] or source == FILLED_IN["GORDO_MODELS"], service


def test_every_secret_is_made_or_is_in_the_folder(tmp_path: Path) -> None:
    made = {f"./secrets/{file.name}" for file in secrets(tmp_path).iterdir()}
    files = {each["file"] for each in PROJECT["secrets"].values()}

    assert files == made | {"./eventhub/emulator"}
    used = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert used == set(PROJECT["secrets"])
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if str(value).startswith("/run/secrets/"):
                assert key.endswith("_FILE")
                assert Path(value).name in service["secrets"]


def test_secrets_stay_as_they_are_when_they_are_made_again_and_nobody_else_gets_in(tmp_path: Path) -> None:
    before = {file.name: file.read_text() for file in secrets(tmp_path).iterdir()}
    again = {file.name: file.read_text() for file in secrets(tmp_path).iterdir()}

    assert again == before
    assert len(set(before.values())) == len(before)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    # Compose mounts them with the rights that they have here, for accounts that are not ours.
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets").iterdir()} == {0o644}


def test_secrets_are_kept_out_of_the_repository() -> None:
    assert (DEPLOY / ".gitignore").read_text().split() == ["/secrets/", "/.env", "/kubernetes/overlays/*/secrets/"]


def test_ports_of_this_machine_are_on_loopback_and_are_what_the_service_listens_on() -> None:
    listens = LISTENS | {"scheduler": 8080}
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}

    assert published == {
        "adminer": "127.0.0.1:8081:8080",
        **{
            name: f"127.0.0.1:{listens[name]}:{listens[name]}"
            for name in ("scheduler", "influxdb", "grafana", "prometheus")
        },
    }


@pytest.mark.parametrize(
    "name", [name for name in SERVICES if SERVICES[name].get("profiles") != ["microsoft-emulator"]]
)
def test_services_come_back_have_a_health_and_wait_for_what_has_one(name: str) -> None:
    service = SERVICES[name]

    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    for other, wait in service.get("depends_on", {}).items():
        healthy = wait["condition"] == "service_healthy"
        assert healthy == ("healthcheck" in SERVICES[other])
        assert healthy or other == EMULATORS["microsoft-emulator"]  # has no programs to check it with


@pytest.mark.parametrize("name", [*ROLES, "event-hub", "gordo"])
def test_checks_written_in_python_compile(name: str) -> None:
    command, program, flag, source = SERVICES[name]["healthcheck"]["test"]

    compile(source, name, "exec")
    assert (command, program, flag) == ("CMD", "python", "-c")


def test_the_health_of_latigo_is_both_probes_at_the_port_that_it_listens_on(tmp_path: Path) -> None:
    for role in ROLES:
        source = SERVICES[role]["healthcheck"]["test"][-1]
        port = settings_of(role, tmp_path).http.port

        assert f"http://127.0.0.1:{port}/" in source
        assert re.findall(r"'(livez|readyz)'", source) == ["livez", "readyz"]


@pytest.mark.parametrize("role", ROLES)
def test_latigo_has_the_time_to_drain(role: str, tmp_path: Path) -> None:
    patience = parse_duration(SERVICES[role]["stop_grace_period"])

    assert patience > settings_of(role, tmp_path).executor.grace + CLOSING


def test_two_executors_share_no_name_and_no_port() -> None:
    executor = SERVICES["executor"]

    assert executor["deploy"]["replicas"] == 2
    assert "container_name" not in executor
    assert "ports" not in executor


def test_influxdb_does_not_limit_series() -> None:
    made = SERVICES["influxdb"]["environment"]

    assert SERVICES["influxdb"]["image"].partition("@")[0] == "influxdb:1.8"
    assert made["INFLUXDB_DATA_INDEX_VERSION"] == "tsi1"
    assert (made["INFLUXDB_DATA_MAX_SERIES_PER_DATABASE"], made["INFLUXDB_DATA_MAX_VALUES_PER_TAG"]) == ("0", "0")


def test_grafana_finds_what_it_is_provisioned_with() -> None:
    mounted = dict(each.split(":")[:2] for each in SERVICES["grafana"]["volumes"])

    assert mounted["./grafana/provisioning"] == "/etc/grafana/provisioning"
    assert mounted["./grafana/dashboards"] == "/etc/grafana/dashboards"
