"""Variables as tables of settings."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr, Tag

from latigo.settings.variables import UnclearVariable, tables_of


class Token(BaseModel):
    role: str = ""


class Files(BaseModel):
    kind: Literal["files"] = "files"
    folder: str = ""
    tags: tuple[str, ...] = ()


class Server(BaseModel):
    kind: Literal["server"] = "server"
    url: str = ""
    where: dict[str, str] = Field(default={})


Source = Annotated[Files, Tag("files")] | Annotated[Server, Tag("server")]


class Root(BaseModel):
    http: Token = Token()
    source: Source | tuple[Source, ...] = Files()
    secret: SecretStr | None = None
    tokens: dict[str, Token] = Field(default={})


@pytest.mark.parametrize(
    ("variables", "tables"),
    [
        ({"http__role": "1"}, {"http": {"role": "1"}}),  # text stays text
        ({"source__tags": '["a", "b"]'}, {"source": {"tags": ["a", "b"]}}),
        ({"source__tags": "a,b"}, {"source": {"tags": "a,b"}}),  # for its field to understand
        ({"source__tags": "["}, {"source": {"tags": "["}}),
        ({"source__tags": "[" * 100_000}, {"source": {"tags": "[" * 100_000}}),
        ({"source__folder": '["a"]'}, {"source": {"folder": '["a"]'}}),
        ({"source__where": '{"a": "1"}'}, {"source": {"where": {"a": "1"}}}),  # of the second kind
        ({"source__where__a": "1"}, {"source": {"where": {"a": "1"}}}),
        ({"source": '[{"kind": "files"}]'}, {"source": [{"kind": "files"}]}),
        ({"tokens__alice": '{"role": "read"}'}, {"tokens": {"alice": {"role": "read"}}}),
        ({"tokens__alice__role": "read"}, {"tokens": {"alice": {"role": "read"}}}),
        ({"secret": "1"}, {"secret": "1"}),
        ({"http__nothing": "[1]"}, {"http": {"nothing": "[1]"}}),  # unknown keys are refused elsewhere
        ({"nothing__role": "x", "nothing": "{}"}, {}),
        ({"http": "null"}, {}),
        ({"http": "null", "http__role": "1"}, {"http": {"role": "1"}}),
        ({"http__": "x"}, {"http": {"": "x"}}),
    ],
)
def test_variables_set_tables(variables: Mapping[str, str], tables: Mapping[str, Any]) -> None:
    assert tables_of(variables, Root).tables == tables


@pytest.mark.parametrize("backwards", [False, True])
def test_a_table_that_is_set_as_a_whole_and_key_by_key_has_both(backwards: bool) -> None:
    given = [("source", '{"url": "a", "where": {"x": "1"}}'), ("source__where", '{"y": "2"}'), ("source__url", "b")]

    tables = tables_of(dict(reversed(given) if backwards else given), Root).tables

    assert tables == {"source": {"url": "b", "where": {"x": "1", "y": "2"}}}


@pytest.mark.parametrize(
    ("variables", "whole"),
    [
        ({"source": "[]", "source__url": "b"}, ("source",)),
        ({"source": '[{"kind": "files"}]', "source__0__kind": "server"}, ("source",)),
        ({"source__where": '"x"', "source__where__x": "1"}, ("source", "where")),
        ({"http__role": "1", "http__role__x__y": "2"}, ("http", "role")),
        ({"source__where": "null", "source__where__x": "1"}, ("source", "where")),
    ],
)
def test_a_key_of_what_another_variable_sets_to_no_table_is_refused(
    variables: Mapping[str, str], whole: tuple[str, ...]
) -> None:
    with pytest.raises(UnclearVariable) as refused:
        tables_of(variables, Root)

    assert (refused.value.name, refused.value.key) == (max(variables, key=len), whole)


def test_an_item_of_a_table_has_the_name_that_the_file_or_the_whole_table_has_for_it() -> None:
    variables = {
        "tokens": '{"Anna": {"role": "read"}}',
        "tokens__anna__role": "act",
        "tokens__bob__role": "act",
        "tokens__eve": '{"role": "read"}',
        "tokens__carl__role": "act",
    }

    given = tables_of(variables, Root, {"tokens": {"Bob": {"role": "read"}, "EVE": {}, "Carl": {}, "carl": {}}})

    assert given.tables == {
        "tokens": {
            "Anna": {"role": "act"},
            "Bob": {"role": "act"},
            "EVE": {"role": "read"},
            "carl": {"role": "act"},
        }
    }


def test_each_value_has_the_name_of_its_variable() -> None:
    variables = {
        "source": '[{"kind": "files", "tags": ["a", "b"]}, {}]',
        "http": '{"role": "1"}',
        "http__role": "2",
        "tokens": '{"Anna": {"role": "read"}}',
        "tokens__anna__role": "act",
    }

    assert tables_of(variables, Root).names == {
        ("source", 0, "kind"): "source",
        ("source", 0, "tags"): "source",
        ("http", "role"): "http__role",
        ("tokens", "Anna", "role"): "tokens__anna__role",
    }


def test_a_variable_that_may_mean_several_items_is_refused() -> None:
    with pytest.raises(UnclearVariable, match="tokens__anna__role") as refused:
        tables_of({"tokens__anna__role": "act"}, Root, {"tokens": {"Anna": {"role": "read"}, "ANNA": {}}})

    assert (refused.value.key, refused.value.reason) == (("tokens", "anna"), "may mean each of ANNA, Anna")


def test_only_items_have_names_of_any_case_and_keys_do_not() -> None:
    given = tables_of({"http__role": "act"}, Root, {"http": {"Role": "read"}, "HTTP": {"role": "read"}})

    assert given.tables == {"http": {"role": "act"}}


@pytest.mark.parametrize(
    ("given", "in_file", "items"),
    [
        ({"Anna": {"role": "act"}}, {"anna": {}}, {"anna": {"role": "act"}}),
        ({"ANNA": {"role": "act"}}, {"anna": {}, "ANNA": {}}, {"ANNA": {"role": "act"}}),
        ({"anna": {"role": "act"}, "Anna": {}}, {"Anna": {}}, {"anna": {"role": "act"}, "Anna": {}}),
        ({"Eve": {"role": "act"}}, {"anna": {}}, {"Eve": {"role": "act"}}),
    ],
)
def test_an_item_of_a_whole_table_is_that_of_the_file_whatever_its_case(
    given: object, in_file: object, items: object
) -> None:
    """Else the old token of the file would go on working."""
    assert tables_of({"tokens": json.dumps(given)}, Root, {"tokens": in_file}).tables == {"tokens": items}


def test_an_item_of_a_whole_table_that_may_be_several_of_the_file_is_refused() -> None:
    with pytest.raises(UnclearVariable, match="tokens") as refused:
        tables_of({"tokens": '{"ANNA": {}}'}, Root, {"tokens": {"Anna": {}, "anna": {}}})

    assert (refused.value.key, refused.value.reason) == (("tokens", "ANNA"), "may mean each of Anna, anna")


def test_a_whole_table_that_has_an_item_of_the_file_twice_is_refused() -> None:
    """Else one of the two tokens would be lost."""
    with pytest.raises(UnclearVariable, match="tokens") as refused:
        tables_of({"tokens": '{"ANNA": {"role": "act"}, "anna": {}}'}, Root, {"tokens": {"Anna": {}}})

    assert (refused.value.key, refused.value.reason) == (("tokens", "Anna"), "sets it twice, in different case")
