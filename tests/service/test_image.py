"""The image: its steps, run in a clean Debian instead of by Docker, its size, its contents; and the wheel in it."""

import asyncio
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.chroots import Chroot, download, make_chroot
from tests.support.deployment_tools import tool
from tests.support.ports import free_port
from tests.support.process import ROOT
from tests.support.waiting import eventually

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
#: Half of what a plain installation with all extras took before (536 MB), in 10^6 octets; 252 MB were measured.
BUDGET = 268e6
_BUILDS_WITHOUT = {"LATIGO_BUILD_WITHOUT_WEB_LIBRARIES": "1"}
_IMPORTS = """
import importlib, pkgutil, latigo
failed = []
for module in pkgutil.walk_packages(latigo.__path__, "latigo."):
    if module.name.endswith("__main__") or module.name.startswith(("latigo.testing", "latigo.postgres.migrations")):
        continue
    try:
        importlib.import_module(module.name)
    except Exception as error:
        failed.append(f"{module.name}: {error!r}")
print("\\n".join(failed))
"""


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of the Dockerfile, by stage."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    found: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, value = line.partition(" ")
        if instruction == "FROM":
            found.append([])
        found[-1].append((instruction, value))
    return found


def copy_context(target: Path) -> None:
    """What Docker is given of this checkout: see .dockerignore."""
    target.mkdir()
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split():
        source = ROOT / line.removeprefix("!")
        if line.startswith("!") and source.is_dir():
            shutil.copytree(source, target / source.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
        elif line.startswith("!"):
            (target / source.name).write_bytes(source.read_bytes())


def size(folder: Path) -> int:
    """Octets of all files, each counted once."""
    found = {(stat.st_dev, stat.st_ino): stat.st_size for path in folder.rglob("*") if (stat := path.lstat())}
    return sum(found.values())


def test_two_builds_of_the_wheel_are_equal(tmp_path: Path) -> None:
    digests = []
    for name, umask in (("one", 0o022), ("another", 0o077)):
        copy_context(tmp_path / name)
        for path in (tmp_path / name).rglob("*"):
            os.utime(path, (umask * 1e6, umask * 1e6))
        built = subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "--target", "wheel"],
            cwd=tmp_path / name,
            env={**os.environ, **_BUILDS_WITHOUT, "SOURCE_DATE_EPOCH": "1700000000"},
            umask=umask,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert built.returncode == 0, built.stderr
        (wheel,) = (tmp_path / name / "dist").glob("*.whl")
        digests.append((wheel.name, hashlib.sha256(wheel.read_bytes()).hexdigest()))

    assert digests[0] == digests[1]


