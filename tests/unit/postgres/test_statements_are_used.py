"""Every SQL statement is used, and every statement that is used exists."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import latigo
from latigo.postgres.statements import load_statements

SOURCES = Path(latigo.__file__).parent
MODULES = {
    ".".join(path.relative_to(SOURCES.parent).with_suffix("").parts): path.read_text(encoding="utf-8")
    for path in SOURCES.rglob("*.py")
}


def loaded_files(module: str) -> Iterator[tuple[str, str]]:
    """The files, by package and name, that a module loads as its ``SQL``."""
    if "load_statements(" not in MODULES[module]:  # few have: only those are parsed
        return
    for node in ast.parse(MODULES[module]).body:
        match node:
            case ast.Assign(
                targets=[ast.Name("SQL")], value=ast.Call(func=ast.Name("load_statements"), args=[package, *files])
            ):
                yield from ((ast.literal_eval(package), ast.literal_eval(file)) for file in files)


LOADERS = {module: files for module in MODULES if (files := list(loaded_files(module)))}
FILES = sorted({file for files in LOADERS.values() for file in files})


def used_by(loader: str) -> set[str]:
    """The statements that a module uses of its own ``SQL``, or others of the one that they import from it."""
    borrowed = re.compile(rf"from {re.escape(loader)} import .*\bSQL\b")
    texts = [text for module, text in MODULES.items() if module == loader or borrowed.search(text)]
    return {name for text in texts for name in re.findall(r'\bSQL(?:\["|\.)(\w+)', text)}


def test_every_file_of_statements_is_loaded():
    files = {path for path in SOURCES.rglob("*.sql") if path.parent.name != "migrations"}

    assert files == {SOURCES.parent.joinpath(*package.split("."), file) for package, file in FILES}


@pytest.mark.parametrize("loader", sorted(LOADERS))
def test_every_statement_that_is_used_exists(loader: str):
    assert used_by(loader) - set(import_module(loader).SQL) == set()


@pytest.mark.parametrize(("package", "file"), FILES)
def test_every_statement_is_used_and_one_that_is_shared_by_more_than_one_module(package: str, file: str):
    users = [used_by(loader) for loader, files in LOADERS.items() if (package, file) in files]
    wanted = min(len(users), 2)

    assert [name for name in load_statements(package, file) if sum(name in used for used in users) < wanted] == []
