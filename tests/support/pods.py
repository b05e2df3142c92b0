"""Pods of the manifests, played as processes: what the kubelet does with a container, by the manifest's own numbers.

Each pod has an address of its own in 127/8, at which it is probed, as the kubelet does: by address, never by name.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml

from tests.support.process import ROOT, Service, environment

BASE = ROOT / "deploy" / "kubernetes" / "base"
_numbers = count(1)
_LOG_SHOWN = 3_000  # bytes of the end of each log, when a test fails


class Probe(NamedTuple):
    """A probe of a manifest; times in seconds."""

    path: str
    period: float
    timeout: float
    failures: int

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Probe":
        http = given["httpGet"]
        assert http["port"] == "http"
        return cls(http["path"], given["periodSeconds"], given["timeoutSeconds"], given["failureThreshold"])


@dataclass(frozen=True)
class Manifest:
    """What a Deployment says of its pods, and of a rolling update."""

    args: tuple[str, ...]
    env: Mapping[str, str]
    port: int
    startup: Probe
    liveness: Probe
    readiness: Probe
    grace: float
    replicas: int
    max_unavailable: int
    max_surge: int


def service_links(pod: Mapping[str, Any], services: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What the kubelet adds to the environment of a pod for the Services of its namespace, made before it."""
    links: dict[str, str] = {}
    if not pod.get("enableServiceLinks", True):
        return links
    for service in services:
        if service["spec"].get("clusterIP") == "None":  # headless: has no address to link to
            continue
        name, address = service["metadata"]["name"].upper().replace("-", "_"), "10.0.0.10"
        for each in service["spec"]["ports"]:
            port, url = str(each["port"]), f"tcp://{address}:{each['port']}"
            of_port = f"{name}_PORT_{port}_TCP"
            links |= {f"{name}_SERVICE_HOST": address, f"{name}_SERVICE_PORT": port, f"{name}_PORT": url}
            links |= {f"{name}_SERVICE_PORT_{each['name'].upper()}": port, of_port: url}
            links |= {f"{of_port}_PROTO": "tcp", f"{of_port}_PORT": port, f"{of_port}_ADDR": address}
    return links


