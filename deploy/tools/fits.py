"""Say where a configuration does not fit the pods that it is given to: one problem a line, and exit code 1.

    latigo config --json | python fits.py MANIFESTS LATIGO_TOML SECRETS

MANIFESTS is what kustomize renders, LATIGO_TOML the file of the overlay, SECRETS the folder whose files the pods get.
Schemas and settings accept all of this, and the pods would start, or wait for a system for ever.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml

SECRETS = PurePosixPath("/run/secrets/latigo")
WORKLOAD_IDENTITY = "azure.workload.identity/use"
CLOSING_S = 5.0
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Keys of files and folders that a process reads; those of secrets end in `_file` as well.
_PATHS = re.compile(r"(.+_file|path)")


def problems(
    config: Mapping[str, Any], manifests: list[Mapping[str, Any]], toml: Mapping[str, Any], secrets: Path
) -> Iterator[str]:
    """Yield what does not fit.

    Args:
        config: the settings in effect, as ``latigo config --json`` prints them.
        manifests: all resources.
        toml: the file as it is written, with paths as a pod has them.
        secrets: the folder of the secrets.
    """
    if config["ledger"]["kind"] != "postgres":
        yield 'ledger.kind: has to be "postgres", which all pods reach'
    deployments = [each for each in manifests if each["kind"] == "Deployment" and _container(each)]
    credentials = set(_values(toml, "credential"))
    for deployment in deployments:
        name, template, container = (
            deployment["metadata"]["name"],
            deployment["spec"]["template"],
            _container(deployment),
        )
        ports = [each["containerPort"] for each in container["ports"] if each["name"] == "http"]
        if not config["http"]["enabled"] or config["http"]["port"] not in ports:
            yield f"http: {name} is probed at port {ports[0]}; remove http.port and http.enabled"
        needed = _seconds(config["executor"]["grace"]) + CLOSING_S
        if template["spec"]["terminationGracePeriodSeconds"] <= needed:
            yield f"executor.grace: terminationGracePeriodSeconds of {name} has to be more than {needed:g}"
        identified = template["metadata"].get("labels", {}).get(WORKLOAD_IDENTITY) == "true"
        if "workload_identity" in credentials and not identified:
            yield f'credential = "workload_identity": {name} has no label {WORKLOAD_IDENTITY}, see components'
    if "managed_identity" in credentials:
        yield 'credential = "managed_identity": asks the node, which NetworkPolicy/latigo closes; use workload_identity'
    yield from _missing_files(toml, deployments[0], manifests, secrets)
    open_ports = _open_ports(manifests)
    for key, host, port in _connections(config, secrets):
        if host in _LOOPBACK:
            yield f"{key}: a pod has nothing at {host}"
        elif open_ports is not None and port not in open_ports:
            yield f"{key}: NetworkPolicy/latigo lets nothing out to port {port}"


def _container(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return Latigo's container; an empty one where a Deployment is of something else."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return next((each for each in containers if each["name"] == "latigo"), {})


def _seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)\s*(\w*)", duration).groups()  # type: ignore[union-attr]  # latigo wrote it
    return float(number) * _SECONDS.get(unit, 1.0)


def _missing_files(
    toml: Mapping[str, Any], deployment: Mapping[str, Any], manifests: list[Mapping[str, Any]], secrets: Path
) -> Iterator[str]:
    mounts = {PurePosixPath(each["mountPath"]): each["name"] for each in _container(deployment)["volumeMounts"]}
    volumes = {each["name"]: each for each in deployment["spec"]["template"]["spec"]["volumes"]}
    maps = {each["metadata"]["name"]: each.get("data", {}) for each in manifests if each["kind"] == "ConfigMap"}
    for key, path in _paths(toml):
        folder = next((mount for mount in mounts if path.is_relative_to(mount)), None)
        if folder is None:
            yield f"{key}: no volume is mounted at {path}; files of secrets/ are below {SECRETS}"
            continue
        volume, name = volumes[mounts[folder]], str(path.relative_to(folder))
        if folder == SECRETS and not (secrets / name).is_file():
            yield f"{key}: secrets/{name} does not exist"
        if "configMap" in volume and name not in maps.get(volume["configMap"]["name"], {}):
            yield f"{key}: {name} is not in files of configMapGenerator"


def _values(given: Any, key: str) -> Iterator[str]:
    """Yield all values of a key, wherever it is."""
    if isinstance(given, Mapping):
        if isinstance(given.get(key), str):
            yield given[key]
        given = list(given.values())
    if isinstance(given, list):
        for each in given:
            yield from _values(each, key)


def _paths(given: Any, key: str = "") -> Iterator[tuple[str, PurePosixPath]]:
    if isinstance(given, Mapping):
        for name, value in given.items():
            below = f"{key}.{name}" if key else name
            if isinstance(value, str) and _PATHS.fullmatch(name):
                yield below, PurePosixPath(value)
            else:
                yield from _paths(value, below)
    elif isinstance(given, list):
        for number, value in enumerate(given):
            yield from _paths(value, f"{key}[{number}]")


def _open_ports(manifests: list[Mapping[str, Any]]) -> set[int] | None:
    """Return the ports that egress allows; None where it allows every one."""
    rules = [
        rule
        for each in manifests
        if (each["kind"], each["metadata"]["name"]) == ("NetworkPolicy", "latigo")
        and "Egress" in each["spec"].get("policyTypes", [])
        for rule in each["spec"].get("egress", [])
    ]
    if not rules or not all(rule.get("ports") for rule in rules):
        return None
    return {
        port
        for rule in rules
        for each in rule["ports"]
        if isinstance(each.get("port"), int)  # a name is one of the pods there
        for port in range(each["port"], each.get("endPort", each["port"]) + 1)
    }


def _connections(config: Mapping[str, Any], secrets: Path) -> Iterator[tuple[str, str, int]]:
    """Yield key, host and port of what a pod connects to, as far as the settings say it."""
    for section in ("models", "sensors", "predictions"):
        tables = config[section] if isinstance(config[section], list) else [config[section]]
        for table in tables:
            urls = table.get("url", [])
            for url in [urls] if isinstance(urls, str) else urls:
                parts = urlsplit(url)
                yield f"{section}.url", parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 443)
    queue = config["task_queue"]
    if queue["kind"] == "eventhub" and not queue.get("custom_endpoint"):
        yield "task_queue.transport", queue.get("namespace", ""), 443 if queue["transport"] == "websocket" else 5671
    ledger = secrets / "ledger-url"
    hosts = re.search(r"//(?:[^/?#]*@)?([^/?#]+)", ledger.read_text(encoding="utf-8")) if ledger.is_file() else None
    for each in hosts[1].split(",") if hosts else []:
        host, _, port = each.strip().rpartition(":") if re.search(r":\d+$", each) else (each.strip(), "", "5432")
        yield "ledger.url", host, int(port)


if __name__ == "__main__":
    _manifests, _toml, _secrets = map(Path, sys.argv[1:])
    _resources = [each for each in yaml.safe_load_all(_manifests.read_text(encoding="utf-8")) if each]
    _found = list(
        problems(json.load(sys.stdin), _resources, tomllib.loads(_toml.read_text(encoding="utf-8-sig")), _secrets)
    )
    sys.stdout.writelines(f"{problem}\n" for problem in _found)
    sys.exit(bool(_found))
