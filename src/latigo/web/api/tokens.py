"""Who asks: bearer tokens, and what each may; pure."""

import hashlib
import hmac
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from pydantic import SecretStr

from latigo.settings import HttpSettings
from latigo.web.problems import refuse

ANONYMOUS = "anonymous"


class Caller(NamedTuple):
    """Who asks."""

    name: str
    may_act: bool


class Tokens:
    """The tokens of the settings.

    Args:
        tokens: by name, the token and whether it may act; asked for with each request, since it may change.
        required: reading needs one as well.
    """

    def __init__(self, tokens: Mapping[str, tuple[SecretStr, bool]], *, required: bool = False) -> None:
        self._callers = [(token, Caller(name, may_act)) for name, (token, may_act) in tokens.items()]
        self._required = required

    @classmethod
    def of(cls, http: HttpSettings) -> "Tokens":
        """Return the tokens that the settings name."""
        return cls(
            {name: (each.token, each.may == "act") for name, each in http.all_tokens.items()},
            required=http.require_token_to_read,
        )

    def caller(self, authorization: str, *, acts: bool) -> Caller:
        """Return who asks.

        Args:
            authorization: the header; empty: there is none.
            acts: something is to be changed.

        Raises:
            RefusedRequest: the token is unknown, missing where one is needed, or may only read.
        """
        scheme, _, token = authorization.partition(" ")
        if not authorization:
            if acts or self._required:
                raise _unauthorized("acting needs a bearer token" if acts else "reading needs a bearer token", self)
            return Caller(ANONYMOUS, may_act=False)
        if scheme.lower() != "bearer" or (caller := self._find(token.strip())) is None:
            raise _unauthorized("the token is not one of http.tokens", self)
        if acts and not caller.may_act:
            raise refuse(
                "may-not-act", HTTPStatus.FORBIDDEN, f'the token {caller.name} may read only (http.tokens: may = "act")'
            )
        return caller

    def __len__(self) -> int:
        return len(self._callers)

    def _find(self, token: str) -> Caller | None:
        found, digest = None, _digest(token)
        for known, caller in self._callers:  # all of them, so that the time shows nothing
            if hmac.compare_digest(_digest(known.get_secret_value()), digest):
                found = caller
        return found


def _digest(token: str) -> bytes:
    # The server reads octets of a header that are no UTF-8 as lone surrogates.
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _unauthorized(why: str, tokens: Tokens) -> Exception:
    hint = "" if len(tokens) else "; this server has none: set http.tokens"
    return refuse("no-token", HTTPStatus.UNAUTHORIZED, why + hint)
