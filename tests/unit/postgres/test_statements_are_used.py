"""Every SQL statement is used, and every statement that is used exists."""

import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import latigo
from latigo.postgres.statements import load_statements

SOURCES = Path(latigo.__file__).parent
#: The files of statements of a package, and the modules that use them.
OWNERS = {
    ("ledger", "sql/executor.sql"): ("executor_store",),
    ("ledger", "sql/models.sql"): ("model_store",),
    ("ledger", "sql/reports.sql"): ("reports",),
    ("ledger", "sql/requests.sql"): ("reports",),
    ("ledger", "sql/scheduler.sql"): ("scheduler_store",),
    ("providers/postgres", "queries.sql"): ("predictions",),
    ("task_queue/eventhub", "queries.sql"): ("checkpoints", "lag", "store"),
}
SHARED = ("ledger", "sql/shared.sql")


def statements(package: str, file: str) -> set[str]:
    return set(load_statements(f"latigo.{package}".replace("/", "."), file))


def used_by(package: str, *modules: str) -> set[str]:
    text = "".join((SOURCES / package / f"{module}.py").read_text() for module in modules)
    return set(re.findall(r'\bSQL(?:\["|\.)(\w+)', text))


def test_every_file_of_statements_has_an_owner():
    files = {path for path in SOURCES.rglob("*.sql") if path.parent.name != "migrations"}

    assert files == {SOURCES / package / file for package, file in (*OWNERS, SHARED)}


@pytest.mark.parametrize(("package", "file"), list(OWNERS))
def test_every_statement_is_used_by_its_owner(package: str, file: str):
    assert statements(package, file) - used_by(package, *OWNERS[package, file]) == set()


@pytest.mark.parametrize(
    ("package", "module"), sorted({(package, module) for (package, _), modules in OWNERS.items() for module in modules})
)
def test_every_statement_that_is_used_exists(package: str, module: str):
    loaded = import_module(f"latigo.{package}.{module}".replace("/", ".")).SQL

    assert used_by(package, module) - set(loaded) == set()


def test_what_is_shared_is_used_by_several_stores():
    package, _ = SHARED
    modules = {module for (owner, _), modules in OWNERS.items() if owner == package for module in modules}
    users = Counter(name for module in modules for name in used_by(package, module))

    assert {name for name in statements(*SHARED) if users[name] < 2} == set()
