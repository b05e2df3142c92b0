"""The status table of the InfluxDB adapter, with answers as servers of versions 1 to 3 and proxies give them."""

from datetime import timedelta

import msgpack
import orjson
import pytest

from latigo.domain.errors import Failed, Reason, Rejected, TooLarge, Unavailable
from latigo.providers.influx.errors import (
    MSGPACK,
    ErrorResponse,
    points_dropped,
    refused_read,
    refused_statement,
    refused_write,
)
from latigo.runtime.http import retry_after

CONFLICT = (
    'partial write: field type conflict: input field "sensor_value" on measurement "model-output" is type float, '
    "already exists as type integer dropped=4"
)


def refusal(status: int, text: str = "", *, body: bytes | None = None, wait: timedelta | None = None) -> ErrorResponse:
    return ErrorResponse(
        status=status,
        content_type="application/json",
        body=orjson.dumps({"error": text}) if body is None else body,
        retry_after=wait,
        downstream="sink/influx",
        section="predictions",
    )


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "text",
    [
        CONFLICT,
        "partial write: unable to parse 'a f=nan 1': invalid number dropped=0",
        "unable to parse 'a f=nan 1': invalid number",
    ],
)
def test_points_that_the_server_refuses_are_rejected_in_its_words(status: int, text: str):
    error = refused_write(refusal(status, text))

    assert isinstance(error, Rejected)
    assert error.reason is Reason.WRITE_REFUSED
    assert text in str(error)


@pytest.mark.parametrize(
    ("status", "text", "key"),
    [
        (404, 'database not found: "x"', "predictions.database"),
        (400, "database is required", "predictions.database"),
        (500, "retention policy not found: monthly", "predictions.retention_policy"),
        (401, "authorization failed", "predictions.username"),
        (403, '"grafana" user is not authorized to write to database "x"', "predictions.username"),
        (407, "", "predictions.token"),
        (404, "404 page not found", "predictions.url"),
        (301, "", "predictions.url"),
        (405, "method not allowed", "predictions.url"),
        (400, "partial write: max-series-per-database limit exceeded: (20) dropped=9", "max-series-per-database"),
        (400, "partial write: max-values-per-tag limit exceeded (5/5): dropped=9", "max-values-per-tag"),
    ],
)
def test_what_an_operator_has_to_mend_is_an_alarm_that_names_the_key_and_parks_nothing(
    status: int, text: str, key: str
):
    error = refused_write(refusal(status, text))

    assert isinstance(error, Unavailable)
    assert (error.alarm, error.downstream) == (True, "sink/influx")
    assert key in str(error)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_that_is_unavailable_or_busy_is_waited_for(status: int):
    for error in (refused_write(refusal(status, "request throttled")), refused_read(refusal(status, "timeout"))):
        assert isinstance(error, Unavailable)
        assert not error.alarm


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("", None),
        ("7", timedelta(seconds=7)),
        (" 30 ", timedelta(seconds=30)),
        ("99999999", timedelta(days=1)),
        ("soon", None),
        ("-1", None),
    ],
)
def test_how_long_to_wait_is_set_by_the_server(header: str, wait: timedelta | None):
    error = refused_write(refusal(503, "busy", wait=retry_after({"Retry-After": header})))

    assert isinstance(error, Unavailable)
    assert error.retry_after == wait


def test_a_body_that_is_too_large_is_for_its_writer_to_cut_or_the_operator_to_allow():
    error = refused_write(refusal(413, "Request Entity Too Large"))

    assert isinstance(error, TooLarge)
    assert "[http] max-body-size" in str(error)


@pytest.mark.parametrize("status", [400, 422])
def test_points_too_old_for_the_retention_policy_are_counted_and_not_refused(status: int):
    assert points_dropped(refusal(status, "partial write: points beyond retention policy dropped=12")) == 12
    assert points_dropped(refusal(status, CONFLICT)) is None


def test_success_of_another_kind_is_not_success():
    error = refused_write(refusal(200, body=b"<html>Welcome to nginx</html>"))

    assert isinstance(error, Unavailable)
    assert error.alarm


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "error parsing query: found fdf, expected ) at line 1, char 26", Failed),
        (413, "", TooLarge),
        (414, "", TooLarge),
        (400, "must provide only one InfluxQl statement per query", Unavailable),
        (401, "authorization failed", Unavailable),
        (404, "database not found: x", Unavailable),
    ],
)
def test_a_query_that_is_refused_by_its_status(status: int, text: str, kind: type[Exception]):
    assert type(refused_read(refusal(status, text))) is kind


@pytest.mark.parametrize(
    ("text", "kind", "alarm"),
    [
        ("database not found: x", Unavailable, True),
        ("database name required", Unavailable, True),
        ("retention policy not found: monthly", Unavailable, True),
        ("query-timeout limit exceeded", Unavailable, False),
        ("max-concurrent-queries limit exceeded(1, 1)", Unavailable, False),
        ("unsupported mean iterator type: string", Failed, None),
    ],
)
def test_an_error_inside_of_an_answer(text: str, kind: type[Exception], alarm: bool | None):
    error = refused_statement(text, downstream="sensors/influx", section="sensors")

    assert type(error) is kind
    assert getattr(error, "alarm", None) is alarm
    assert text in str(error)


@pytest.mark.parametrize("words", ["", "authorization failed", "query-timeout"])
def test_of_a_long_error_the_beginning_is_shown(words: str):
    error = refused_statement(words + "x" * 100_000, downstream="sensors/influx", section="sensors")

    assert words in str(error)
    assert len(str(error)) < 1000


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("max-select-point limit exceeed: (5/4)", "[coordinator] max-select-point"),
        ("max-select-series limit exceeded: (2/1)", "[coordinator] max-select-series"),
        ("max-select-buckets limit exceeded: (2/1)", "[coordinator] max-select-buckets"),
    ],
)
def test_a_limit_on_what_one_query_may_read_is_an_alarm_that_names_it(text: str, setting: str):
    error = refused_statement(text, downstream="sensors/influx", section="sensors")

    assert isinstance(error, Unavailable)
    assert error.alarm
    assert f"raise {setting} on the server" in str(error)


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("application/json", b'{"error":"it is  so"}', "it is so"),
        ("application/json", b'{"code":"invalid","message":"it is so"}', "it is so"),
        (MSGPACK, msgpack.packb({"error": "it is so"}), "it is so"),
        (MSGPACK, b"\xc1", "\ufffd"),
        ("text/plain", b"request throttled\n", "request throttled"),
        ("text/html", b"<h1>\nBad gateway</h1>", "<h1> Bad gateway</h1>"),
        ("application/json", b"[1]", "[1]"),
        ("application/json", b"{}", "no reason given"),
        ("application/json", b"", "no reason given"),
        ("application/json", b'{"error":"' + b"x" * 9000 + b'"}', "x" * 500),
    ],
)
def test_the_reason_is_found_in_every_form_and_kept_short(content_type: str, body: bytes, text: str):
    error = ErrorResponse(
        status=400,
        content_type=content_type,
        body=body,
        downstream="sink/influx",
        section="predictions",
    )

    assert error.text == text
