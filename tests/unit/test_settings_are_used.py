"""Every key of the configuration does something: it is read where the work is done."""

import ast
from collections.abc import Iterator
from pathlib import Path

from latigo.settings import Settings
from latigo.settings.keys import kind_name, sections_of

SOURCE = Path(__file__).parents[2] / "src" / "latigo"
#: Needs requests that change something, which there are none of yet.
NOT_YET = {"http.token"}
#: `overrides_for` lays them over these.
OVERRIDDEN = {"schedule.interval", "schedule.delay", "backfill.horizon"}


def keys() -> Iterator[tuple[str, str, str]]:
    """Section, kind and name of every key."""
    for section, field in Settings.model_fields.items():
        for kind in sections_of(field) if section != "override" else ():
            yield from ((section, kind_name(kind), name) for name in kind.model_fields)


def reads() -> set[tuple[str, str]]:
    """Every attribute that is read outside of the settings, with the name of what it is read from."""
    files = [file for file in SOURCE.rglob("*.py") if SOURCE / "settings" not in file.parents]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    plain = {(_name(node.value), node.attr) for node in nodes if isinstance(node, ast.Attribute)}
    return plain | {("", name) for node in nodes if isinstance(node, ast.MatchClass) for name in node.kwd_attrs}


def _name(value: ast.expr) -> str:
    return value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""


def test_every_key_is_read_somewhere_and_not_only_one_of_the_same_name_in_another_section() -> None:
    result = reads()
    names = {name for section, kind, _ in keys() for name in (section, kind)}

    unused = {
        f"{section}.{name}"
        for section, kind, name in keys()
        if not any(read == name and (whose not in names or whose in {section, kind}) for whose, read in result)
    }

    assert unused - OVERRIDDEN == NOT_YET
