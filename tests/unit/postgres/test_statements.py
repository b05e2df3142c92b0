"""SQL by name."""

import pytest

from latigo.postgres.statements import load_statements, parse_statements


def test_statements_are_found_by_key_and_by_attribute():
    statements = parse_statements("-- one --\nSELECT 1;\n\n-- two --\nSELECT 2;\n", "a.sql")

    assert dict(statements) == {"one": "SELECT 1;", "two": "SELECT 2;"}
    assert statements.two == statements["two"] == "SELECT 2;"


def test_comments_stay_with_their_statement_and_do_not_pass_for_headers():
    statements = parse_statements("-- about the file\n\n-- one --\n-- why -- and how\nSELECT 1;  -- two --\n", "a.sql")

    assert dict(statements) == {"one": "-- why -- and how\nSELECT 1;  -- two --"}


def test_a_statement_that_is_not_there_is_named_with_its_file():
    statements = parse_statements("-- one --\nSELECT 1;", "a.sql")

    with pytest.raises(AttributeError, match=r"a\.sql has no statement 'tow'"):
        _ = statements.tow
    with pytest.raises(KeyError, match=r"a\.sql has no statement 'tow'"):
        _ = statements["tow"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("-- one --\nSELECT 1;\n-- one --\nSELECT 2;", "two statements 'one'"),
        ("-- one --\n\n-- two --\nSELECT 2;", "empty statement 'one'"),
        ("SELECT 0;\n-- one --\nSELECT 1;", "SQL before"),
    ],
)
def test_a_file_that_would_lose_sql_is_refused(text: str, wrong: str):
    with pytest.raises(ValueError, match=wrong):
        parse_statements(text, "a.sql")


def test_files_are_read_from_inside_a_package():
    assert "write_rows" in load_statements("latigo.providers.postgres", "queries.sql")


def test_files_that_are_loaded_together_have_no_statement_in_common():
    with pytest.raises(ValueError, match=r"queries\.sql has \['.*'\], which another file"):
        load_statements("latigo.providers.postgres", "queries.sql", "queries.sql")
