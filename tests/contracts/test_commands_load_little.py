"""Commands that ask, as programs: what they have loaded when they end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NEEDLESS = {
    *("aiohttp", "alembic", "attr", "dotenv", "numpy", "prometheus_client", "pyarrow", "pydantic_settings", "pygments"),
    *("rich", "sqlalchemy", "structlog", "tenacity", "latigo.executor.pipeline", "latigo.providers.timeseries"),
}
CODE = f"""
import sys
from latigo.__main__ import run
try:
    run()
finally:
    print("loaded:", *sorted({NEEDLESS!r} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "command",
    [
        *("status", "status --json", "models list", "failures", "plan", "plan --cost", "backfills list", "tasks list"),
        *("queue status", "executors list", "circuits list", "limits"),
    ],
)
def test_a_command_that_asks_loads_nothing_that_its_answer_does_not_need(ledger_url: str, command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATIGO")}
    environment |= {"LATIGO_LEDGER__KIND": "postgres", "LATIGO_LEDGER__URL": ledger_url}

    ended = subprocess.run(
        [sys.executable, "-c", CODE, *command.split()], capture_output=True, text=True, check=False, env=environment
    )

    assert ended.returncode in {0, 3}
    assert ended.stdout
    assert ended.stderr.splitlines() == ["loaded:"]


@pytest.mark.parametrize("command", ["sensors list", "sensors exists any", "sensors show any"])
def test_a_command_that_asks_one_source_loads_no_client_of_another_system(command: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATIGO")}
    environment |= {"LATIGO_SENSORS__KIND": "simulated"}

    ended = subprocess.run(
        [sys.executable, "-c", CODE, *command.split()],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )

    assert ended.returncode == 0
    assert ended.stderr.splitlines()[-1] == "loaded: numpy"


def test_a_check_loads_what_it_reads_with_and_nothing_to_work_with(ledger_url: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LATIGO")}
    environment |= {"LATIGO_SENSORS__KIND": "simulated", "LATIGO_MODELS__URL": "http://127.0.0.1:9"}
    environment |= {"LATIGO_MODELS__PROJECTS": "plant"}
    environment |= {"LATIGO_LEDGER__KIND": "postgres", "LATIGO_LEDGER__URL": ledger_url}

    ended = subprocess.run(
        [sys.executable, "-c", CODE, "check"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )

    assert "ok   ledger" in ended.stdout
    assert "ok   sink/postgres" in ended.stdout
    assert ended.stderr.splitlines()[-1] == "loaded: aiohttp attr numpy pyarrow"
