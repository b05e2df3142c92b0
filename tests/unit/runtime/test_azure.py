"""One login for many callers, and the error of a failed one."""

import asyncio
from datetime import UTC, datetime

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

from latigo.runtime.azure import RENEWAL_PAUSE, Identity, LoginFailed, SharedCredential, is_refused, open_credential
from latigo.runtime.clock import SystemClock
from tests.support.clock import ManualClock
from tests.support.waiting import eventually


class Login:
    """A credential that counts its calls, and answers when it is released."""

    def __init__(self, *answers: AccessToken | Exception) -> None:
        self.calls = 0
        self.closed = False
        self.go_on = asyncio.Event()
        self._answers = list(answers)

    async def get_token(self, *scopes: str, **options: object) -> AccessToken:  # noqa: ARG002 - the library's signature
        self.calls += 1
        await self.go_on.wait()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True


def a_token(value: str, *, lives: float) -> AccessToken:
    return AccessToken(value, int(SystemClock().now().timestamp() + lives))


def ready(*answers: AccessToken | Exception) -> tuple[Login, SharedCredential]:
    login = Login(*answers)
    login.go_on.set()
    return login, SharedCredential(lambda: login, SystemClock())


async def renewed_or_failed(credential: SharedCredential) -> bool:
    return await renewed(credential) or credential.failure is not None


async def renewed(credential: SharedCredential) -> bool:
    return (await credential.get_token("scope")).token == "new"


def with_status(status: int) -> ClientAuthenticationError:
    error = ClientAuthenticationError("no")
    error.status_code = status
    return error


async def test_many_connections_log_in_once():
    login = Login(a_token("one", lives=3600))
    credential = SharedCredential(lambda: login, SystemClock())

    pending = [asyncio.create_task(credential.get_token("scope")) for _ in range(32)]
    await asyncio.sleep(0)
    login.go_on.set()

    assert {(await each).token for each in pending} == {"one"}
    assert login.calls == 1


async def test_a_refusal_is_asked_for_once_too():
    login = Login(ClientAuthenticationError("no"))
    credential = SharedCredential(lambda: login, SystemClock())

    pending = [asyncio.create_task(credential.get_token("scope")) for _ in range(8)]
    await asyncio.sleep(0)
    login.go_on.set()
    ended = await asyncio.gather(*pending, return_exceptions=True)

    assert {type(each) for each in ended} == {ClientAuthenticationError}
    assert login.calls == 1


