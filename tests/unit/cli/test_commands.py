"""The commands are listed without being imported, and their help in the list is their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from latigo.cli.lazy import LazyGroup
from latigo.cli.main import Backfills, Commands, Models, Queue, Sensors, cli

GROUPS: tuple[type[LazyGroup], ...] = (Commands, Models, Sensors, Queue, Backfills)
ROOT = get_command(cli)


def group(kind: type[LazyGroup]) -> LazyGroup:
    assert isinstance(ROOT, LazyGroup)
    result = ROOT if kind is Commands else ROOT.commands[kind.__name__.lower()]
    assert isinstance(result, LazyGroup)
    return result


@pytest.mark.parametrize("kind", GROUPS)
def test_the_list_says_of_each_command_what_it_says_itself(kind: type[LazyGroup]) -> None:
    for name, command in group(kind).commands.items():
        listed = kind.table[name]
        explained = str(command.help).splitlines()[0].rstrip(".")
        assert explained == (listed if isinstance(listed, str) else listed.summary())


@pytest.mark.parametrize("kind", GROUPS)
def test_every_command_ends_its_help_with_examples_of_itself(kind: type[LazyGroup]) -> None:
    path = [] if kind is Commands else [kind.__name__.lower()]
    for name, command in group(kind).commands.items():
        if not isinstance(command, TyperGroup):
            helped = CliRunner().invoke(cli, [*path, name, "--help"]).output
            examples = helped.partition("Examples:")[2].strip().splitlines()
            assert examples
            assert all(" ".join(["latigo", *path]) in example for example in examples)


@pytest.mark.parametrize("kind", [kind for kind in GROUPS if kind.default])
def test_the_help_of_a_group_lists_the_options_of_the_command_that_runs_without_a_name(kind: type[LazyGroup]) -> None:
    name = kind.__name__.lower()
    options = {
        option
        for parameter in group(kind).commands[kind.default].params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }

    helped = CliRunner().invoke(cli, [name, "--help"]).output

    assert options >= {"-c", "--config", "--json"}
    assert {option for option in options if option in helped} == options
    assert all(f"  {command} " in helped for command in kind.table)


HEAVY = {
    *("aiohttp", "alembic", "asyncpg", "latigo.settings", "numpy", "orjson", "prometheus_client", "pyarrow"),
    *("pydantic", "rich", "sqlalchemy", "structlog"),
}


def paths(kind: type[LazyGroup], *path: str) -> Iterator[tuple[str, ...]]:
    for name, entry in kind.table.items():
        yield (*path, name)
        if not isinstance(entry, str):
            yield from paths(entry, *path, name)


def imported(*arguments: str, **variables: str) -> tuple[str, list[str]]:
    """Run a command in a process of its own: what it prints, and which heavy modules it has imported."""
    code = f"""
import sys
from latigo.cli.main import run
sys.argv = ["latigo", *{arguments!r}]
try:
    run()
finally:
    print(*sorted({HEAVY!r} & set(sys.modules)), sep=",", file=sys.stderr)
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("_LATIGO")} | variables
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return result.stdout, [name for name in result.stderr.splitlines()[-1].split(",") if name]


def test_nothing_heavy_is_imported_for_help_and_version() -> None:
    commands = [("--version",), ("--help",), *((*path, "--help") for path in paths(Commands))]
    code = f"""
import io, json, sys
from contextlib import redirect_stdout, suppress
from latigo.cli.main import run
for arguments in {commands!r}:
    sys.argv, before = ["latigo", *arguments], set(sys.modules)
    with redirect_stdout(io.StringIO()) as output, suppress(SystemExit):
        run()
    heavy = sorted({HEAVY!r} & (set(sys.modules) - before))
    print(json.dumps([arguments, bool(output.getvalue()), heavy]))
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("_LATIGO")}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)

    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert found == [[list(arguments), True, []] for arguments in commands]
    assert len(found) > 40


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("latigo fail", ["failures"]),
        ("latigo models un", ["unregister"]),
        ("latigo models list --st", ["--state"]),
        ("latigo models list --state sil", ["silent"]),
    ],
)
def test_a_shell_completes_words_without_anything_heavy(words: str, completed: list[str]) -> None:
    output, heavy = imported(_LATIGO_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))

    assert output.split() == completed
    assert heavy == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_asks_the_program(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])

    assert result.exit_code == 0
    assert f"_LATIGO_COMPLETE=complete_{shell}" in result.output


#: What a command that asks the ledger needs of Latigo, apart from its own endpoint.
ASKING = ("cli.asking", "cli.tables", "runtime.event_loop", "runtime.log")
#: Clients of other systems, and what only some answers, errors or logged events need.
NEEDLESS = {
    *("aiohttp", "alembic", "argparse", "attr", "dotenv", "numpy", "prometheus_client", "pyarrow", "pydantic_settings"),
    *("pygments", "rich", "sqlalchemy", "structlog", "tenacity", "latigo.postgres.embedded"),
}


def loaded_with(endpoints: Sequence[str], common: Iterable[str], needless: AbstractSet[str]) -> dict[str, Any]:
    """For each module of endpoints: how many modules a process that asks one of them has loaded, and which needless.

    A process that has imported what all have in common is forked for each: that takes most of the time.
    """
    code = f"""
import importlib, json, os, sys
for name in {[*common]!r}:
    importlib.import_module(f"latigo.{{name}}")
for name in {[*endpoints]!r}:
    if not os.fork():
        importlib.import_module(f"latigo.web.api.{{name}}")
        print(json.dumps([name, len(sys.modules), sorted({needless!r} & set(sys.modules))]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name: (count, found) for name, count, found in map(json.loads, result.stdout.splitlines())}


def test_a_command_that_asks_the_ledger_loads_nothing_else() -> None:
    """Counted in modules and not in seconds, which a busy machine stretches."""
    endpoints = ("controls", "executors", "failures", "models", "queue", "requests", "status")
    loaded = loaded_with(endpoints, [*ASKING, "wiring.answering", "wiring.ledger"], NEEDLESS)

    assert {name: needless for name, (_, needless) in loaded.items()} == {name: [] for name in endpoints}
    assert [name for name, (count, _) in loaded.items() if count >= 500] == []


def test_a_command_that_asks_over_http_loads_no_settings() -> None:
    endpoints = ("executors", "failures", "models", "status")
    loaded = loaded_with(endpoints, ASKING, NEEDLESS | {"latigo.settings", "latigo.wiring"})

    assert {name: needless for name, (_, needless) in loaded.items()} == {name: [] for name in endpoints}
