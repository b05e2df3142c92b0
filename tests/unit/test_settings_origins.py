"""Where each value of the settings comes from."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.errors import ConfigurationError
from latigo.runtime.redaction import MASK
from latigo.settings import Settings, load_settings
from latigo.settings.origins import Origin, Value, key_of, leaves, lines_of

DOCUMENT = """\
# comments count as lines
[models]
url = "http://gordo"
projects = [
  "plant-a",  # and others
  "plant-b",
]

[[sensors]]
kind = "influx"
name = "first"
tags = ["A*"]
database = "one"
[[sensors]]
kind = "influx"
name = "second"
database = "two"

[http.tokens]
anna = { token = "secret-of-anna", may = "act" }
[http]
port = 8090
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "latigo.toml"
    path.write_text(DOCUMENT)
    return path


def values(file: Path | None, **environ: str) -> dict[str, Value]:
    return {value.key: value for value in load_settings(file, environ).values()}


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("models.url", 3),
        ("models.projects", 4),
        ("sensors[0].name", 11),
        ("sensors[1].name", 16),
        ("sensors[1].database", 17),
        ("http.tokens.anna.may", 20),
        ("http.port", 22),
    ],
)
def test_what_the_file_gives_comes_from_its_line(file: Path, key: str, line: int):
    assert values(file)[key].origin == Origin("file", f"{file}:{line}")


def test_a_variable_is_stronger_than_the_file_and_is_named(file: Path):
    found = values(file, LATIGO_HTTP__PORT="8091", latigo_executor__concurrency="7")

    assert (found["http.port"].value, found["http.port"].origin) == (8091, Origin("environment", "LATIGO_HTTP__PORT"))
    assert found["executor.concurrency"].origin == Origin("environment", "latigo_executor__concurrency")
    assert found["models.url"].origin.source == "file"


def test_a_whole_section_in_a_variable_counts_for_its_keys(file: Path):
    found = values(file, LATIGO_BACKFILL='{"horizon": "3d"}')

    assert (found["backfill.horizon"].value, found["backfill.horizon"].origin.where) == ("3d", "LATIGO_BACKFILL")


def test_no_other_key_of_a_section_comes_from_its_variable_and_no_replaced_one_from_the_file(tmp_path: Path):
    path = tmp_path / "latigo.toml"
    path.write_text('[executor]\nlease = "1m"\nconcurrency = 3\n[[predictions]]\nretention = "50d"\n[backfill]\n')
    found = values(path, LATIGO_EXECUTOR='{"concurrency": 6}', LATIGO_PREDICTIONS='[{"kind": "postgres"}]')

    assert (found["executor.lease"].value, found["executor.lease"].origin) == ("1m", Origin("file", f"{path}:2"))
    assert found["executor.concurrency"].value == 6
    assert found["executor.concurrency"].origin == Origin("environment", "LATIGO_EXECUTOR")
    assert found["executor.renew"].origin == found["backfill.horizon"].origin == Origin("default", "")
    assert found["predictions[0].kind"].origin == Origin("environment", "LATIGO_PREDICTIONS")
    assert found["predictions[0].retention"].origin == Origin("default", "")


def test_a_variable_changes_an_item_of_the_file_whatever_its_case(tmp_path: Path):
    path = tmp_path / "latigo.toml"
    path.write_text('[http.tokens.Anna]\ntoken = "secret-of-anna"\nmay = "act"\n[models.headers]\nX-Key = "old"\n')
    environ = {"LATIGO_HTTP__TOKENS__ANNA__TOKEN": "new-secret-of-anna", "LATIGO_MODELS__HEADERS__X-KEY": "new"}

    settings = load_settings(path, environ)

    assert {name: each.token.get_secret_value() for name, each in settings.http.tokens.items()} == {
        "Anna": "new-secret-of-anna"
    }
    assert settings.models.fixed_headers() == {"X-Key": "new"}
    assert values(path, **environ)["models.headers.X-Key"].origin.where == "LATIGO_MODELS__HEADERS__X-KEY"


def test_everything_else_is_a_default_and_known(file: Path):
    found = values(file)

    assert found["backfill.horizon"] == Value("backfill.horizon", "7d", "7d", Origin("default", ""))
    assert found["http.port"].default == 8080


