"""``deploy/kubernetes`` renders, is valid by published schemas, and fits image and settings; no cluster sees it.

`tests/service/test_pod.py` plays the life of a pod by the numbers that stand in it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from latigo.service import CLOSING
from latigo.settings import Settings, load_settings
from latigo.web.probes import _LIMIT as CHECK_LIMIT
from tests.support.deployment_tools import KUBERNETES, rendered, resources, tool, validated
from tests.support.pods import service_links
from tests.support.process import ROOT

BASE, EXAMPLE = KUBERNETES / "base", KUBERNETES / "overlays" / "example"
#: The oldest and the newest Kubernetes whose schemas are asked.
VERSIONS = ("1.30", "1.37")
ROLES = ("scheduler", "executor")
SECRETS = "/run/secrets/latigo"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def deployment(role: str, folder: Path = EXAMPLE) -> dict[str, Any]:
    return resources(folder)[f"Deployment/latigo-{role}"]


def pod(role: str) -> dict[str, Any]:
    spec: dict[str, Any] = deployment(role)["spec"]["template"]["spec"]
    return spec


def container(role: str) -> dict[str, Any]:
    (only,) = pod(role)["containers"]
    return dict(only)


def settings(folder: Path) -> Settings:
    """The settings that the example gives its pods, with secrets of a folder."""
    (text,) = resources(EXAMPLE)["ConfigMap/latigo-config"]["data"].values()
    for path in secret_files(text):
        (folder / Path(path).name).write_text("postgresql://latigo:secret@ledger.example:5432/latigo", encoding="utf-8")
    config = folder / "latigo.toml"
    config.write_text(text.replace(SECRETS, str(folder)), encoding="utf-8")
    services = [each for name, each in resources(EXAMPLE).items() if name.startswith("Service/")]
    links = service_links(pod("executor"), services)
    environ = links | {each["name"]: each["value"] for each in container("executor")["env"]}
    return load_settings(config, environ)


def secret_files(text: str) -> set[str]:
    return set(re.findall(rf'_file = "({SECRETS}/[^"]+)"', text))


def with_mistakes(manifests: str) -> str:
    """The manifests with a mistake in each of several kinds."""
    for right, mistake in (
        ("terminationGracePeriodSeconds", "terminationGraceSeconds"),
        ("maxReplicaCount", "maxReplicas"),
        ("scrapeTimeout: 10s", "scrapeTimeout: soon"),
    ):
        assert right in manifests
        manifests = manifests.replace(right, mistake)
    return manifests


def test_every_resource_is_valid_and_mistakes_are_noticed() -> None:
    right = [rendered(BASE), rendered(EXAMPLE)]
    count = len(resources(BASE)) + len(resources(EXAMPLE))

    found = validated("\n---\n".join((*right, with_mistakes(right[-1]))), *VERSIONS)  # starting takes the time
    valid, wrong = found[:count], found[count:]

    assert {each["name"]: each["errors"] for each in valid if each["errors"]} == {}
    assert [each["name"] for each in valid if each["checked_by"] is None] == []  # else the README has to name it
    assert {each["name"] for each in wrong if each["errors"]} == {
        "Deployment/latigo-executor",
        "Deployment/latigo-scheduler",
        "ScaledObject/latigo-executor",
        "ServiceMonitor/latigo",
    }


def check_overlay(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check an overlay as the README says."""
    tool("kubectl")
    latigo = str(Path(sys.executable).with_name("latigo"))
    script = ROOT / "deploy" / "tools" / "check.sh"
    return subprocess.run(
        [script, folder], env={**os.environ, "LATIGO": latigo}, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_filled_in_copy_is_accepted_and_what_is_left_of_the_example_is_named(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes", ignore=shutil.ignore_patterns("plant", "secrets"))
    plant = shutil.copytree(tmp_path / "kubernetes" / "overlays" / "example", tmp_path / "kubernetes/overlays/plant")

    copied = check_overlay(plant)
    (plant / "secrets").mkdir()
    for name, secret in (
        ("ledger-url", "postgresql://latigo:secret@db:5432/latigo"),
        ("timeseries-subscription-key", "k"),
    ):
        (plant / "secrets" / name).write_text(secret, encoding="utf-8")
    for file in (plant / "kustomization.yaml", plant / "latigo.toml"):
        text = file.read_text(encoding="utf-8").replace("example/", "plant.org/").replace("00000000-0000-", "1234-")
        text = text.replace("192.0.2.0/24", "10.20.0.0/16")
        file.write_text(text.replace("plant.servicebus", "grane.servicebus"), encoding="utf-8")
    filled = check_overlay(plant)

    assert copied.returncode == 1
    for left in ("registry.example", "api.example", "plant.servicebus", "client-id: 00000000", "192.0.2.0/24"):
        assert left in copied.stdout
    for missing in ("ledger.url", "sensors.headers", "predictions[1].headers"):
        assert f"{missing}" in copied.stderr
    assert (filled.returncode, filled.stderr) == (0, ""), filled.stdout
    assert "can be applied" in filled.stdout


def test_what_is_no_overlay_is_refused(tmp_path: Path) -> None:
    refused = check_overlay(tmp_path)

    assert refused.returncode == 2
    assert "is no overlay" in refused.stderr


def test_what_schemas_and_settings_accept_and_pods_cannot_use_is_named(tmp_path: Path) -> None:
    (text,) = resources(EXAMPLE)["ConfigMap/latigo-config"]["data"].values()
    names = {"ledger-url": "postgresql://latigo:secret@db1,db2:6432/latigo", "timeseries-subscription-key": "k"}
    for name, secret in names.items():
        (tmp_path / name).write_text(secret, encoding="utf-8")
    right, wrong = tmp_path / "right.toml", tmp_path / "wrong.toml"
    right.write_text(text, encoding="utf-8")
    for mistake, instead in (
        (
            'url = "http://gordo.gordo:5555"',
            'url = ["https://gordo:8443", "https://localhost:5555"]\nca_file = "/etc/ca"',
        ),
        ('hub = "latigo"', 'hub = "latigo"\nca_file = "/run/secrets/latigo/ca"'),
        ('credential = "workload_identity"', 'credential = "managed_identity"'),
        ("[http]", '[executor]\ngrace = "1m"\n[http]\nport = 9000'),
        ('scope = "api://timeseries/.default"', 'scope = "s"\nca_file = "/etc/latigo/ca"'),
    ):
        assert mistake in text
        text = text.replace(mistake, instead, 1)
    wrong.write_text(text, encoding="utf-8")

    fitting, found = fits(right, tmp_path), fits(wrong, tmp_path)
    without_identity = fits(right, tmp_path, rendered(EXAMPLE).replace('azure.workload.identity/use: "true"', ""))

    assert [line.partition(" has no label")[0] for line in without_identity if "label" in line] == [
        f'credential = "workload_identity": latigo-{role}' for role in sorted(ROLES)
    ]
    assert fitting == ["ledger.url: NetworkPolicy/latigo lets nothing out to port 6432"]
    assert found == [
        "http: latigo-executor is probed at port 8080; remove http.port and http.enabled",
        "executor.grace: terminationGracePeriodSeconds of latigo-executor has to be more than 65",
        "http: latigo-scheduler is probed at port 8080; remove http.port and http.enabled",
        "executor.grace: terminationGracePeriodSeconds of latigo-scheduler has to be more than 65",
        'credential = "managed_identity": asks the node, which NetworkPolicy/latigo closes; use workload_identity',
        "task_queue.ca_file: secrets/ca does not exist",
        f"models.ca_file: no volume is mounted at /etc/ca; files of secrets/ are below {SECRETS}",
        "sensors.ca_file: ca is not in files of configMapGenerator",
        "models.url: NetworkPolicy/latigo lets nothing out to port 8443",
        "models.url: a pod has nothing at localhost",
        *fitting,
    ]


def fits(toml: Path, secrets: Path, given: str = "") -> list[str]:
    """What ``deploy/tools/fits.py`` prints of the example, or of manifests that are given, with a configuration."""
    config = toml.with_suffix(".here")
    config.write_text(toml.read_text(encoding="utf-8").replace(SECRETS, str(secrets)), encoding="utf-8")
    manifests = toml.with_suffix(".yaml")
    manifests.write_text(given or rendered(EXAMPLE), encoding="utf-8")
    shown = json.dumps(load_settings(config, {}).masked())
    script = ROOT / "deploy" / "tools" / "fits.py"
    ran = subprocess.run(
        [tool("python"), str(script), str(manifests), str(toml), str(secrets)],
        input=shown,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.returncode == int(bool(ran.stdout))
    return ran.stdout.splitlines()


def test_every_place_to_fill_in_is_numbered_and_explained() -> None:
    files = [path for path in EXAMPLE.iterdir() if path.suffix in {".yaml", ".toml"}]
    text = "".join(re.sub(r"^#.*", "", path.read_text(encoding="utf-8")) for path in files)
    numbers = {int(number) for number in re.findall(r"# \((\d)\)", text)}
    readme = (KUBERNETES.parent / "README.md").read_text(encoding="utf-8")

    assert numbers == set(range(1, len(numbers) + 1))
    assert {int(number) for number in re.findall(r"^\| \((\d)\) \|", readme, re.MULTILINE)} == numbers


def test_the_configuration_loads_and_uses_the_identity_of_the_pod(tmp_path: Path) -> None:
    loaded = settings(tmp_path)
    labels = {role: deployment(role)["spec"]["template"]["metadata"]["labels"] for role in ROLES}

    assert loaded.deprecated() == {}
    assert loaded.task_queue.credential == "workload_identity"  # type: ignore[union-attr]
    assert {source.credential for source in loaded.sources} == {"workload_identity"}  # type: ignore[union-attr]
    assert {each["azure.workload.identity/use"] for each in labels.values()} == {"true"}
    assert "azure.workload.identity/client-id" in resources(EXAMPLE)["ServiceAccount/latigo"]["metadata"]["annotations"]
    assert loaded.http.allowed_hosts is not None
    assert "latigo-scheduler" in loaded.http.allowed_hosts  # or a status could not be asked for


def test_secrets_are_files_of_a_folder_that_the_kubelet_can_renew() -> None:
    readme = (KUBERNETES.parent / "README.md").read_text(encoding="utf-8")
    (text,) = resources(EXAMPLE)["ConfigMap/latigo-config"]["data"].values()

    for role in ROLES:
        (mount,) = [each for each in container(role)["volumeMounts"] if each["mountPath"] == SECRETS]
        (volume,) = [each for each in pod(role)["volumes"] if each["name"] == mount["name"]]
        assert "subPath" not in mount
        assert volume["secret"] == {"secretName": "latigo", "defaultMode": 0o440}
    assert secret_files(text)
    for path in secret_files(text):
        assert f"overlays/plant/secrets/{Path(path).name}" in readme
    assert "Secret/latigo" not in resources(EXAMPLE)


@pytest.mark.parametrize("role", ROLES)
def test_commands_and_ports_are_those_of_the_image(role: str, tmp_path: Path) -> None:
    only = container(role)
    (account,) = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)

    assert only["args"] == ["serve", "--role", role]
    assert "command" not in only
    assert only["ports"] == [{"name": "http", "containerPort": settings(tmp_path).http.port}]
    assert pod(role)["securityContext"]["runAsUser"] == int(account)
    # The files of a secret belong to root and this group.
    assert pod(role)["securityContext"]["fsGroup"] == pod(role)["securityContext"]["runAsGroup"]


@pytest.mark.parametrize("role", ROLES)
def test_the_grace_fits_and_probes_wait_for_what_they_ask(role: str, tmp_path: Path) -> None:
    only = container(role)
    grace = settings(tmp_path).executor.grace + CLOSING

    assert pod(role)["terminationGracePeriodSeconds"] > grace.total_seconds()
    assert {name: only[name]["httpGet"] for name in only if name.endswith("Probe")} == {
        "startupProbe": {"path": "/livez", "port": "http"},
        "livenessProbe": {"path": "/livez", "port": "http"},
        "readinessProbe": {"path": "/readyz", "port": "http"},
    }
    assert only["readinessProbe"]["timeoutSeconds"] > CHECK_LIMIT.total_seconds()


@pytest.mark.parametrize("role", ROLES)
def test_nothing_is_allowed_that_is_not_needed(role: str) -> None:
    only = container(role)

    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(role)["securityContext"]["runAsNonRoot"] is True
    assert pod(role)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(role)["automountServiceAccountToken"] is False
    assert pod(role)["enableServiceLinks"] is False
    assert set(only["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in only["resources"]["limits"]


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "Service", "topologySpreadConstraints", "ServiceMonitor"])
def test_selectors_select_the_pods_that_they_are_for(kind: str) -> None:
    labels = {role: deployment(role)["spec"]["template"]["metadata"]["labels"] for role in ROLES}
    for role in ROLES:
        match kind:
            case "PodDisruptionBudget":
                selector = resources(EXAMPLE)[f"{kind}/latigo-{role}"]["spec"]["selector"]["matchLabels"]
            case "Service":
                selector = resources(EXAMPLE)[f"{kind}/latigo-{role}"]["spec"]["selector"]
            case "ServiceMonitor":  # of services
                monitored = resources(EXAMPLE)[f"{kind}/latigo"]["spec"]["selector"]["matchLabels"]
                selector = resources(EXAMPLE)[f"Service/latigo-{role}"]["metadata"]["labels"]
                assert monitored.items() <= selector.items()
            case _:
                spread = pod(role)[kind]
                assert {each["topologyKey"].rpartition("/")[2] for each in spread} == {"hostname", "zone"}
                selector = spread[0]["labelSelector"]["matchLabels"]
        assert [each for each in ROLES if selector.items() <= labels[each].items()] == [role]


def test_two_schedulers_of_which_one_stays_and_executors_that_the_backlog_counts() -> None:
    everything = resources(EXAMPLE)
    scaled = everything["ScaledObject/latigo-executor"]["spec"]
    (trigger,) = scaled["triggers"]
    metrics = set(re.findall(r"latigo_\w+", trigger["metadata"]["query"]))
    emitted = (ROOT / "src/latigo/telemetry/metrics.py").read_text(encoding="utf-8")

    assert deployment("scheduler")["spec"]["replicas"] == 2
    for role in ROLES:  # with a minimum that is all there is, no node could be drained
        assert "minAvailable" not in everything[f"PodDisruptionBudget/latigo-{role}"]["spec"]
        assert everything[f"PodDisruptionBudget/latigo-{role}"]["spec"]["maxUnavailable"] == 1
    assert "replicas" not in deployment("executor")["spec"]  # or each apply would undo the scaling
    assert deployment("executor", BASE)["spec"]["replicas"] >= 2
    assert scaled["scaleTargetRef"] == {"name": deployment("executor")["metadata"]["name"]}
    assert "cooldownPeriod" not in scaled  # without any effect where there is always one
    assert scaled["minReplicaCount"] > 0
    assert everything["Service/latigo-scheduler"]["spec"]["publishNotReadyAddresses"] is True
    assert metrics == {"latigo_backlog_slots"}
    assert f'"{metrics.pop()}"' in emitted


def test_the_network_lets_out_what_the_example_connects_to_and_in_what_scrapes_it(tmp_path: Path) -> None:
    policy = resources(EXAMPLE)["NetworkPolicy/latigo"]["spec"]
    loaded = settings(tmp_path)
    names, systems = policy["egress"]
    open_ports = {each["port"] for each in systems["ports"]}
    urls = [*loaded.models.urls, *(source.url for source in loaded.sources)]  # type: ignore[union-attr]
    needed = {url.port or 443 for url in map(urlsplit, urls)} | {5432, 5671}

    assert needed <= open_ports
    assert {(each["port"], each["protocol"]) for each in names["ports"]} == {(53, "UDP"), (53, "TCP")}
    # kustomize adds our own label wherever there are matchLabels: then no name would be resolved.
    assert names["to"] == [
        {
            "namespaceSelector": {},
            "podSelector": {"matchExpressions": [{"key": "k8s-app", "operator": "In", "values": ["kube-dns"]}]},
        }
    ]
    assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "latigo"}
    (inward,) = policy["ingress"]
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}} in inward["from"]
    assert inward["ports"] == [{"port": "http", "protocol": "TCP"}]


def test_alert_rules_are_those_of_a_prometheus_without_the_operator() -> None:
    rules = yaml.safe_load((KUBERNETES.parent / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))

    assert resources(EXAMPLE)["PrometheusRule/latigo"]["spec"] == rules


def test_a_changed_configuration_is_a_rolling_update() -> None:
    (name,) = [
        each["metadata"]["name"] for each in yaml.safe_load_all(rendered(EXAMPLE)) if each["kind"] == "ConfigMap"
    ]

    assert re.fullmatch(r"latigo-config-[a-z0-9]{10}", name)
    for role in ROLES:
        assert {"name": "config", "configMap": {"name": name}} in pod(role)["volumes"]
