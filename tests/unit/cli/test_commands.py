"""The commands are listed without being imported, and their help in the list is their own."""

import subprocess
import sys

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from latigo.cli.lazy import LazyGroup
from latigo.cli.main import Commands, Models, Queue, Sensors, cli

GROUPS: tuple[type[LazyGroup], ...] = (Commands, Models, Sensors, Queue)
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


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_nothing_heavy_is_imported_for_help_and_version(option: str) -> None:
    code = f"""
import sys
from latigo.cli.main import run
sys.argv = ["latigo", "{option}"]
try:
    run()
finally:
    print(sorted({{"aiohttp", "asyncpg", "numpy", "pyarrow", "pydantic", "rich", "sqlalchemy"}} & set(sys.modules)))
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert output.splitlines()[-1] == "[]"
