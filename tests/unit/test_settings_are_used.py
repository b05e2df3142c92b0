"""Every key of the configuration does something: it is read where the work is done."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from latigo.settings import Settings
from latigo.settings.keys import deprecated_keys, kind_name, sections_of
from latigo.telemetry.events import EVENTS
from tests.support.sources import SOURCE, syntax

#: What the code calls a section, or something that holds it, next to the names of section and kind.
CALLED = {
    "ledger": set(),
    "task_queue": {"hub", "eventhub", "_eventhub"},
    "models": {"_models"},
    "metadata_api": {"settings"},
    "sensors": {"settings", "plugin", "server"},
    "predictions": {"settings", "plugin", "section", "sink", "server"},
}


def keys() -> Iterator[tuple[str, str, str]]:
    """Section, kind and name of every key that is not deprecated."""
    for section, field in Settings.model_fields.items():
        for kind in sections_of(field) if section != "override" else ():
            yield from (
                (section, kind_name(kind), name) for name in set(kind.model_fields) - set(deprecated_keys(kind))
            )


def reads() -> set[tuple[str, str]]:
    """Every attribute that is read outside of the settings, with the name of what it is read from."""
    trees = [tree for file, tree in syntax().items() if not in_settings(file)]
    nodes = [node for tree in [*trees, *results_of_settings()] for node in ast.walk(tree)]
    plain = {(_name(node.value), node.attr) for node in nodes if isinstance(node, ast.Attribute)}
    return plain | {("", name) for node in nodes if isinstance(node, ast.MatchClass) for name in node.kwd_attrs}


def in_settings(file: Path) -> bool:
    return SOURCE / "settings" in file.parents


def results_of_settings() -> Iterator[ast.AST]:
    """What the settings work out for others: the schedule of a model, and properties such as the address of a hub."""
    for tree in (tree for file, tree in syntax().items() if in_settings(file)):
        for node in ast.walk(tree):
            is_property = isinstance(node, ast.FunctionDef) and any(_name(d) == "property" for d in node.decorator_list)
            if is_property or (isinstance(node, ast.FunctionDef) and node.name == "overrides_for"):
                yield node


def _name(value: ast.expr) -> str:
    return value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""


def test_every_key_is_read_somewhere_and_not_only_one_of_the_same_name_in_another_section() -> None:
    result = reads()

    unused = sorted(
        f"{section}.{name}"
        for section, kind, name in keys()
        if not {(called, name) for called in {section, kind, "", "self", *CALLED.get(section, ())}} & result
    )

    assert unused == []


def test_the_one_key_that_nothing_reads_is_deprecated_in_every_text_about_it() -> None:
    deprecated = {
        f"{section}.{name}": kind.model_fields[name].description or ""
        for section, field in Settings.model_fields.items()
        for kind in sections_of(field)
        for name in deprecated_keys(kind)
    }

    assert list(deprecated) == ["http.token"]
    assert all(description.startswith("Deprecated: ") for description in deprecated.values())


def test_every_key_that_a_text_names_exists() -> None:
    sections = {section: sections_of(field) for section, field in Settings.model_fields.items()}
    known = {f"{section}.{name}" for section, kinds in sections.items() for kind in kinds for name in kind.model_fields}
    named = re.compile(rf"(?<![\w./-])(?:{'|'.join(sections)})\.(?!sql\b|js\b|txt\b)[a-z_]+(?![\w(.])")
    texts = [
        node.value
        for tree in syntax().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]

    found = {key for text in texts for key in named.findall(text)} - set(EVENTS)

    assert found & known
    assert sorted(found - known) == []
