"""What cannot be meant so is refused in plain words, and as JSON where JSON was asked for."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from latigo.cli.main import cli
from latigo.cli.tables import show_json_list
from latigo.domain.outcome import UNSTORED

FAILED, USAGE = 1, 2
STATES = "'parked', 'waiting', 'excepted', 'silent', 'message'"


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ("failures --state nope", f"'--state': 'nope' is not one of {STATES}"),
        ("serve --role nope", "'--role': 'nope' is not one of 'scheduler', 'executor', 'all'"),
        ("models list --sort nope", "'--sort': 'nope' is not one of 'name', 'behind', 'silent', 'state'"),
        ("plan --limit x", "'--limit': 'x' is not a whole number"),
        ("plan --limit 2.5", "'--limit': '2.5' is not a whole number"),
        ("sensors list --limit -1", "'--limit': -1 is less than 0"),
        (f"failures --limit {2**63}", f"'--limit': {2**63} is more than {2**63 - 1}"),
        ("demo --models 0", "'--models': 0 is less than 1"),
        ("demo --port 65536", "'--port': 65536 is more than 65535"),
    ],
)
def test_a_value_is_refused_without_the_words_of_a_library(arguments: str, refusal: str) -> None:
    refused = CliRunner().invoke(cli, arguments.split())

    assert refused.exit_code == USAGE
    assert refused.output.endswith(f"Error: Invalid value for {refusal}\n")


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("pause plant", "--reason"),
        ("executors drain host", "--reason"),
        ("models run-now plant/pump", "--reason"),
        ("limits --concurrency 3", "--reason"),
        ("tasks hand-back plant", "--reason"),
        ("failures dismiss --all --yes", "--note"),
    ],
)
@pytest.mark.parametrize("blank", ["", " \n\t "])
def test_why_is_needed_and_a_blank_is_no_reason(command: str, option: str, blank: str) -> None:
    refused = CliRunner().invoke(cli, [*command.split(), option, blank])

    assert refused.exit_code == USAGE
    assert option in refused.output
    assert "Say why, for " in refused.output


@pytest.mark.parametrize("command", ["pause plant", "resume plant", "backfill plant", "limits --reset"])
@pytest.mark.parametrize(
    ("why", "refusal"), [("\x1b[31mred", "It contains control characters"), ("x" * 1001, "It has 1001 characters")]
)
def test_why_is_plain_text_of_a_sensible_length(command: str, why: str, refusal: str) -> None:
    refused = CliRunner().invoke(cli, [*command.split(), "--reason", why])

    assert refused.exit_code == USAGE
    assert refusal in refused.output


@pytest.mark.parametrize("reason", [*UNSTORED, "unreadable", "too_new"])
def test_a_reason_that_cannot_be_retried_is_refused_with_what_to_do(reason: str) -> None:
    refused = CliRunner().invoke(cli, ["retry", "--reason", reason])

    assert refused.exit_code == USAGE
    assert f"{reason} is neither parked nor waiting: " in refused.output
    assert f"latigo failures --reason {reason} lists " in refused.output


@pytest.mark.parametrize("command", ["retry", "failures"])
def test_a_reason_that_there_is_not_is_refused_with_those_that_there_are(command: str) -> None:
    refused = CliRunner().invoke(cli, [command, "--reason", "nope"])

    assert refused.exit_code == USAGE
    assert "There is no cause nope; known: model_gone, " in refused.output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("failures --state nope --json", f"Invalid value for '--state': 'nope' is not one of {STATES}"),
        ("failures --json --qqq", "No such option: --qqq"),
        ("models show --json pump", "Invalid value: a model is written PROJECT/MODEL, not 'pump'"),
        ("plan x --json", "Got unexpected extra argument(s) (x)"),
        ("predict --json plant-a/pump", "Missing option '--from'."),
    ],
)
def test_a_refusal_is_json_too(arguments: str, error: str) -> None:
    ended = run(*arguments.split())

    assert ended.returncode == USAGE
    assert json.loads(ended.stdout) == {"error": error}
    assert ended.stderr.endswith(f"Error: {error}\n")


def test_a_bug_is_json_too_and_its_traceback_is_not_in_it() -> None:
    broken = "import latigo.settings as s; s.load_settings = int\n"
    code = f"{broken}import sys; sys.argv = ['latigo', 'plan', '--json']\nfrom latigo.cli.main import run; run()"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ended.returncode == FAILED
    assert json.loads(ended.stdout)["error"].startswith("TypeError: ")
    assert ended.stderr.startswith("Traceback (most recent call last):\n")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "latigo", *arguments], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize(
    ("limit", "total", "shown"),
    [
        (None, 2, ["a", "b"]),
        (None, 3, {"items": ["a", "b"], "total": 3}),
        (2, 3, {"items": ["a", "b"], "total": 3}),
        (2, 2, {"items": ["a", "b"], "total": 2}),
        (0, 2, {"items": ["a", "b"], "total": 2}),
    ],
)
def test_a_list_in_json_is_an_array_only_where_it_is_whole_and_nobody_limited_it(
    limit: int | None, total: int, shown: object, capsys: pytest.CaptureFixture[str]
) -> None:
    show_json_list(["a", "b"], total, limit)

    assert json.loads(capsys.readouterr().out) == shown
