"""The servers that a URL names: the one that takes writes is found by trying them."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from latigo.postgres.errors import ERRORS, Fault, describe, fault_of

Url = str | Callable[[], str]
"""The URL of a database, or what returns it."""


def current(url: Url) -> str:
    """Return a URL as it is now."""
    return url if isinstance(url, str) else url()


class NoServer(OSError):
    """No server can be used; the message says why, server by server."""


class Servers:
    """The servers of one database, the one that was used last first.

    Every server has the whole time limit, as with libpq: one that is switched off answers nothing, and must not use up
    the time of the others.

    Args:
        url: ``postgresql://user@host:port,host:port/database``, or what returns it: asked for each connection, since
            its password may change.
    """

    def __init__(self, url: Url) -> None:
        self._url = url
        self._given = current(url)
        self.urls = _one_by_one(self._given)  #: in the order in which they are tried

    def __len__(self) -> int:
        return len(self.urls)

    async def connect(self, _url: None = None, /, **options: Any) -> Any:
        """Connect to the first server that takes writes; ``options`` are those of `asyncpg.connect`.

        A pool passes its own URL as well, which is None.

        Raises:
            NoServer: none can be reached, or none of several can be used.
        """
        if (given := current(self._url)) != self._given:
            self._given, self.urls = given, _one_by_one(given)
        refusals: list[tuple[str, BaseException]] = []
        for url in tuple(self.urls):
            try:
                connection = await asyncpg.connect(url, target_session_attrs="read-write", **options)
            except ERRORS as error:
                if len(self.urls) == 1 and not isinstance(error, OSError):  # a TimeoutError is one
                    raise
                refusals.append((url, error))
            else:
                self.urls.remove(url)
                self.urls.insert(0, url)
                return connection
        if needs_operator := [refusal for _, refusal in refusals if fault_of(refusal) is Fault.OPERATOR]:
            raise needs_operator[0]
        raise NoServer("; ".join(f"{_address(url)}: {describe(refusal)}" for url, refusal in refusals))


def _one_by_one(url: str) -> list[str]:
    """Return a URL for each host; one that names its hosts as an option is left as it is."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{login}{at}{host}").geturl() for host in hosts.split(",")]


def _address(url: str) -> str:
    """Return host and port, or the folder of the socket."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parse_qs(parts.query).get("host", ["this machine"])[0]
