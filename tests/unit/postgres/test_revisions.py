"""How a schema stands to a program, and the rule by which schemas change."""

import re
from collections.abc import Iterator, Sequence
from importlib import import_module, resources
from itertools import pairwise

import pytest

from latigo.domain.errors import ConfigurationError
from latigo.postgres.revisions import SchemaComparison, compare_schema, newest_revision
from latigo.postgres.statements import load_statements

#: What a program that is older does not notice. A view that is replaced keeps its columns: PostgreSQL sees to that.
ADDS = (
    r"CREATE (UNLOGGED )?TABLE \w+ \(",
    r"CREATE INDEX \w+ ON ",
    r"CREATE (OR REPLACE )?(VIEW|FUNCTION) ",
    r"ALTER TABLE \w+ ADD COLUMN \w+ (?!.*NOT NULL)(?!.*UNIQUE)(?!.*CHECK)",
    r"ALTER TABLE \w+ ADD COLUMN \w+ .*NOT NULL DEFAULT ",
    # Does for an older program what it does not know of: decision 18.
    r"CREATE TRIGGER prediction_of_older_program BEFORE INSERT ",
    # Refuses less than before: decision 29.
    r"CREATE UNIQUE INDEX task_one_live ON task \(model_id\) ",
    r"DROP INDEX task_one_per_lane",
    r"DROP INDEX queued_task_waiting",  # they read the same rows without it
    r"UPDATE task SET detail = '' WHERE state = 'waiting' AND detail = ",  # which only people read
    r"CREATE TRIGGER model_tags_replaced AFTER UPDATE OF spec ON model ",  # decision 22
)
#: Does as it likes with a table of its own.
ON = re.compile(r"(?:CREATE UNIQUE INDEX \w+ ON|ALTER TABLE|INSERT INTO) (\w+)")


@pytest.mark.parametrize(
    ("revision", "stands"),
    [
        (None, SchemaComparison.OLDER),
        ("0003", SchemaComparison.OLDER),
        ("0004", SchemaComparison.SAME),
        ("0005", SchemaComparison.NEWER),
        ("0999", SchemaComparison.NEWER),
    ],
)
def test_a_newer_schema_of_the_same_thousand_will_do(revision: str | None, stands: SchemaComparison) -> None:
    assert compare_schema(revision, "0004") is stands


def test_a_schema_of_the_next_thousand_is_refused_naming_both() -> None:
    with pytest.raises(ConfigurationError, match=r"is 1001\b.* up to 0004\b.*update"):
        compare_schema("1001", "0004")


def revisions() -> list[str]:
    """The modules of all revisions, in order."""
    names = (each.name for each in resources.files("latigo.postgres.migrations.versions").iterdir())
    return sorted(name.removesuffix(".py") for name in names if name[:4].isdigit())


def test_revisions_follow_each_other_and_the_newest_one_is_known() -> None:
    modules = [import_module(f"latigo.postgres.migrations.versions.{name}") for name in revisions()]

    assert [each.down_revision for each in modules] == [None, *(each.revision for each in modules[:-1])]
    assert [each.revision for each in modules] == [name[:4] for name in revisions()]
    assert modules[-1].revision == newest_revision()


def statements_of(name: str, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """What a revision executes, each in one line and without comments."""
    ran: list[tuple[str, str]] = []
    module = import_module(f"latigo.postgres.migrations.versions.{name}")
    patch.setattr(module, "run_file", lambda file, package="latigo.postgres.migrations": ran.append((package, file)))
    module.upgrade()
    for package, file in ran:
        for statement in load_statements(package, file).values():
            yield " ".join(re.sub(r"--.*", "", statement).split())


def what_older_programs_notice(statements: Sequence[str]) -> list[str]:
    """Those that do more than add."""
    new = {result[1] for each in statements if (result := re.match(r"CREATE (?:UNLOGGED )?TABLE (\w+)", each))}
    noticed = [each for each in statements if not any(re.match(adds, each) for adds in ADDS)]
    return [each for each in noticed if not ((result := ON.match(each)) and result[1] in new)]


@pytest.mark.parametrize("name", [name for before, name in pairwise(revisions()) if name[0] == before[0]])
def test_a_revision_only_adds_to_its_thousand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = list(statements_of(name, monkeypatch))

    assert statements
    assert what_older_programs_notice(statements) == []


def test_what_removes_or_requires_more_is_distinguished_from_what_adds() -> None:
    adding = [
        "CREATE TABLE pause ( project text )",
        "CREATE UNIQUE INDEX pause_one ON pause (project)",
        "ALTER TABLE task ADD COLUMN later timestamptz",
        "ALTER TABLE task ADD COLUMN weight int NOT NULL DEFAULT 1",
    ]
    changing = [
        "DROP VIEW v_tasks",
        "ALTER TABLE task DROP COLUMN trace",
        "ALTER TABLE task RENAME COLUMN span TO period",
        "ALTER TABLE task ADD COLUMN weight int NOT NULL",
        "CREATE UNIQUE INDEX task_one ON task (model_id)",
        "UPDATE task SET lane = 'live'",
    ]

    assert what_older_programs_notice([*adding, *changing]) == changing
