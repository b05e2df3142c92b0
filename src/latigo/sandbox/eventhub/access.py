"""Access: shared access signatures, and the tokens that a connection has put. Pure.

A token of the kind SAS is ``SharedAccessSignature sr=AUDIENCE&sig=SIGNATURE&se=EXPIRY&skn=KEY NAME``, everything quoted
as in a URL; the signature is the HMAC-SHA256 of quoted audience, newline and expiry.
"""

import base64
import hashlib
import hmac
import math
import secrets
from collections.abc import Collection
from urllib.parse import parse_qs, quote_plus

from latigo.sandbox.eventhub.addresses import path_of

SAS = "servicebus.windows.net:sastoken"
JWT = "jwt"


class TokenRefused(Exception):
    """A token gives no access; the message is the reason."""


class Keys:
    """The key of a namespace, and bearer tokens that are accepted unchecked.

    Args:
        name: of the key.
        key: the secret.
        bearer_tokens: for clients that log in without a key; real ones could not be checked here.
    """

    def __init__(self, name: str, key: str, bearer_tokens: Collection[str] = ()) -> None:
        self.name = name
        self.key = key
        self._bearer_tokens = frozenset(bearer_tokens)

    def rotate(self) -> None:
        """Replace the key by a new one."""
        self.key = secrets.token_urlsafe(32)

    def check(self, kind: object, token: object, audience: str, now: float) -> float:
        """Return when a token expires, in seconds since 1970.

        Raises:
            TokenRefused: it gives no access, or has expired.
        """
        if not isinstance(token, str):
            raise TokenRefused("A token is a text")
        if kind == JWT and token in self._bearer_tokens:
            return math.inf
        if kind != SAS:
            raise TokenRefused(f"No such token of kind {kind} is known here")
        fields = parse_qs(token.removeprefix("SharedAccessSignature "))
        try:
            signature, expiry, name = (fields[key][0] for key in ("sig", "se", "skn"))
            ends = float(expiry)
        except (KeyError, ValueError):
            raise TokenRefused("Not a shared access signature") from None
        if name != self.name:
            raise TokenRefused(f"InvalidSignature: There is no key '{name}'.")
        if not hmac.compare_digest(signature, self._signature(audience, expiry)):
            raise TokenRefused("InvalidSignature: The token has an invalid signature.")
        if ends <= now:
            raise TokenRefused("ExpiredToken: The token is expired.")
        return ends

    def _signature(self, audience: str, expiry: str) -> str:
        signed = f"{quote_plus(audience)}\n{expiry}".encode()
        return base64.b64encode(hmac.digest(self.key.encode(), signed, hashlib.sha256)).decode()


class Grants:
    """Audiences that the tokens of one connection allow, each until its token expires."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, ...], float] = {}

    def put(self, audience: str, ends: float) -> None:
        """Allow everything at and below an audience."""
        self._ends[path_of(audience)] = ends

    def allow(self, address: str, now: float) -> bool:
        """Return whether an address may be used. Hosts are not compared: there is one, under any name."""
        path = path_of(address)
        return any(path[: len(granted)] == granted and now < ends for granted, ends in self._ends.items())

    def next_end(self, now: float) -> float:
        """Return when the next token expires; infinity if none does."""
        return min((ends for ends in self._ends.values() if ends > now), default=math.inf)

    def end_all(self) -> None:
        """Expire all tokens."""
        self._ends.clear()
