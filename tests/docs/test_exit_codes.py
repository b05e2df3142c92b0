"""The exit codes of the documentation are those of the program."""

import re
from datetime import timedelta
from pathlib import Path

from latigo.cli.exits import Exit, exit_code
from latigo.domain.errors import ConfigurationError, LatigoError, NoConfiguration, Unavailable, UnknownName
from latigo.service import LISTEN_WITHIN
from tests.deploy.test_supervisord_conf import PROGRAMS, conf

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Exit codes\n")[2].partition("\n## ")[0]


def test_the_table_has_every_exit_code_and_no_other() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", SECTION, re.MULTILINE)] == sorted(Exit)


def test_the_help_of_commands_names_no_other_exit_code() -> None:
    commands = (ROOT / "src" / "latigo" / "cli" / "commands").glob("*.py")
    texts = [" ".join(path.read_text(encoding="utf-8").split()) for path in commands]
    named = {int(code) for text in texts for code in re.findall(r"Exit code (\d+)", text)}

    assert named
    assert named <= set(Exit)


def test_errors_end_as_the_table_says() -> None:
    errors: list[LatigoError] = [
        Unavailable("away", downstream="ledger"),
        UnknownName("plnt-a"),
        ConfigurationError("http.port"),
        NoConfiguration("there is none"),
    ]

    assert [exit_code(error) for error in errors] == [1, 2, 78, 78]


def test_supervisors_restart_after_every_exit_code_but_that_of_a_configuration() -> None:
    assert "`exitcodes=78`" in SECTION
    assert "`RestartPreventExitStatus=78`" in SECTION
    for program in PROGRAMS:
        # Or three ports in use in a row would leave it down.
        assert timedelta(seconds=float(conf()[program]["startsecs"])) < LISTEN_WITHIN