def test_secrets_are_masked(file: Path):
    found = values(file, LATIGO_HTTP__TOKENS__BOB__TOKEN="secret-of-bob", LATIGO_HTTP__TOKENS__BOB__MAY="read")

    assert (found["http.tokens.anna.token"].value, found["http.tokens.bob.token"].value) == (MASK, MASK)
    assert not any("secret-of" in str(value) for value in found.values())


def test_settings_are_equal_wherever_they_come_from(tmp_path: Path):
    path = tmp_path / "latigo.toml"
    path.write_text("[http]\nport = 8080\n")

    assert load_settings(path, {}) == load_settings(None, {"LATIGO_HTTP__PORT": "8080"}) == Settings()


def test_a_value_whose_line_is_not_found_is_of_the_file(tmp_path: Path):
    path = tmp_path / "latigo.toml"
    path.write_text('"http" . "port" = 8090\nbackfill."horizon" = "3d"\n')

    found = values(path)

    assert found["http.port"].origin == Origin("file", f"{path}:1")
    assert found["backfill.horizon"].origin == Origin("file", f"{path}:2")
    assert lines_of("odd", {"a": {"b": 1}}) == {("a", "b"): None}


def test_keys_are_written_as_people_write_them():
    tree = {"a": [{"b": [1, 2]}, {"b": []}], "c": {}}

    assert {key_of(path): value for path, value in leaves(tree)} == {"a[0].b": [1, 2], "a[1].b": [], "c": {}}


def test_a_secret_in_a_file_of_its_own_comes_from_where_that_is_named(tmp_path: Path):
    (tmp_path / "bob").write_text("secret-of-bob")
    path = tmp_path / "latigo.toml"
    path.write_text(f'[http.tokens.bob]\nmay = "read"\nfile = "{tmp_path}/bob"\n')

    found = values(path)["http.tokens.bob.token"]

    assert (found.value, found.origin) == (MASK, Origin("secret file", f"{path}:3"))


_NAMES = ("a", "url", "plant.a", "x y", "Ø", "A-b", 'q"q', "e=f", "[t]", "#h", "1", "back\\slash")
_VALUES = (
    *("1", '"x = 1 # y [z]"', "'c:\\'", '["""a"""]', "{ a = 1, 'x y' = 2 }", '[{a = 1}, {"x y" = 2}]'),
    *('"""\na = 1\n[b]\n""""', "'''\nurl = 2\n[[a]]\n'''", "[\n  1, # a = 2 ]\n  2,\n]", '[ "a = b",\n"[c]"]'),
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[tuple[str | int, ...], int]]:
    """A TOML document, and the line of each of its keys."""
    lines: list[str] = []
    keys: dict[tuple[str | int, ...], int] = {}

    def written(name: str) -> str:
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        forms = [quoted, f"'{name}'", *([name] if re.fullmatch(r"[A-Za-z0-9_-]+", name) else [])]
        return draw(st.sampled_from(forms))

    for table in draw(st.lists(st.sampled_from(_NAMES), unique=True, min_size=1, max_size=4)):
        items = draw(st.integers(0, 2))
        for item in range(max(items, 1)):
            header = f"{written(table)} . {written('in it')}"
            lines.append((f"[[{header}]]" if items else f"[{header}]") + draw(st.sampled_from(["", "  # a = 1"])))
            for name in draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=4)):
                keys[(table, "in it", *([item] if items else []), name)] = len(lines) + 1
                lines += f"{written(name)} = {draw(st.sampled_from(_VALUES))}".split("\n")
    return "\n".join(lines), keys


@given(documents())
def test_each_line_is_found_however_keys_and_values_are_written(
    document: tuple[str, dict[tuple[str | int, ...], int]],
) -> None:
    text, keys = document

    found = lines_of(text, tomllib.loads(text))

    for path, line in found.items():
        assert line == next(keys[path[:length]] for length in range(len(path), 0, -1) if path[:length] in keys)


@pytest.mark.parametrize("name", ["LATIGO_MODELS__\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}", "LATIGO_HTTP__\u212a"])
def test_a_variable_with_letters_that_change_with_their_case_is_refused_by_its_name(name: str):
    with pytest.raises(ConfigurationError, match=name):
        load_settings(None, {name: "x"})
