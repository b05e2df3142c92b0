"""Names that are not known, and the nearest known ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latigo.domain.names import nearest_name, printable, unknown_name

KNOWN = ("plant-a/pump-001", "plant-a/pump-002", "plant-a/compressor-001", "plant-b/Pump-001", "x")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("plant-a/pump-01", "plant-a/pump-001"),
        ("plant-a/compresor-001", "plant-a/compressor-001"),
        ("PLANT-A/PUMP-002", "plant-a/pump-002"),
        ("plant-a/pump-002/", "plant-a/pump-002"),
        (" plant-a/pump-002", "plant-a/pump-002"),
        ("plant-b/pump-001", "plant-b/Pump-001"),
        ("plant-*/pump-002", "plant-a/pump-002"),
        ("X", "x"),
        ("X" * 100_000, "x"),
    ],
)
def test_the_nearest_name_is_found_in_spite_of_what_people_mistype(name: str, nearest: str) -> None:
    assert nearest_name(name, KNOWN) == nearest


@given(st.text(), st.sets(st.text(), max_size=20))
def test_there_is_a_nearest_name_wherever_there_is_a_name(name: str, known: set[str]) -> None:
    nearest = nearest_name(name, known)

    assert nearest in known if known else nearest is None


@given(st.text())
def test_whatever_is_given_the_message_is_one_line_that_can_be_printed(name: str) -> None:
    message = str(unknown_name("model", name, KNOWN))

    assert message.isprintable()
    assert "unknown model; the nearest known one is " in message


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert str(unknown_name("project", "plant-\udcff", ["plant-a"])).startswith("'plant-\\udcff': unknown project; ")


def test_where_nothing_is_known_it_is_said_what_to_do() -> None:
    message = str(unknown_name("model", "pump", [], none=": latigo status"))

    assert message == "pump: unknown model; no model is known yet: latigo status"


def test_finding_the_nearest_of_many_compares_few_of_them_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    class Counting:
        def __init__(self, _junk: None, one: str, _other: str) -> None:
            compared.append(one)

        def ratio(self) -> float:
            return float(compared[-1] == "plant-a/pump-4711")

    monkeypatch.setattr("latigo.domain.names.SequenceMatcher", Counting)

    nearest = nearest_name("plant-a/pump-471", [f"plant-a/pump-{n:04d}" for n in range(9000)])

    assert nearest == "plant-a/pump-4711"
    assert len(compared) <= 50


def test_a_short_name_is_found_among_many_long_ones_that_contain_it() -> None:
    long = [f"pump-{n:04d} with everything that belongs to this pump" for n in range(99)]

    assert nearest_name("pump", [*long, "pumps"]) == "pumps"


def test_a_message_says_no_more_than_it_was_given() -> None:
    assert str(unknown_name("model", "pump", [])) == "pump: unknown model; no model is known yet"
    assert str(unknown_name("model", "pump", ["fan"])) == "pump: unknown model; the nearest known one is fan"
    assert str(unknown_name("model", "pump", ["fan"], note="try")).endswith("is fan; try")


def test_a_name_is_shown_whole_up_to_200_characters():
    assert printable("x" * 200) == "x" * 200
    assert printable("x" * 201) == "x" * 200 + "..."
