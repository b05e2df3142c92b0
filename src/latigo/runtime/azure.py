"""Login to Microsoft Entra ID: identities, and tokens that are fetched once for many callers.

azure-identity comes with an extra, and is imported only where a credential is opened.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from latigo.runtime.clock import Clock
from latigo.runtime.redaction import excerpt

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

#: A token is renewed when this much of its life is left; meanwhile it is used.
RENEWAL_MARGIN = timedelta(minutes=5)
#: A token is not used when less of its life is left: a request takes time.
LAST_USE = timedelta(seconds=30)
#: Pause after a renewal that failed, while the old token is still good.
RENEWAL_PAUSE = timedelta(seconds=30)
_TIMEOUT = timedelta(seconds=30)  #: azure-identity has none of its own
_LONGEST_REASON = 400

IdentityKind = Literal["default", "managed_identity", "workload_identity", "client_secret", "client_certificate"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity in Microsoft Entra ID.

    Args:
        kind: how to prove it; ``default`` tries what the environment offers.
        tenant_id: for ``client_secret`` and ``client_certificate``.
        client_id: for those; for ``managed_identity`` the user-assigned one, if any.
        client_secret: for ``client_secret``.
        certificate_path: for ``client_certificate``, a PEM or PKCS12 file without password.
    """

    kind: IdentityKind = "default"
    tenant_id: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    certificate_path: str = ""


class LoginFailed(Exception):
    """There is no token; the message holds no secrets.

    ``refused``: waiting does not help, an operator has to correct identity or permissions.
    """

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class SharedCredential:
    """Credential that requests a token once, however many callers need it at the same time.

    A token is renewed ahead of its expiry, while callers go on with the old one: a login that fails then is not noticed
    before the old one has expired.

    ``failure`` is the error of the last request for a token, None after a success: clients of Azure's own libraries do
    not report why a login failed.

    Args:
        open_credential: opens what requests tokens.
        clock: for the life of a token.
        made_of: returns what the credential is made of; when that has changed, the next token is of another one.
    """

    def __init__(
        self, open_credential: Callable[[], Any], clock: Clock, made_of: Callable[[], object] = lambda: None
    ) -> None:
        self._made_of = made_of
        self._opened_of = made_of()
        self.failure: Exception | None = None
        self._open = open_credential
        self._credential = open_credential()
        self._refused = False  #: the credential holds a token that was refused, and would return it again
        self._clock = clock
        self._tokens: dict[tuple[str, ...], AccessToken] = {}
        self._requests: dict[tuple[str, ...], asyncio.Task[AccessToken]] = {}
        self._failed_at: dict[tuple[str, ...], float] = {}

    async def get_token(self, *scopes: str, **options: Any) -> "AccessToken":
        """Return a token for these scopes, from memory while it is good. What Azure's libraries call.

        Raises:
            Exception: whatever azure-identity raises.
        """
        token = self._tokens.get(scopes)
        left = 0.0 if token is None else token.expires_on - self._clock.now().timestamp()
        if token is not None and left >= LAST_USE.total_seconds():
            if left < RENEWAL_MARGIN.total_seconds() and scopes not in self._requests and not self._pauses(scopes):
                self._start(scopes, options)
            return token
        # A cancelled caller does not cancel the request of others.
        return await asyncio.shield(self._requests.get(scopes) or self._start(scopes, options))

    async def bearer(self, scope: str) -> str:
        """Return the text of a token, for a header ``Authorization: Bearer``.

        Raises:
            LoginFailed: there is none.
        """
        try:
            text, *_ = await self.get_token(scope)
        except Exception as error:
            raise login_failed(error) from error
        return text

    def forget(self, scope: str, bearer: str) -> None:
        """Do not use a token again that was refused, unless there is another one already."""
        token = self._tokens.get((scope,))
        if token is not None and token.token == bearer:
            del self._tokens[scope,]
            self._refused = True

    async def close(self) -> None:
        """Cancel requests and close connections."""
        requests = list(self._requests.values())
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
        await self._credential.close()

    async def _request(self, scopes: tuple[str, ...], options: dict[str, Any]) -> "AccessToken":
        try:
            async with asyncio.timeout(_TIMEOUT.total_seconds()):
                made_of = self._made_of()
                if self._refused or made_of != self._opened_of:
                    old, self._credential, self._refused = self._credential, self._open(), False
                    self._opened_of = made_of
                    await old.close()
                token: AccessToken = await self._credential.get_token(*scopes, **options)
        except Exception as error:
            self.failure, self._failed_at[scopes] = error, self._clock.monotonic()
            raise
        self.failure = None
        self._tokens[scopes] = token
        return token

    def _start(self, scopes: tuple[str, ...], options: dict[str, Any]) -> "asyncio.Task[AccessToken]":
        request = self._requests[scopes] = asyncio.create_task(self._request(scopes, options), name="azure login")
        request.add_done_callback(lambda done: self._ended(scopes, done))
        return request

    def _pauses(self, scopes: tuple[str, ...]) -> bool:
        """Return whether the last renewal failed a moment ago."""
        failed_at = self._failed_at.get(scopes)
        return failed_at is not None and self._clock.monotonic() - failed_at < RENEWAL_PAUSE.total_seconds()

    def _ended(self, scopes: tuple[str, ...], request: "asyncio.Task[AccessToken]") -> None:
        del self._requests[scopes]
        if not request.cancelled():
            request.exception()  # all callers may have been cancelled meanwhile


