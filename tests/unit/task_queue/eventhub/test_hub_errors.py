"""What the client library raises, in our words."""

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.eventhub.exceptions import (
    AuthenticationError,
    ClientClosedError,
    ConnectError,
    ConnectionLostError,
    EventDataSendError,
    EventHubError,
    OperationTimeoutError,
)

from latigo.domain.errors import TimedOut, Unavailable
from latigo.task_queue.eventhub.connection import translated


def with_condition(condition: str) -> ConnectError:
    error = ConnectError("refused")
    error.error = condition
    return error


@pytest.mark.parametrize(
    ("error", "kind", "alarm"),
    [
        (ConnectError("no route"), Unavailable, False),
        (ConnectionLostError("reset"), Unavailable, False),
        (EventDataSendError("server busy"), Unavailable, False),
        (ClientClosedError("closed"), Unavailable, False),
        (EventHubError("anything"), Unavailable, False),
        (AttributeError("'NoneType' object has no attribute 'send'"), Unavailable, False),
        (ConnectionRefusedError(111, "refused"), Unavailable, False),
        (OperationTimeoutError("no answer"), TimedOut, False),
        (TimeoutError(), TimedOut, False),
        (AuthenticationError("token rejected"), Unavailable, True),
        (ClientAuthenticationError("invalid client secret"), Unavailable, True),
        (with_condition("unauthorized-access"), Unavailable, True),
        (with_condition("not-found"), Unavailable, True),
        (with_condition("server-busy"), Unavailable, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_says_whether_waiting_helps(error: Exception, kind: type[Unavailable], alarm: bool):
    message = translated(error, "sending")

    assert type(message) is kind
    assert (message.alarm, message.downstream) == (alarm, "task_queue/eventhub")
    assert str(message).startswith(f"event hub, sending: {type(error).__name__}")


def test_a_login_that_failed_explains_what_the_library_only_calls_an_error():
    error = translated(EventHubError("something"), "receiving", ClientAuthenticationError("AADSTS7000215 bad secret"))

    assert error.alarm
    assert "AADSTS7000215" in str(error)


def test_a_login_that_could_not_be_tried_is_no_alarm():
    assert not translated(EventHubError("something"), "receiving", ServiceRequestError("no network")).alarm


def test_keys_and_signatures_do_not_get_out_with_an_error():
    said = "sr=sb%3a&sig=c2lnbmF0dXJlLXZhbHVl&se=1 SharedAccessKey=c2VjcmV0LWtleS12YWx1ZQ=="

    error = str(translated(ConnectError(said), "sending"))

    assert "c2lnbmF0dXJl" not in error
    assert "c2VjcmV0LWtleS" not in error


def test_a_long_error_is_cut():
    assert len(str(translated(ConnectError("x" * 10_000), "sending"))) < 500


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "[Errno 111] refused Error condition: ErrorCondition.SocketError Error Description: [Errno 111] refused",
            "[Errno 111] refused (SocketError)",
        ),
        (
            "no link Error condition: amqp:not-found Error Description: the hub does not exist",
            "no link Error condition: amqp:not-found Error Description: the hub does not exist",
        ),
        ("no link Error condition: amqp:not-found", "no link Error condition: amqp:not-found"),
    ],
)
def test_what_the_client_describes_twice_is_shown_once(said: str, shown: str) -> None:
    assert str(translated(ConnectError(said), "sending")) == f"event hub, sending: ConnectError: {shown}"
