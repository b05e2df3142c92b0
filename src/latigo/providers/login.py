"""The header by which an HTTP provider shows who it is: none, a fixed token, or one of Microsoft Entra ID."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from latigo.domain.errors import ConfigurationError, MissingExtra, Unavailable
from latigo.runtime.azure import LoginFailed, SharedCredential, open_credential
from latigo.runtime.clock import Clock, SystemClock
from latigo.settings.sections.login import BearerLogin


class Login(Protocol):
    """Tokens of one server."""

    async def token(self, downstream: str) -> str | None:
        """Return the bearer token for a request; None: it goes without.

        Raises:
            Unavailable: there is none for now, or, with an alarm, none at all.
        """

    def refused(self, token: str | None) -> bool:
        """Note that a server refused this token with 401; return whether a request with another one may work."""


class NoLogin:
    """Requests go without a token, or with one that is among the headers of the session."""

    async def token(self, downstream: str) -> str | None:  # noqa: ARG002 - the protocol's
        return None

    def refused(self, token: str | None) -> bool:  # noqa: ARG002 - the protocol's
        return False


class EntraLogin:
    """Tokens of Microsoft Entra ID: requested once for many callers, renewed ahead of their expiry."""

    def __init__(self, credential: SharedCredential, scope: str) -> None:
        self._credential = credential
        self._scope = scope

    async def token(self, downstream: str) -> str | None:
        try:
            return await self._credential.bearer(self._scope)
        except LoginFailed as error:
            raise Unavailable(str(error), downstream=downstream, alarm=error.refused) from error

    def refused(self, token: str | None) -> bool:
        if token is not None:
            self._credential.forget(self._scope, token)
        return True


@asynccontextmanager
async def open_login(settings: BearerLogin, section: str, clock: Clock | None = None) -> AsyncIterator[Login]:
    """Open the login of a section of the settings; nothing is sent before a token is needed.

    Raises:
        ConfigurationError: the identity cannot be used here; names the key.
    """
    if settings.credential is None or settings.scope is None:
        yield NoLogin()
        return
    async with AsyncExitStack() as opened:
        try:
            credential = await opened.enter_async_context(
                open_credential(lambda: settings.identity, clock or SystemClock())
            )
        except ValueError as error:
            raise ConfigurationError(f"{section}.credential: {error}") from error
        except ModuleNotFoundError as error:
            raise MissingExtra(f"{section}.credential", "azure") from error
        yield EntraLogin(credential, settings.scope)