async def test_a_cancelled_caller_does_not_cancel_the_token_of_others():
    login = Login(a_token("one", lives=3600))
    credential = SharedCredential(lambda: login, SystemClock())
    first, second = (asyncio.create_task(credential.get_token("scope")) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    login.go_on.set()

    assert (await second).token == "one"
    assert login.calls == 1


async def test_every_scope_has_a_token_of_its_own():
    login, credential = ready(a_token("one", lives=3600), a_token("other", lives=3600))

    assert [(await credential.get_token(scope)).token for scope in ("a", "b", "a")] == ["one", "other", "one"]
    assert login.calls == 2


async def test_a_token_that_is_about_to_expire_is_fetched_anew_while_the_old_one_is_used():
    login, credential = ready(a_token("old", lives=200), a_token("new", lives=3600))
    assert (await credential.get_token("scope")).token == "old"
    login.go_on.clear()

    assert [(await credential.get_token("scope")).token for _ in range(3)] == ["old", "old", "old"]
    login.go_on.set()
    await eventually(lambda: renewed(credential))

    assert login.calls == 2


async def test_a_token_that_expires_at_once_is_not_used():
    login, credential = ready(a_token("old", lives=20), a_token("new", lives=3600))

    assert [(await credential.get_token("scope")).token for _ in range(2)] == ["old", "new"]
    assert login.calls == 2


async def test_a_renewal_that_fails_is_not_noticed_and_tried_again_after_a_pause():
    clock = ManualClock(datetime.now(UTC))
    login = Login(a_token("old", lives=290), ServiceRequestError("no network"), a_token("new", lives=3600))
    login.go_on.set()
    credential = SharedCredential(lambda: login, clock)

    assert (await credential.get_token("scope")).token == "old"
    await eventually(lambda: renewed_or_failed(credential))
    for _ in range(5):
        assert (await credential.get_token("scope")).token == "old"
    assert login.calls == 2

    await clock.advance(RENEWAL_PAUSE)
    assert (await credential.get_token("scope")).token == "old"
    await eventually(lambda: renewed(credential))
    assert login.calls == 3


async def test_a_token_that_was_refused_is_not_used_again_nor_the_login_that_holds_it():
    logins = [Login(a_token("revoked", lives=3600)), Login(a_token("new", lives=3600))]
    for login in logins:
        login.go_on.set()
    made = iter(logins)
    credential = SharedCredential(lambda: next(made), SystemClock())
    assert await credential.bearer("scope") == "revoked"

    credential.forget("scope", "revoked")
    credential.forget("scope", "revoked")  # of another call that was refused with it
    assert await credential.bearer("scope") == "new"
    credential.forget("scope", "revoked")  # of one that was slower

    assert await credential.bearer("scope") == "new"
    assert [(login.calls, login.closed) for login in logins] == [(1, True), (1, False)]


async def test_another_secret_is_another_login_for_the_next_token():
    logins = [Login(a_token("old", lives=10)), Login(a_token("new", lives=3600))]
    for login in logins:
        login.go_on.set()
    made, secret = iter(logins), ["first"]
    credential = SharedCredential(lambda: next(made), SystemClock(), lambda: tuple(secret))
    assert await credential.bearer("scope") == "old"

    secret[0] = "second"

    assert await credential.bearer("scope") == "new"
    assert [(login.calls, login.closed) for login in logins] == [(1, True), (1, False)]


async def test_a_failed_login_is_remembered_until_one_works():
    refused = ClientAuthenticationError("no")
    _, credential = ready(refused, a_token("one", lives=3600))

    with pytest.raises(ClientAuthenticationError):
        await credential.get_token("scope")
    assert credential.failure is refused

    await credential.get_token("scope")
    assert credential.failure is None


async def test_a_bearer_is_the_text_of_a_token():
    _, credential = ready(a_token("one", lives=3600))

    assert await credential.bearer("scope") == "one"


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (ClientAuthenticationError("AADSTS7000215 bad secret"), True),
        (with_status(401), True),
        (with_status(503), False),
        (with_status(429), False),
        (ServiceRequestError("no network"), False),
        (TimeoutError(), False),
    ],
)
async def test_a_failed_login_says_whether_waiting_helps(error: Exception, refused: bool):
    _, credential = ready(error)

    with pytest.raises(LoginFailed, match=rf"login to Microsoft Entra ID: {type(error).__name__}") as failed:
        await credential.bearer("scope")

    assert failed.value.refused is is_refused(error) is refused


async def test_secrets_do_not_get_out_with_an_error():
    _, credential = ready(ClientAuthenticationError("client_secret=s3cret-value is wrong " + "x" * 10_000))

    with pytest.raises(LoginFailed) as failed:
        await credential.bearer("scope")

    assert "s3cret" not in str(failed.value)
    assert len(str(failed.value)) < 500
    assert "s3cret" not in repr(Identity("client_secret", "t", "c", "s3cret-value"))


async def test_closing_ends_what_is_under_way():
    login = Login()
    credential = SharedCredential(lambda: login, SystemClock())
    pending = asyncio.create_task(credential.get_token("scope"))
    await asyncio.sleep(0)

    await credential.close()

    with pytest.raises(asyncio.CancelledError):
        await pending
    assert login.closed


IDENTITIES = [
    Identity("default"),
    Identity("managed_identity"),
    Identity("managed_identity", client_id="11111111-2222-3333-4444-555555555555"),
    Identity("client_secret", "11111111-2222-3333-4444-555555555555", "client", "secret"),
]


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.kind)
async def test_identities_open_without_network(identity: Identity):
    async with open_credential(lambda: identity, SystemClock()) as credential:
        assert credential.failure is None


@pytest.mark.parametrize(
    "identity",
    [Identity("workload_identity"), Identity("client_certificate", "t", "c", certificate_path="/not/there.pem")],
    ids=lambda identity: identity.kind,
)
async def test_an_identity_that_is_not_to_be_had_here_is_named(identity: Identity, monkeypatch: pytest.MonkeyPatch):
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(ValueError, match=f"{identity.kind} cannot be used"):
        async with open_credential(lambda: identity, SystemClock()):
            pytest.fail("it opened")
