"""``--url``: which commands take it, and what the others say."""

import pytest

from latigo.cli.lazy import PACKAGE
from tests.service.test_without_configuration import COMMANDS, arguments
from tests.support.commands import command

#: Commands that work on this machine or on the systems themselves.
LOCAL = {
    ("check",),
    ("completion",),
    ("config",),
    ("demo",),
    ("ledger", "restored"),
    ("migrate",),
    ("plugins",),
    ("predict",),
    ("sensors", "exists"),
    ("sensors", "list"),
    ("sensors", "show"),
    ("serve",),
}


def takes_url(path: tuple[str, ...]) -> bool:
    return any("--token-file" in parameter.opts for parameter in COMMANDS[path].params)


def test_every_command_that_only_asks_or_acts_takes_it():
    assert {path for path in COMMANDS if not takes_url(path)} == LOCAL
    assert PACKAGE == "latigo.cli.commands"


@pytest.mark.parametrize("path", sorted(LOCAL), ids=" ".join)
async def test_a_command_that_needs_the_systems_refuses_it_and_says_why(path: tuple[str, ...]):
    given = ["completion", "bash"] if path == ("completion",) else arguments(path)

    code, _, error = await command(*given, "--url", "http://localhost:1")

    assert code == 2
    assert "--url cannot be used here: it " in error


async def test_a_token_without_a_url_is_refused():
    code, _, error = await command("status", "--token-file", "x")

    assert (code, error) == (2, "latigo: --token-file is of --url, which is missing\n")


async def test_the_variable_is_refused_by_what_would_work_on_other_systems(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATIGO_URL", "http://localhost:1")

    code, _, error = await command("migrate")

    assert code == 2
    assert "LATIGO_URL (unset it) cannot be used here" in error
