"""``.ci/run``: which Pythons are tested, in which order, and that a failure on one of them fails the run."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNS, FAILS = "exit 0", "exit 127"
FAKE_MAKE = 'echo "make $*" | tee -a "$CALLS"; case "$*" in *$FAILING*) exit 2;; esac'


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


class Machine:
    """A machine with these programs on its PATH, and with a pyenv of its own."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.pyenv, self.home = folder / "bin", folder / "pyenv", folder / "home"
        self.shims = folder / "shims"
        for name in ("bash", "sort", "sed", "grep", "dirname", "tee"):
            result = shutil.which(name)
            assert result
            self.programs.mkdir(exist_ok=True)
            (self.programs / name).symlink_to(result)
        self.environment = {
            "PATH": os.pathsep.join((str(self.shims), str(self.programs))),
            "HOME": str(self.home),
            "PYENV_ROOT": str(self.pyenv),
        }

    def run(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment | variables
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)

    def find(self, *versions: str) -> list[str]:
        searched = self.run(ROOT / ".ci" / "find-pythons", *versions)
        assert searched.returncode == 0, searched.stderr
        return searched.stdout.splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_python_on_the_path_comes_before_one_of_pyenv(machine: Machine) -> None:
    on_path = executable(machine.programs / "python3.12", RUNS)
    executable(machine.pyenv / "versions/3.12.1/bin/python", RUNS)

    assert machine.find("3.12") == [str(on_path)]


def test_a_shim_that_exists_and_fails_is_passed_over(machine: Machine) -> None:
    executable(machine.shims / "python3.12", FAILS)
    on_path = executable(machine.programs / "python3.12", RUNS)
    executable(machine.shims / "python3.13", FAILS)
    of_pyenv = executable(machine.pyenv / "versions/3.13.0/bin/python", RUNS)

    assert machine.find("3.12", "3.13") == [str(on_path), str(of_pyenv)]


def test_the_newest_of_pyenv_that_runs_is_taken(machine: Machine) -> None:
    executable(machine.pyenv / "versions/3.12.9/bin/python", RUNS)
    newest = executable(machine.pyenv / "versions/3.12.10/bin/python", RUNS)
    executable(machine.pyenv / "versions/3.12.11/bin/python", FAILS)

    assert machine.find("3.12") == [str(newest)]


def test_pyenv_is_below_the_home_folder_unless_it_is_named(machine: Machine) -> None:
    python = executable(machine.home / ".pyenv/versions/3.14.0/bin/python", RUNS)
    del machine.environment["PYENV_ROOT"]

    assert machine.find("3.14") == [str(python)]


def test_a_version_that_is_missing_is_named_and_is_no_failure(machine: Machine) -> None:
    executable(machine.pyenv / "versions/3.1.4/bin/python", RUNS)

    searched = machine.run(ROOT / ".ci" / "find-pythons", "3.14")

    assert (searched.returncode, searched.stdout) == (0, "")
    assert "Python 3.14" in searched.stderr


class Clone:
    """A clone on a machine with Python 3.11, which makes .venv, and with 3.12 and 3.13; make only records its calls."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._machine, self._folder, self._calls = machine, folder, folder / "calls"
        shutil.copytree(ROOT / ".ci", folder / ".ci")
        shutil.copy(ROOT / "pyproject.toml", folder)
        executable(folder / ".venv/bin/python", "echo 3.11")
        for installed in ("chromium", "systemd-analyze", "debootstrap"):
            executable(machine.programs / installed, RUNS)
        executable(machine.programs / "make", FAKE_MAKE)
        self.pythons = [executable(machine.programs / f"python{version}", RUNS) for version in ("3.11", "3.12", "3.13")]

    def ci(self, *, failing: str) -> tuple[int, list[str]]:
        ran = self._machine.run(self._folder / ".ci" / "run", CALLS=str(self._calls), FAILING=failing)
        return ran.returncode, self._calls.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def clone(machine: Machine, tmp_path: Path) -> Clone:
    return Clone(machine, tmp_path / "clone")


def test_every_other_python_is_tested_after_the_whole(clone: Clone) -> None:
    code, calls = clone.ci(failing="nothing")

    assert code == 0
    assert calls == ["make test", *(f"make test-python PYTHON={python}" for python in clone.pythons[1:])]


@pytest.mark.parametrize("failing", ["python3.12", "python3.13"])
def test_a_failure_on_one_python_fails_the_run(clone: Clone, failing: str) -> None:
    code, calls = clone.ci(failing=failing)

    assert code != 0
    assert calls[-1].endswith(failing)


def test_the_classifiers_begin_at_the_oldest_python_that_is_supported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [re.sub(r".* :: ", "", each) for each in project["classifiers"] if " Python :: 3." in each]

    assert project["requires-python"] == f">={named[0]}"
