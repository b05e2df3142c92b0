"""Without a configuration: which commands work all the same, and what the others say. Nothing is created by any."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from latigo.cli.main import cli
from tests.support.preloaded import fork
from tests.support.process import STARTS_WITHIN, environment, write_config

DONE, FAILED, USAGE, CONFIGURATION = 0, 1, 2, 78

#: Commands that need none.
WITHOUT = {("config",), ("demo",), ("init",), ("plugins",), ("completion",)}
#: Commands that need no ledger, with a configuration that names none.
WITHOUT_LEDGER = {("check",), ("predict",), ("sensors", "list"), ("sensors", "exists"), ("sensors", "show"), ("serve",)}
#: Commands that create a ledger where there is none.
CREATING = {("migrate",)}
#: What a command gets where it has to be given something: by name of the argument, else of its kind.
GIVEN = {"since": "-1h", "at": "-1h", "model": "plant-a/pump-001", "number": "1"}
#: What a command has to be given although each part of it may be left out.
ONE_OF_SEVERAL: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("backfill",): ("plant-a", "--from", "-1h"),
    ("failures", "dismiss"): ("--note", "known"),
    ("tasks", "hand-back"): ("plant-a/pump-001", "--reason", "hangs"),
}


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ROOT = typer.main.get_command(cli)
assert isinstance(ROOT, TyperGroup)
COMMANDS = dict(commands(ROOT))


def arguments(path: tuple[str, ...]) -> list[str]:
    """The least that a command has to be given, and --yes where it asks."""
    given = list(path)
    for parameter in COMMANDS[path].params:
        value = GIVEN.get(parameter.name, "something")
        if parameter.required:
            given += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
        elif "--yes" in parameter.opts:
            given.append("--yes")
        elif "--all" in parameter.opts:
            given.append("--all")
    return [*given, *ONE_OF_SEVERAL.get(path, ())]


def has_json(path: tuple[str, ...]) -> bool:
    return any("--json" in parameter.opts for parameter in COMMANDS[path].params)


async def run(home: Path, *given: str, **variables: str) -> tuple[int, str, str]:
    """Run a command with an empty home: exit code, standard output, standard error."""
    folder = home / "folder"
    folder.mkdir(exist_ok=True)
    variables = without_folders(environment()) | {"HOME": str(home)} | variables
    with TemporaryFile() as output, TemporaryFile() as errors:
        process = await fork(*given, folder=folder, environment=variables, output=output, errors=errors)
        try:
            async with asyncio.timeout(STARTS_WITHIN):
                code = await process.wait()
        finally:
            process.kill()
        for stream in (output, errors):
            stream.seek(0)
        return code, output.read().decode(), errors.read().decode()


def without_folders(inherited: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in inherited.items() if not key.startswith("XDG_")}


def left_in(home: Path) -> list[str]:
    """Everything that was created."""
    return [str(path.relative_to(home)) for path in home.rglob("*") if path != home / "folder"]


@pytest.mark.parametrize("path", [path for path in COMMANDS if path not in WITHOUT], ids=" ".join)
async def test_a_command_refuses_to_run_without_a_configuration_and_creates_nothing(
    tmp_path: Path, path: tuple[str, ...]
) -> None:
    code, output, errors = await run(tmp_path, *arguments(path))

    assert (code, output) == (CONFIGURATION, "")
    assert errors.startswith("latigo: there is no configuration: ")
    assert "latigo demo" in errors
    assert "latigo config > latigo.toml" in errors
    assert "Traceback" not in errors
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("path", [path for path in COMMANDS if path not in WITHOUT and has_json(path)], ids=" ".join)
async def test_a_command_fails_as_one_json_document_with_the_message(tmp_path: Path, path: tuple[str, ...]) -> None:
    """Once without a configuration, and once while all that a configuration names is unreachable."""
    nowhere = "http://127.0.0.1:9"
    config = write_config(
        tmp_path,
        ledger={"kind": "postgres", "url": f"postgresql://x@/x?host={tmp_path}"},
        models={"url": nowhere},
        sensors={"kind": "influx", "url": nowhere, "database": "plant"},
    )

    refused = await run(tmp_path, *arguments(path), "--json")
    failed = await run(tmp_path, *arguments(path), "--json", "--config", str(config))

    for code, output, errors in (refused, failed):
        answer = json.loads(output)
        if path == ("check",) and code == FAILED:
            assert not any(check["ok"] for check in answer if check["system"] != "task_queue")
        else:
            assert f"latigo: {answer['error']}\n" == errors
            assert "Traceback" not in errors
    assert (refused[0], failed[0]) == (CONFIGURATION, CONFIGURATION if path == ("queue", "reset") else FAILED)
    assert left_in(tmp_path) == [config.name]


@pytest.mark.parametrize(
    "given", [("config",), ("--version",), ("--help",), ("status", "--help"), ("completion", "zsh")]
)
async def test_what_needs_no_configuration_works_without_and_creates_nothing(
    tmp_path: Path, given: tuple[str, ...]
) -> None:
    code, output, errors = await run(tmp_path, *given)

    assert (code, errors) == (DONE, "")
    assert output
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "path", [path for path in COMMANDS if path not in WITHOUT | WITHOUT_LEDGER | CREATING], ids=" ".join
)
async def test_a_command_that_asks_or_changes_creates_no_ledger(server_folder: Path, path: tuple[str, ...]) -> None:
    config, ledger, home = absent_ledger(server_folder)

    code, output, errors = await run(home, *arguments(path), "--config", str(config))

    if path == ("queue", "reset"):
        assert code == CONFIGURATION
    else:
        assert code == FAILED
        assert f"the ledger does not exist yet: latigo serve creates it in {ledger} (ledger.data_dir)" in errors
    assert output.rpartition(", ")[2].strip() in {"", "unknown"}
    assert (left_in(home), list(ledger.iterdir())) == ([], [])


async def test_a_check_does_not_create_a_ledger_either(server_folder: Path) -> None:
    config, ledger, home = absent_ledger(server_folder)

    _, output, _ = await run(home, "check", "--config", str(config))

    assert "ok   ledger: embedded, does not exist yet" in output
    assert (left_in(home), list(ledger.iterdir())) == ([], [])


def absent_ledger(folder: Path) -> tuple[Path, Path, Path]:
    """A configuration, the empty folder of its ledger, and a home."""
    ledger, home = folder / "ledger", folder / "home"
    ledger.mkdir()
    home.mkdir()
    return write_config(folder, ledger={"kind": "embedded", "data_dir": str(ledger)}), ledger, home


@pytest.mark.parametrize(
    "variables",
    [
        {"LATIGO_LOG": "debug"},
        {"LATIGO_X": "1"},
        {"LATIGO_EXECUTR__CONCURRENCY": "4"},
        {"LATIGO_HTTP_PORT": "80"},
        {"LATIGO_CONFIG": ""},
        {"LATIGO": "1"},
        {"EXECUTOR__CONCURRENCY": "4"},
    ],
    ids=lambda variables: next(iter(variables)),
)
async def test_a_variable_that_is_of_no_section_is_no_configuration(tmp_path: Path, variables: dict[str, str]) -> None:
    code, _, errors = await run(tmp_path, "status", **variables)

    assert code == CONFIGURATION
    assert errors.startswith("latigo: there is no configuration: ")
    assert all(name in errors for name in variables if name.startswith("LATIGO_"))
    assert left_in(tmp_path) == []


async def test_what_config_prints_is_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    written = tmp_path / "folder" / "latigo.toml"

    _, output, _ = await run(tmp_path, "config")
    written.write_text(output)
    again = await run(tmp_path, "config")

    assert again == (DONE, written.read_text(), "")


@pytest.mark.parametrize("named", [("--config",), ()], ids=["option", "variable"])
async def test_a_file_that_is_named_and_is_not_there_is_named_again(tmp_path: Path, named: tuple[str, ...]) -> None:
    missing = str(tmp_path / "missing.toml")

    code, _, errors = await run(tmp_path, "status", *((*named, missing) if named else ()), LATIGO_CONFIG=missing)

    assert code == CONFIGURATION
    assert f"{missing} cannot be read: " in errors
    assert left_in(tmp_path) == []