def pins(file: str) -> dict[str, str]:
    """Versions by package and marker, as a file of requirements has them."""
    lines = re.findall(r"^[a-z].*?(?= \\$)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    return {f"{each.name} {each.marker or ''}": str(each.specifier) for each in map(Requirement, lines)}


def test_its_versions_are_those_that_the_tests_run_with() -> None:
    assert pins("requirements-image.txt").items() < pins("requirements.txt").items()


def test_pins_are_written_next_to_tags_and_renewed(tmp_path: Path) -> None:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/sh\necho "sha256:$(printf %s "$DAY$5$6" | sha256sum | cut -c1-64)"\n', encoding="utf-8")
    docker.chmod(0o755)
    files = [shutil.copy(ROOT / name, tmp_path) for name in ("Dockerfile", "deploy/compose.yaml")]

    def pin(day: str) -> dict[str, set[str]]:
        """Digests by image, after pinning on a day."""
        env = {"PATH": f"{docker.parent}:{os.environ['PATH']}", "DAY": day}
        subprocess.run([ROOT / "deploy" / "image" / "pins.sh", *files], env=env, check=True, capture_output=True)
        found: dict[str, set[str]] = {}
        text = "".join(Path(file).read_text(encoding="utf-8") for file in files)
        for image, digest in re.findall(r"^(?:FROM| *image:) ([^\s$@]+)(?:@(sha256:\w+))?", text, re.MULTILINE):
            found.setdefault(image, set()).add(digest)
        return found

    first, second = pin("monday"), pin("tuesday")

    assert {"python:3.13-slim-bookworm", "postgres:18", "grafana/grafana:12.0.0"} <= set(first)
    assert set(first) == set(second)
    for image, digests in first.items():
        assert [len(digest) for digest in digests] == [len("sha256:") + 64], image
        assert digests.isdisjoint(second[image])
    assert "${LATIGO_IMAGE:-latigo}" in Path(files[1]).read_text(encoding="utf-8")


def test_without_docker_pins_are_refused() -> None:
    refused = subprocess.run(
        ["/bin/sh", ROOT / "deploy" / "image" / "pins.sh", "Dockerfile"],
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 1
    assert "docker is not installed" in refused.stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Chroot:
    """A system after all steps of the Dockerfile, run in a clean Debian: two minutes, so in CI only."""
    if not os.environ.get("CI"):
        pytest.skip("the steps of the image are run in CI only (CI=true)")
    folder = tmp_path_factory.mktemp("image")
    build = make_chroot(folder / "build")
    final = build.copy(folder / "final")
    wheels = build.root / "wheels"
    version = build.run("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    python = str(Path(sys.base_prefix) / "bin" / "python3")
    requirements = ROOT / "requirements-image.txt"
    download(["--require-hashes", "--no-deps", "-r", str(requirements)], wheels, python=python, version=version)
    backend = re.findall(r'^requires = \["(hatchling==[\d.]+)"\]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    download(backend, wheels, python=python, version=version)
    first, last = stages()
    for instruction, value in first:
        if instruction == "WORKDIR":
            copy_context(build.root / value.strip("/"))
        elif instruction == "RUN" and not value.startswith("apt-get"):
            offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "HOME": "/root", **_BUILDS_WITHOUT}
            build.run("sh", "-c", f"cd /build && {value}", env=offline)
    for instruction, value in last:
        if instruction == "RUN":
            final.run("sh", "-c", value)
        elif instruction == "COPY":
            _, source, target = value.split()
            subprocess.run(
                ["cp", "--archive", build.root / source.strip("/"), final.root / target.strip("/")], check=True
            )
    return final


def environment_of_image() -> dict[str, str]:
    (variables,) = [value for instruction, value in stages()[1] if instruction == "ENV"]
    given = dict(each.split("=", 1) for each in shlex.split(variables))
    return given | {"PATH": given["PATH"].replace("$PATH", "/usr/local/bin:/usr/bin:/bin"), "HOME": "/var/lib/latigo"}


def last_of(instruction: str) -> str:
    return [value for name, value in stages()[1] if name == instruction][-1]


def test_it_is_small_and_every_module_can_be_imported_by_its_account(image: Chroot) -> None:
    failed = image.run("python", "-c", _IMPORTS, user="10001:10001", env=environment_of_image())

    assert failed.strip() == ""
    assert size(image.root / "opt" / "latigo") < BUDGET
    assert not list((image.root / "opt" / "latigo").rglob("pip"))


def test_its_bill_of_materials_names_what_its_requirements_pin(image: Chroot, tmp_path: Path) -> None:
    listed = tmp_path / "latigo.cdx.json"
    tool("cyclonedx-py")
    subprocess.run([ROOT / "deploy" / "image" / "sbom.sh", image.root / "opt" / "latigo", listed], check=True)
    document = json.loads(listed.read_text(encoding="utf-8"))
    pinned = {}
    for line in re.findall(r"^[a-z].*?(?= \\$)", (ROOT / "requirements-image.txt").read_text(), re.MULTILINE):
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            pinned[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")

    assert document["bomFormat"] == "CycloneDX"
    found = {canonicalize_name(each["name"]): each["version"] for each in document["components"]}
    assert found.pop(canonicalize_name("gordo-latigo"))
    assert found == pinned


async def test_it_serves_its_probes_on_a_root_that_is_read_only(image: Chroot) -> None:
    port = free_port()
    env = environment_of_image() | {
        "LATIGO_HTTP__PORT": str(port),
        "LATIGO_LEDGER__KIND": "postgres",
        "LATIGO_LEDGER__URL": f"postgresql://latigo@127.0.0.1:{free_port()}/latigo",
    }
    (check,) = re.findall(r"CMD (\[.*\])", last_of("HEALTHCHECK"))
    _, flag, source = json.loads(check)
    arguments = json.loads(last_of("ENTRYPOINT")) + json.loads(last_of("CMD"))[:2] + ["scheduler"]
    account = f"{last_of('USER')}:{last_of('USER')}"

    running = await asyncio.create_subprocess_exec(
        *(*read_only(image), *image.command(*arguments, user=account, env=env)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:

        async def is_healthy() -> bool:
            assert running.returncode is None
            probe = image.command("python", flag, source.replace(":8080", f":{port}"), user=account, env=env)
            asked = await asyncio.create_subprocess_exec(*probe, stderr=asyncio.subprocess.DEVNULL)
            return await asked.wait() == 0

        await eventually(is_healthy, every=1, what="the check of the image succeeds")
        running.send_signal(signal.Signals[last_of("STOPSIGNAL")])
        async with asyncio.timeout(60):
            output, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()

    assert running.returncode == 0, output.decode()
    assert b"start.delayed" in output  # it waits for its ledger


def read_only(image: Chroot) -> list[str]:
    """What a command is prefixed with, so that it sees the root read-only, but for /tmp."""
    root = shlex.quote(str(image.root))
    steps = (
        f"mount --bind {root} {root}",
        f"mount -o remount,ro,bind {root}",
        f"mount -t tmpfs tmpfs {root}/tmp",
        'exec "$@"',
    )
    return ["unshare", "--mount", "sh", "-ec", " && ".join(steps), "sh"]
