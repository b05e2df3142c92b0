"""What the client library raises, in our words; and one login for many connections."""

import asyncio

import pytest
from azure.core.credentials import AccessToken
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
from latigo.runtime.clock import SystemClock
from latigo.task_queue.eventhub.connection import SingleFlight, translated


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
    found = translated(error, "sending")

    assert type(found) is kind
    assert (found.alarm, found.downstream) == (alarm, "task_queue/eventhub")
    assert str(found).startswith(f"event hub, sending: {type(error).__name__}")


def test_a_login_that_failed_explains_what_the_library_only_calls_an_error():
    found = translated(EventHubError("something"), "receiving", ClientAuthenticationError("AADSTS7000215 bad secret"))

    assert found.alarm
    assert "AADSTS7000215" in str(found)


def test_a_login_that_could_not_be_tried_is_no_alarm():
    assert not translated(EventHubError("something"), "receiving", ServiceRequestError("no network")).alarm


def test_keys_and_signatures_do_not_get_out_with_an_error():
    said = "sr=sb%3a&sig=c2lnbmF0dXJlLXZhbHVl&se=1 SharedAccessKey=c2VjcmV0LWtleS12YWx1ZQ=="

    found = str(translated(ConnectError(said), "sending"))

    assert "c2lnbmF0dXJl" not in found
    assert "c2VjcmV0LWtleS" not in found


def test_a_long_error_is_cut():
    assert len(str(translated(ConnectError("x" * 10_000), "sending"))) < 500


class Login:
    """A credential that counts how often it is asked, and answers when it is let."""

    def __init__(self, *answers: AccessToken | Exception) -> None:
        self.asked = 0
        self.go_on = asyncio.Event()
        self._answers = list(answers)

    async def get_token(self, *scopes: str, **options: object) -> AccessToken:  # noqa: ARG002 - the library's signature
        self.asked += 1
        await self.go_on.wait()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def a_token(value: str, *, lives: float) -> AccessToken:
    return AccessToken(value, int(SystemClock().now().timestamp() + lives))


async def test_many_connections_log_in_once():
    login = Login(a_token("one", lives=3600))
    credential = SingleFlight(login, SystemClock())

    asking = [asyncio.create_task(credential.get_token("scope")) for _ in range(32)]
    await asyncio.sleep(0)
    login.go_on.set()

    assert {(await each).token for each in asking} == {"one"}
    assert login.asked == 1


async def test_a_token_that_is_about_to_expire_is_fetched_anew():
    login = Login(a_token("old", lives=200), a_token("new", lives=3600))
    login.go_on.set()
    credential = SingleFlight(login, SystemClock())

    assert [(await credential.get_token("scope")).token for _ in range(3)] == ["old", "new", "new"]


async def test_a_failed_login_is_remembered_until_one_works():
    refused = ClientAuthenticationError("no")
    login = Login(refused, a_token("one", lives=3600))
    login.go_on.set()
    credential = SingleFlight(login, SystemClock())

    with pytest.raises(ClientAuthenticationError):
        await credential.get_token("scope")
    assert credential.failure is refused

    await credential.get_token("scope")
    assert credential.failure is None
