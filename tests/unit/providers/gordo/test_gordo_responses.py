"""What an answer says, whoever gave it."""

from datetime import timedelta

import pytest

from latigo.providers.gordo.responses import Answer, document, retry_after
from tests.support.gordo_replay import recorded


def an_answer(name: str) -> Answer:
    reply = recorded(name)
    kind = reply.headers["content-type"].split(";")[0]
    return Answer(reply.status, kind, reply.headers.get("revision"), reply.body)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("err-no-x", 'Cannot predict without "X"'),
        ("err-unknown-revision", "Revision '1234567890123' not found."),
        ("err-unknown-model", "No such model found: 'no-such-model'"),
        (
            "inf-word-in-x-linear-plain",
            "ValueError: Input X contains infinity or a value too large for dtype('float64').",
        ),
    ],
)
def test_the_reason_is_found_in_json_and_in_pages(name: str, text: str) -> None:
    assert an_answer(name).text == text


def test_a_reason_stays_short_and_on_one_line() -> None:
    text = an_answer("nan-null-in-x-linear-plain").text

    assert text.startswith("ValueError: Input X contains NaN. PCA does not accept")
    assert len(text) == 500


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"<p>", b"<html>" * 1000])
def test_a_page_without_a_reason_says_nothing(body: bytes) -> None:
    assert Answer(500, "text/html", None, body).text == ""


def test_numbers_that_are_not_finite_may_stand_in_json_as_bare_words() -> None:
    found = document(Answer(200, "application/json", "1", b'{"score": NaN, "worst": -Infinity}'))

    assert found is not None
    assert found["score"] != found["score"]
    assert found["worst"] == float("-inf")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000, b'"text"'])
def test_what_is_no_json_object_is_no_document(body: bytes) -> None:
    assert document(Answer(200, "application/json", "1", body)) is None


def test_json_under_another_type_is_no_document() -> None:
    assert document(Answer(200, "text/html", "1", b"{}")) is None


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"Retry-After": "120"}, timedelta(minutes=2)),
        ({"Retry-After": " 0 "}, timedelta(0)),
        ({"Retry-After": "999999999999"}, timedelta(days=1)),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (
            {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:27:30 GMT"},
            timedelta(seconds=30),
        ),
        (
            {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 09:27:30 +0000"},
            timedelta(0),
        ),
    ],
)
def test_how_long_to_stay_away_is_seconds_or_a_date_by_the_clock_of_the_server(
    headers: dict[str, str], wait: timedelta | None
) -> None:
    assert retry_after(headers) == wait
