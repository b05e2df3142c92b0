"""The build hook: what it puts into the wheel, and that its failures end no build."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.process import ROOT

LIBRARIES = "latigo/web/libraries/"
#: Puts in place what `npm ci` would, without a network.
NPM = """#!/bin/sh
[ "$1" = ci ] && [ "$2" = --ignore-scripts ] || exit 9
mkdir -p node_modules/uplot/dist
echo '{"version": "%s"}' > node_modules/uplot/package.json
for file in LICENSE dist/uPlot.iife.min.js dist/uPlot.min.css; do echo "$file" > node_modules/uplot/$file; done
"""
VERSION = json.loads((ROOT / "web/package-lock.json").read_text("utf-8"))["packages"]["node_modules/uplot"]["version"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build needs, and nothing that an earlier one has left."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "web", folder / "web", ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "libraries"))
    return folder


def build(source: Path, npm: str, **environ: str) -> tuple[set[str], str]:
    """Return the names in the wheel, and what was said; ``npm`` is the program of that name."""
    programs = source / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "npm").write_text(npm, encoding="utf-8")
    (programs / "npm").chmod(0o755)
    shutil.rmtree(source / "dist", ignore_errors=True)
    built = subprocess.run(
        (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(source / "dist")),
        cwd=source,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = (source / "dist").glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist()), built.stdout + built.stderr


def test_a_failure_warns_and_builds_without(source: Path) -> None:
    names, said = build(source, "#!/bin/sh\nexit 1\n")

    assert not any(name.startswith(LIBRARIES) for name in names)
    assert "latigo/web/static/app.js" in names
    assert "the pages will draw plain charts" in said


def test_another_version_than_that_of_the_lock_is_not_taken(source: Path) -> None:
    names, said = build(source, NPM % "0.0.1")

    assert not any(name.startswith(LIBRARIES) for name in names)
    assert f"npm has not installed version {VERSION}" in said


def test_the_library_and_its_licence_are_in_the_wheel_and_fetched_once(source: Path) -> None:
    names, _ = build(source, NPM % VERSION)
    again, _ = build(source, "#!/bin/sh\nexit 1\n")
    without, _ = build(source, NPM % VERSION, LATIGO_BUILD_WITHOUT_WEB_LIBRARIES="1")

    wanted = {LIBRARIES + name for name in ("uPlot.js", "uPlot.css", "uPlot.LICENSE.txt")}
    assert {name for name in names if name.startswith(LIBRARIES)} == wanted
    assert again == names
    assert without == names - wanted


def test_the_lock_pins_integrity_and_names_no_registry() -> None:
    lock = json.loads((ROOT / "web/package-lock.json").read_text("utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}

    assert packages
    for package in packages.values():
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package
