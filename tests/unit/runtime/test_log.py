"""What a log line holds, and what it never does."""

import gc
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from latigo.runtime.log import configure_logging
from latigo.runtime.log_context import log_context
from latigo.runtime.redaction import MASK
from tests.support.clock import ManualClock


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    handlers, level = logging.root.handlers, logging.root.level
    hooks, configured = (threading.excepthook, sys.unraisablehook), structlog.get_config()
    yield io.StringIO()
    threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)
    logging.root.handlers = handlers
    logging.root.setLevel(level)
    structlog.configure(**configured)


def fail(text: str) -> None:
    raise RuntimeError(text)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_elsewhere_than_on_a_terminal_a_line_is_json_with_the_time_of_the_clock(stream: io.StringIO) -> None:
    clock = ManualClock(datetime(2024, 5, 1, 12, 0, 0, 5000, tzinfo=UTC))
    configure_logging(clock=clock, stream=stream)

    with log_context(task=7):
        structlog.get_logger().info("task.finished", outcome="stored", points=3, took_s=0.25)

    assert lines(stream) == [
        {
            "event": "task.finished",
            "level": "info",
            "outcome": "stored",
            "points": 3,
            "task": 7,
            "time": "2024-05-01T12:00:00.005Z",
            "took_s": 0.25,
        }
    ]


def test_on_a_terminal_a_line_is_for_people(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "isatty", lambda: True)
    configure_logging(stream=stream)

    structlog.get_logger().info("task.finished", outcome="stored")

    assert "task.finished" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_the_standard_library_goes_the_same_way(stream: io.StringIO) -> None:
    configure_logging("json", stream=stream)

    logging.getLogger("some.library").warning("took %d s", 3)

    (line,) = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("took 3 s", "warning", "some.library")


def test_warnings_go_the_same_way(stream: io.StringIO) -> None:
    configure_logging("json", stream=stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    (line,) = lines(stream)
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")


def test_libraries_that_log_every_state_of_every_connection_are_logged_only_from_warnings_on(
    stream: io.StringIO,
) -> None:
    configure_logging("json", "info", stream=stream)

    logging.getLogger("azure.eventhub._pyamqp.aio._connection_async").info("Connection state changed")
    logging.getLogger("azure.identity").warning("no token")

    assert [line["event"] for line in lines(stream)] == ["no token"]


def test_what_is_below_the_level_is_not_logged(stream: io.StringIO) -> None:
    configure_logging("json", "warning", stream=stream)

    structlog.get_logger().info("task.finished")
    logging.getLogger("some.library").info("hello")
    structlog.get_logger().warning("circuit.opened")

    assert [line["event"] for line in lines(stream)] == ["circuit.opened"]


@pytest.mark.parametrize("format_", ["json", "console"])
def test_secrets_are_hidden_wherever_they_stand(stream: io.StringIO, format_: Any) -> None:
    configure_logging(format_, secrets=["s3cr3t-value"], stream=stream)
    log = structlog.get_logger()

    class Client:
        def __repr__(self) -> str:
            return "Client(s3cr3t-value)"

    log.info("s3cr3t-value", a="x s3cr3t-value y", b={"c": ["s3cr3t-value"], "s3cr3t-value": 1}, d=Client())
    log.info("http.sent", token="other-token", url="http://user:hunter22@host/")
    logging.getLogger("some.library").warning("Authorization: Bearer %s", "abcdef123456")
    try:
        fail("postgresql://user:hunter22@host and s3cr3t-value")
    except RuntimeError:
        log.exception("task.crashed")
        logging.getLogger("some.library").exception("failed")

    written = stream.getvalue()
    assert len(written.splitlines()) >= 5
    assert MASK in written
    for secret in ("s3cr3t-value", "other-token", "hunter22", "abcdef123456"):
        assert secret not in written


def test_a_traceback_is_one_key_of_one_line(stream: io.StringIO) -> None:
    configure_logging("json", stream=stream)

    for log in (structlog.get_logger(), logging.getLogger("some.library")):
        try:
            fail("broken")
        except RuntimeError:
            log.exception("task.crashed")

    assert len(lines(stream)) == 2
    assert all("RuntimeError: broken" in line["exception"] for line in lines(stream))


def test_words_that_are_too_short_to_be_a_secret_stay(stream: io.StringIO) -> None:
    configure_logging("json", secrets=["a"], stream=stream)

    structlog.get_logger().info("task.finished", project="plant-a")

    assert lines(stream)[0]["project"] == "plant-a"


class _Mute:
    def __str__(self) -> str:
        raise ValueError("a-known-secret")


@pytest.mark.parametrize(
    "value",
    ["\ud800", 2**70, -(2**64), {("a",): 1, b"b": 2, "\udcff": 3}, _Mute(), {_Mute()}],
    ids=["surrogate", "large", "small", "keys", "no text", "set"],
)
def test_every_value_makes_a_line_of_json(stream: io.StringIO, value: object) -> None:
    configure_logging("json", stream=stream, secrets=["a-known-secret"])

    structlog.get_logger().info("thing.odd", value=value, error="a-known-secret")

    assert [(line["event"], line["error"]) for line in lines(stream)] == [("thing.odd", MASK)]


def test_what_cannot_be_logged_is_not_quoted(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", stream=stream, secrets=["a-known-secret"])

    logging.getLogger("library").warning("%d things", "a-known-secret")

    assert stream.getvalue() == "latigo: an event of library could not be logged: TypeError\n"
    assert capsys.readouterr().err == ""


def test_errors_of_threads_and_finalisers_are_logged_redacted(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    class Finalised:
        def __del__(self) -> None:
            fail("a-known-secret")

    configure_logging("json", stream=stream, secrets=["a-known-secret"])
    thread = threading.Thread(target=fail, args=("a-known-secret",), name="a-known-secret")
    thread.start()
    thread.join()
    Finalised()
    gc.collect()

    assert capsys.readouterr().err == ""
    assert [line["event"] for line in lines(stream)] == ["thread.failed", "error.not_raised"]
    assert all(f"RuntimeError: {MASK}" in line["exception"] for line in lines(stream))
    assert "a-known-secret" not in stream.getvalue()


def test_structlog_is_loaded_with_the_first_event() -> None:
    code = """
import sys
from latigo.runtime.log import configure_logging, get_logger
configure_logging("json", "warning", secrets=["s3cr3t-value"])
before = "structlog" in sys.modules
get_logger("latigo.test").warning("queue.unreachable", reason="s3cr3t-value")
print(before, "structlog" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.split() == ["False", "True"]
    (line,) = map(json.loads, result.stderr.splitlines())
    assert (line["event"], line["level"], line["reason"]) == ("queue.unreachable", "warning", MASK)


@pytest.mark.parametrize("logs", ["logging.getLogger('lib').warning('late')", "warnings.warn('late')"])
def test_the_first_event_may_be_one_of_a_library(logs: str) -> None:
    code = f"""
import logging, sys, warnings
from latigo.runtime.log import configure_logging
configure_logging("json", "warning")
{logs}
assert "structlog" in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    (line,) = map(json.loads, result.stderr.splitlines())
    assert "late" in line["event"]


def test_an_event_below_the_level_of_the_process_is_not_written() -> None:
    code = """
from latigo.runtime.log import configure_logging, get_logger
configure_logging("json", "warning")
get_logger("latigo.test").info("task.finished")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stderr == ""
