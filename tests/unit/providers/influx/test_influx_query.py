"""The statements that are sent for readings; what a server makes of them is tested in tests/service."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.providers.influx.query import Layout, can_be_queried, identifier, joined, literal

PLANT = Layout("sensors", "tag", "Value")
NAMES = ["GRA-TT-001", "it's", "back\\slash", "$t0"]


def unquoted(quoted: str) -> str:
    """What InfluxQL reads between quotes: a backslash stands before itself, before quotes, and for a newline."""
    text, result = iter(quoted[1:-1]), ""
    for character in text:
        if character == "\\":
            escaped = next(text)
            assert escaped in "\\'\"n"
            result += "\n" if escaped == "n" else escaped
        else:
            assert character not in {quoted[0], "\n"}
            result += character
    return result


@given(st.text())
def test_text_survives_its_quotes(text: str):
    assert unquoted(literal(text)) == unquoted(identifier(text)) == text


def test_a_window_is_half_open_and_in_nanoseconds_since_the_epoch():
    assert PLANT.readings(1_600_000_000_000_000_001, 1_600_000_600_000_000_000)("$t0") == (
        'SELECT "Value" FROM "sensors" WHERE "tag" = $t0'
        ' AND time >= 1600000000000000001ns AND time < 1600000600000000000ns GROUP BY "tag"'
    )


def test_names_go_as_parameters_and_never_into_the_statement():
    query = joined(PLANT.readings(1, 2), NAMES, bind=True)

    assert [query.params[f"t{number}"] for number in range(len(NAMES))] == NAMES
    assert query.statements.count(";") == len(NAMES) - 1
    assert not any(name in query.statements for name in NAMES if name != "$t0")


def test_names_are_quoted_where_there_are_no_parameters():
    query = joined(PLANT.known(), ["it's", "back\\"], bind=False)

    assert query.params == {}
    assert "= 'it\\'s' AND" in query.statements
    assert "= 'back\\\\' AND" in query.statements


def test_measurement_tag_and_field_may_have_any_name():
    odd = Layout('my "plant"', "sensor name", "value\\raw")
    statement = odd.readings(1, 2)("$t0")

    assert 'SELECT "value\\\\raw" FROM "my \\"plant\\"" WHERE "sensor name" = $t0' in statement
    assert statement.endswith('GROUP BY "sensor name"')


def test_a_statement_that_gives_nothing_comes_last():
    query = joined(PLANT.readings(1, 2), NAMES, bind=True, then=PLANT.nothing())

    assert query.statements.split(";")[-1] == PLANT.nothing()
    assert len(query.params) == len(NAMES)


def test_times_that_influxdb_cannot_hold_are_drawn_in():
    statement = PLANT.newest(-(10**20), 10**20)("$t0")

    assert "time >= -9223372036854775806ns AND time < 9223372036854775806ns" in statement


@pytest.mark.parametrize("name", ["", "\ud800"])
@pytest.mark.parametrize("bind", [True, False])
def test_some_names_cannot_be_queried(name: str, bind: bool):
    assert not can_be_queried(name, bind=bind)


@pytest.mark.parametrize("name", ["null\0byte", "carriage\rreturn"])
def test_some_names_have_no_literal(name: str):
    assert can_be_queried(name, bind=True)
    assert not can_be_queried(name, bind=False)


def test_further_tags_are_in_every_statement_for_sensors_and_quoted():
    layout = Layout("sensors", "tag", "Value", where=(("site", "it's a"), ('a "b"', "")))
    statements = [
        layout.readings(1, 2)("$t0"),
        layout.newest(1, 2)("$t0"),
        layout.ends(['"Value"'], last=True)("$t0"),
        layout.known()("$t0"),
        layout.names(10, 0),
        layout.all_readings(1, 2),
    ]

    for statement in statements:
        assert """ AND "site" = 'it\\'s a' AND "a \\"b\\"" = ''""" in statement


@given(st.text(), st.text())
def test_no_further_tag_leaves_its_quotes(key: str, value: str):
    layout = Layout("sensors", "tag", "Value", where=((key, value),))
    condition = f"{identifier(key)} = {literal(value)}"

    assert layout.names(1, 0) == (
        f'SHOW TAG VALUES FROM "sensors" WITH KEY = "tag" WHERE time >= 0 AND {condition} LIMIT 1 OFFSET 0'
    )


def test_the_conditions_of_the_newest_reading_stand_together():
    statement = PLANT.newest(1, 2, ['"Value"::float', '"Value"::boolean'], '("Q" = 1 OR "Q" = 2)')("$t0")

    assert statement == (
        'SELECT "Value"::float, "Value"::boolean FROM "sensors" WHERE "tag" = $t0 AND ("Q" = 1 OR "Q" = 2)'
        " AND time >= 1ns AND time < 2ns GROUP BY * ORDER BY time DESC LIMIT 1"
    )