def manifest(role: str) -> Manifest:
    """Read the Deployment of a role."""
    deployment = yaml.safe_load((BASE / f"{role}.yaml").read_text(encoding="utf-8"))["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    update = deployment["strategy"]["rollingUpdate"]
    services = yaml.safe_load_all((BASE / "services.yaml").read_text(encoding="utf-8"))
    return Manifest(
        args=tuple(container["args"]),
        env={**service_links(pod, services), **{each["name"]: each["value"] for each in container["env"]}},
        port=next(each["containerPort"] for each in container["ports"] if each["name"] == "http"),
        startup=Probe.of(container["startupProbe"]),
        liveness=Probe.of(container["livenessProbe"]),
        readiness=Probe.of(container["readinessProbe"]),
        grace=pod["terminationGracePeriodSeconds"],
        replicas=deployment["replicas"],
        max_unavailable=update["maxUnavailable"],
        max_surge=update["maxSurge"],
    )


@dataclass
class Pod(Service):
    """A pod with one container, which is not started again: ``unhealthy`` says why it would have been."""

    name: str
    address: str
    of: Manifest
    process: asyncio.subprocess.Process
    config: Path
    _log: Path
    started: asyncio.Event = field(default_factory=asyncio.Event)
    ready: bool = False
    unhealthy: str = ""
    reasons: tuple[str, ...] = ()  #: of the last probe for readiness
    _terminating: asyncio.Event = field(default_factory=asyncio.Event)

    async def probed(self) -> None:
        """Probe it until it ends or is to end."""
        async with aiohttp.ClientSession() as session:
            await self._until(session, self.of.startup, "startup", starting=True)
            if self.unhealthy or self._terminating.is_set():
                return
            self.started.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._until(session, self.of.liveness, "liveness"))
                group.create_task(self._watch_readiness(session))

    async def _until(self, session: aiohttp.ClientSession, probe: Probe, kind: str, *, starting: bool = False) -> None:
        """Probe until it fails too often; with ``starting``, or until it succeeds."""
        failures = 0
        while not await self._pause(probe.period):
            if await self._succeeds(session, probe):
                failures = 0
                if starting:
                    return
                continue
            failures += 1
            if failures >= probe.failures and not self._terminating.is_set():
                self.unhealthy = f"{kind} probe failed {failures} times"
                return

    async def _watch_readiness(self, session: aiohttp.ClientSession) -> None:
        failures = 0
        while True:
            succeeds = await self._succeeds(session, self.of.readiness, readiness=True)
            failures = 0 if succeeds else failures + 1
            if succeeds or failures >= self.of.readiness.failures:
                self.ready = succeeds
            if await self._pause(self.of.readiness.period):
                self.ready = False
                return

    async def _succeeds(self, session: aiohttp.ClientSession, probe: Probe, *, readiness: bool = False) -> bool:
        try:
            async with (
                asyncio.timeout(probe.timeout),
                session.get(f"http://{self.address}:{self.of.port}{probe.path}") as response,
            ):
                if readiness:
                    self.reasons = tuple((await response.json()).get("reasons", ()))
                return 200 <= response.status < 400
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _pause(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._terminating.wait()
        return self._terminating.is_set()

    async def terminate(self) -> "Ended":
        """SIGTERM, and after the grace SIGKILL."""
        self._terminating.set()
        began = asyncio.get_running_loop().time()
        self.process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.of.grace):
                await self.process.wait()
        killed = self.process.returncode is None
        if killed:
            self.process.kill()
        return Ended(await self.process.wait(), asyncio.get_running_loop().time() - began, killed)


class Ended(NamedTuple):
    """How a pod ended: its exit code, after how many seconds, and whether it had to be killed."""

    code: int
    after: float
    killed: bool


class Node:
    """Runs pods."""

    def __init__(self, opened: AsyncExitStack, group: asyncio.TaskGroup) -> None:
        self._opened = opened
        self._group = group
        self.pods: list[Pod] = []

    async def start(self, role: str, config: Path, *, tree: Path = ROOT) -> Pod:
        """Start a pod of a role from a tree of the source; it is probed from now on."""
        of, number = manifest(role), next(_numbers)
        name = f"{role}-{number}"
        address = f"127.{os.getpid() // 250 % 250 + 2}.{os.getpid() % 250 + 1}.{number % 250 + 1}"
        log = config.with_name(f"{name}.log")
        # The pod's address instead of every address: here, pods share the network of the machine.
        env = {**of.env, "LATIGO_CONFIG": str(config), "LATIGO_HTTP__HOST": address, "LATIGO_HTTP__PORT": str(of.port)}
        inherited = environment()
        path = os.pathsep.join((str(tree / "src"), str(ROOT)))
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "latigo", *of.args),
                cwd=config.parent,
                env={**inherited, **env, "PYTHONPATH": path},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        pod = Pod(name, address, of, process, config, log)
        self._opened.push_async_callback(_end, pod)
        self._group.create_task(pod.probed())
        self.pods.append(pod)
        return pod


async def _end(pod: Pod) -> None:
    pod._terminating.set()
    if pod.process.returncode is None:
        pod.process.kill()
    await pod.process.wait()


@asynccontextmanager
async def open_node() -> AsyncIterator[Node]:
    """A node; pods that still run are killed at the end. A failing test shows the end of their logs."""
    async with asyncio.TaskGroup() as group, AsyncExitStack() as opened:
        node = Node(opened, group)
        try:
            yield node
        except BaseException as error:
            for pod in node.pods:
                error.add_note(f"{pod.name}, {pod.unhealthy or pod.process.returncode}:\n{pod.log()[-_LOG_SHOWN:]}")
            raise
