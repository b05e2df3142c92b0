"""Arguments that no ledger, server or calendar can hold are refused with a sentence, and never end as a crash."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from latigo.cli.main import cli
from latigo.runtime.times import parse_time

USAGE = 2


@pytest.mark.parametrize("command", ["failures", "plan", "models list", "sensors list"])
@pytest.mark.parametrize("limit", [str(2**63), "9" * 40, "-1"])
def test_a_limit_beyond_what_the_ledger_counts_is_refused(command: str, limit: str) -> None:
    refused = CliRunner().invoke(cli, [*command.split(), "--limit", limit])

    assert refused.exit_code == USAGE
    assert "--limit" in refused.output


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "1699-12-31T23:59Z", "2200-01-01", "-300000d"])
def test_a_year_that_no_reading_can_have_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_time(text, datetime(2024, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "command", ["sensors show", "sensors exists", "models show", "predict --from -1h", "status -c"]
)
def test_an_argument_that_is_not_text_is_refused(command: str) -> None:
    arguments: list[str | bytes] = [sys.executable, "-m", "latigo", *command.split(), b"a/\xff"]

    ended = subprocess.run(arguments, capture_output=True, check=False, env={**os.environ, "PYTHONUTF8": "1"})

    assert ended.returncode == USAGE
    assert ended.stderr.startswith(b"latigo: ")
    assert b"is not UTF-8" in ended.stderr
    assert b"Traceback" not in ended.stderr
