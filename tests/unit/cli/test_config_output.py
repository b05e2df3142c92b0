"""What ``latigo config`` prints."""

import json
import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from latigo.cli.commands.config import effective_configuration
from latigo.runtime.redaction import MASK
from latigo.settings import Settings, load_settings
from latigo.settings.reference import to_toml


def test_what_is_printed_is_the_same_configuration_again(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "schedule": {"interval": "1h"},
            "models": {"projects": ["plant-a", 'a "quoted" \\ one']},
            "sensors": {"kind": "python:a.b:c", "options": {"nested": {"deep": [1, 2.5, True]}, "odd key": "ü\n"}},
            "predictions": [{"retention": "30d"}, {"name": "second", "required": False}],
            "override": [{"match": "plant-a/*", "delay": "3h"}],
        }
    )
    printed = tmp_path / "printed.toml"

    printed.write_text(effective_configuration(settings))

    assert load_settings(printed, {}) == settings


def test_secrets_are_not_printed() -> None:
    settings = Settings.model_validate({"http": {"token": "s3cret"}})

    for as_json in (False, True):
        printed = effective_configuration(settings, as_json=as_json)
        assert "s3cret" not in printed
        assert MASK in printed


def test_as_json_it_holds_the_same() -> None:
    assert json.loads(effective_configuration(Settings(), as_json=True)) == Settings().masked()


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, max_size=3))
)
def test_every_tree_of_tables_is_read_back_from_its_toml(tree: dict[str, dict[str, object]]) -> None:
    assert tomllib.loads(to_toml(tree)) == tree
