"""``deploy/systemd``: systemd accepts the units and finds them closed; no systemd is there to start them.

What ``Type=notify`` and the watchdog hear is played by `tests/service/test_service_manager.py`.
"""

import re
import shutil
import subprocess
from configparser import RawConfigParser
from datetime import timedelta
from pathlib import Path

import pytest

from latigo.cli.exits import Exit
from latigo.runtime.clock import SystemClock
from latigo.runtime.heartbeat import Heartbeat
from latigo.service import CLOSING
from latigo.settings import ExecutorSettings, PostgresLedger, load_settings
from tests.support.lacking import lacking
from tests.support.process import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
#: How open a unit may be, in tenths of what `systemd-analyze security` prints; 100 is a service without any limits.
MOST_EXPOSED = 20
EXECUTABLE = "/opt/latigo/bin/latigo"


class Unit(RawConfigParser):
    """A unit. Keys are as they are written, and of a key that is repeated all values are kept, line by line."""

    def __init__(self, path: Path) -> None:
        super().__init__(delimiters=("=",), comment_prefixes=("#",), strict=False)
        self.environment = dict(re.findall(r"^Environment=(\w+)=(.*)$", path.read_text(), re.MULTILINE))
        self.read(path, encoding="utf-8")

    def optionxform(self, optionstr: str) -> str:
        return optionstr

    @property
    def arguments(self) -> list[str]:
        command, *options = self["Service"]["ExecStart"].split()
        assert command == EXECUTABLE
        return options


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        lacking("systemd-analyze is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, check=False)


def installed(folder: Path) -> list[Path]:
    """The units as they would be installed, with a program that is there."""
    program = folder / "latigo"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace(EXECUTABLE, str(program))
        (folder / unit.name.replace("@", "@1")).write_text(text, encoding="utf-8")
    return sorted(folder.glob("*.service"))


def test_systemd_accepts_every_unit(tmp_path: Path) -> None:
    ran = analyze("verify", *installed(tmp_path))

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_wrong_unit_is_noticed(tmp_path: Path) -> None:
    unit = installed(tmp_path)[0]
    unit.write_text(unit.read_text().replace("WatchdogSec=60", "WatchdogSeconds=60\nType=ready"), encoding="utf-8")

    complaints = analyze("verify", unit).stderr

    assert "WatchdogSeconds" in complaints
    assert "ready" in complaints


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_unit_is_closed(unit: Path) -> None:
    ran = analyze("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", unit)

    assert ran.returncode == 0, ran.stdout
    assert "Overall exposure level" in ran.stdout


@pytest.mark.parametrize("path", UNITS, ids=lambda unit: unit.name)
def test_every_unit_has_the_time_to_drain_and_is_started_again(path: Path) -> None:
    service = Unit(path)["Service"]
    levels = 2 if "--executors" in Unit(path).arguments else 1  # a parent closes after its executors

    assert timedelta(seconds=int(service["TimeoutStopSec"])) > ExecutorSettings().grace + levels * CLOSING
    assert (service["Type"], service["KillMode"], service["Restart"]) == ("notify", "mixed", "always")
    assert int(service["RestartPreventExitStatus"]) == Exit.CONFIGURATION
    assert timedelta(seconds=int(service["WatchdogSec"])) > Heartbeat(SystemClock())._stuck_after


def test_roles_and_ports_are_those_of_the_command_line() -> None:
    options = {path.stem: Unit(path).arguments for path in UNITS}
    ports = {path.stem: Unit(path).environment["LATIGO_HTTP__PORT"] for path in UNITS}

    assert options == {
        "latigo": ["serve", "--executors", "auto"],
        "latigo-scheduler": ["serve", "--role", "scheduler"],
        "latigo-executor@": ["serve", "--role", "executor"],
    }
    assert ports == {"latigo": "8080", "latigo-scheduler": "8080", "latigo-executor@": "808%i"}


def test_the_account_is_made_under_the_name_that_the_units_use() -> None:
    made = (ROOT / "deploy" / "systemd" / "latigo.conf").read_text(encoding="utf-8")

    assert {Unit(path)["Service"]["User"] for path in UNITS} == set(re.findall(r"^u (\w+) ", made, re.MULTILINE))


def test_the_configuration_to_begin_with_lets_several_processes_share_tasks(tmp_path: Path) -> None:
    folder = ROOT / "deploy" / "systemd"
    text = (folder / "latigo.toml").read_text(encoding="utf-8")
    (path,) = re.findall(r'url_file = "(.+)"', text)
    url = tmp_path / "ledger-url"
    url.write_text("postgresql://latigo:secret@localhost:5432/latigo", encoding="utf-8")
    config = tmp_path / "latigo.toml"
    config.write_text(text.replace(path, str(url)), encoding="utf-8")

    settings = load_settings(config, Unit(folder / "latigo.service").environment)

    assert isinstance(settings.ledger, PostgresLedger)
    assert (
        "kind" not in settings.task_queue.model_fields_set
    )  # else internal is meant, which no executor process shares
    assert path in (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
