"""How a field is selected whose type is not the same everywhere."""

import pytest

from latigo.providers.influx.fields import FieldTypes, is_type, numbers_selection, readings_selection, types_of
from latigo.providers.qualities import Qualities

KEYS = [("Value", "float"), ("Q", "string"), ("Value", "boolean"), ("Other", "integer")]
NO_QUALITIES = Qualities(())


def field(*types: str, name: str = "Value") -> FieldTypes:
    return FieldTypes(name, frozenset(types))


def test_the_types_of_a_field_are_its_own():
    assert types_of("Value", KEYS) == field("float", "boolean")
    assert types_of("value", KEYS) == field(name="value")
    assert not is_type("decimal")


@pytest.mark.parametrize(
    ("types", "terms"),
    [
        (["float"], ['"Value"']),
        (["string"], ['"Value"']),
        ([], ['"Value"']),
        (["float", "integer", "unsigned"], ['"Value"::float']),  # one cast: another one would read them twice
        (["float", "boolean"], ['"Value"::boolean', '"Value"::float']),
        (
            ["integer", "boolean", "string", "float"],
            ['"Value"::boolean', '"Value"::float', '"Value"::string'],
        ),
    ],
)
def test_a_field_is_cast_where_it_has_several_types(types: list[str], terms: list[str]):
    assert list(readings_selection(field(*types), None).values) == terms


def test_qualities_are_cast_for_themselves():
    selection = readings_selection(field("float"), field("integer", "string", name="Q"))

    assert selection.terms == ('"Value"', '"Q"::float', '"Q"::string')
    assert selection.wide
    assert not readings_selection(field("float", "integer"), None).wide


@pytest.mark.parametrize(
    ("types", "with_text", "terms"),
    [
        (["float"], False, ['"Value"']),
        (["string"], False, []),
        (["string"], True, ['"Value"']),
        (["float", "string"], False, ['"Value"::float']),
        (["float", "string"], True, ['"Value"::float', '"Value"::string']),
    ],
)
def test_the_newest_number_is_looked_for_among_numbers(types: list[str], with_text: bool, terms: list[str]):
    selection = numbers_selection(field(*types), None, NO_QUALITIES, with_text=with_text)

    assert (list(selection.values), selection.conditions) == (terms, ("",))


@pytest.mark.parametrize(
    ("types", "good", "conditions"),
    [
        (["integer"], ["192", "0x", "-1.5"], ['("Q" = -1.5 OR "Q" = 192.0)']),
        (["string"], ["192", "it's a/b"], [r"""("Q" =~ /^\s*(it's\ a\/b|\+?0*192(\.0*)?)\s*$/)"""]),
        (["string"], ["-0.5", "true"], [r'("Q" =~ /^\s*(-0*\.50*|\+?0*1(\.0*)?|(?i:true))\s*$/)']),
        (["string"], ["nan"], []),
        (["boolean"], ["true", "0", "7"], ['("Q" = false OR "Q" = true)']),
        (["boolean"], ["1"], ['("Q" = true)']),
        (["boolean"], ["192"], []),
        (["float"], ["Good", "nan", "inf"], []),
        (["float"], ["1e-7", "1e21"], ['("Q" = 0.0000001 OR "Q" = 1000000000000000000000.0)']),  # it knows no exponents
        (["integer", "string"], ["192"], ['("Q"::float = 192.0)', r'("Q"::string =~ /^\s*(\+?0*192(\.0*)?)\s*$/)']),
    ],
)
def test_each_type_of_quality_has_its_condition(types: list[str], good: list[str], conditions: list[str]):
    selection = numbers_selection(field("float"), field(*types, name="Q"), Qualities(good), with_text=False)

    assert list(selection.conditions) == conditions