@asynccontextmanager
async def open_credential(identity: Callable[[], Identity], clock: Clock) -> AsyncIterator[SharedCredential]:
    """Open a credential. Nothing is sent before a token is needed.

    Args:
        identity: returns who logs in; asked for each token, since a secret or a certificate may be replaced.
        clock: for the life of a token.

    Raises:
        ValueError: the identity cannot be used here, such as a certificate file that is missing.
        ModuleNotFoundError: azure-identity is not installed.
    """
    credential = SharedCredential(lambda: _credential(identity()), clock, lambda: _made_of(identity()))
    try:
        yield credential
    finally:
        await credential.close()


def _made_of(identity: Identity) -> tuple[Identity, int]:
    """Return the identity, and when its certificate was written last."""
    try:
        return identity, Path(identity.certificate_path).stat().st_mtime_ns if identity.certificate_path else 0
    except OSError:
        return identity, 0


def _credential(identity: Identity) -> Any:
    from azure.identity import aio  # noqa: PLC0415 - an extra

    try:
        match identity.kind:
            case "default":
                return aio.DefaultAzureCredential()
            case "managed_identity":
                return aio.ManagedIdentityCredential(client_id=identity.client_id or None)
            case "workload_identity":
                options = {"tenant_id": identity.tenant_id, "client_id": identity.client_id}
                return aio.WorkloadIdentityCredential(**{key: value for key, value in options.items() if value})
            case "client_secret":
                return aio.ClientSecretCredential(identity.tenant_id, identity.client_id, identity.client_secret)
            case "client_certificate":
                if Path(identity.certificate_path).is_fifo():
                    raise ValueError("the certificate is not a regular file")  # noqa: TRY301 - translated as others are
                return aio.CertificateCredential(identity.tenant_id, identity.client_id, identity.certificate_path)
    except (ValueError, OSError) as error:
        raise ValueError(f"{identity.kind} cannot be used: {_reason(error)}") from error


def login_failed(error: Exception) -> LoginFailed:
    """Translate what `SharedCredential.get_token` raised."""
    reason = _reason(error)
    text = f"login to Microsoft Entra ID: {type(error).__name__}" + (f": {reason}" if reason else "")
    return LoginFailed(text, refused=is_refused(error))


def is_refused(error: BaseException) -> bool:
    """Return whether Entra ID refused the identity, as opposed to being unreachable or busy.

    azure-identity raises the same error for both; the status of the response distinguishes them.
    """
    from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415 - an extra

    status = getattr(error, "status_code", None) or 401
    return isinstance(error, ClientAuthenticationError) and status < 500 and status != 429


def _reason(error: Exception) -> str:
    return excerpt(" ".join(str(error).split()), _LONGEST_REASON)
