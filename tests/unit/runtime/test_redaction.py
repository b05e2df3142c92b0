"""Secrets in text."""

import pytest

from latigo.runtime.redaction import MASK, is_secret_name, mask_text, shown


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://user:pa@ss@host:5432/db?x=1", f"postgresql://user:{MASK}@host:5432/db?x=1"),
        ("redis://:secret@host and http://a:b@c", f"redis://:{MASK}@host and http://a:{MASK}@c"),
        (
            "Endpoint=sb://x/;SharedAccessKey=abc+/=;EntityPath=y",
            f"Endpoint=sb://x/;SharedAccessKey={MASK};EntityPath=y",
        ),
        ("Authorization: Bearer eyJhbGciOi.x-y_z", f"Authorization: Bearer {MASK}"),
        ("GET /x?api_key=abc&sig=def", f"GET /x?api_key={MASK}&sig={MASK}"),
        ("client_secret=abc, next", f"client_secret={MASK}, next"),
    ],
)
def test_secrets_in_text_are_hidden_and_nothing_else(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:5555/gordo/v0/plant-a/models",
        "time 2024-01-01T00:00:00Z, user@example.com",
        "the basic thing, bearer of news",
        "postgresql://host:5432/db",
        "schedule.interval=30m",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    "name", ["password", "db_passwd", "http.token", "Authorization", "connection_string", "X-Api-Key"]
)
def test_telling_names_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["project", "key", "task", "partition_key", "passed"])
def test_other_names_are_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("it's", '"it\'s"'),
        ("https://a:secret@b", f"'https://a:{MASK}@b'"),
        ("x" * 100, repr("x" * 20)),
        (1.5, "1.5"),
        (None, "None"),
        (10**30, str(10**30)[:20]),
        (["x"] * 9, "list"),
        ({"a": "x"}, "dict"),
    ],
)
def test_a_value_from_others_is_shown_in_short(value: object, text: str) -> None:
    assert shown(value, 20) == text
