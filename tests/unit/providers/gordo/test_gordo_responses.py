"""The reason in an error response, of Gordo or of a proxy."""

import pytest

from latigo.providers.gordo.responses import Response, document
from tests.support.gordo_replay import recorded


def an_answer(name: str) -> Response:
    reply = recorded(name)
    kind = reply.headers["content-type"].split(";")[0]
    return Response(reply.status, kind, reply.headers.get("revision"), bytearray(reply.body))


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
    assert Response(500, "text/html", None, bytearray(body)).text == ""


def test_numbers_that_are_not_finite_may_stand_in_json_as_bare_words() -> None:
    result = document(Response(200, "application/json", "1", bytearray(b'{"score": NaN, "worst": -Infinity}')))

    assert result is not None
    assert result["score"] != result["score"]
    assert result["worst"] == float("-inf")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000, b'"text"'])
def test_what_is_no_json_object_is_no_document(body: bytes) -> None:
    assert document(Response(200, "application/json", "1", bytearray(body))) is None


def test_json_under_another_type_is_no_document() -> None:
    assert document(Response(200, "text/html", "1", bytearray(b"{}"))) is None
