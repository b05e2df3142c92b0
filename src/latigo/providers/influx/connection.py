"""The HTTP session of an InfluxDB.

The only module that imports aioinflux, and all it takes from it is the session and the URL: its own reading hides
statuses and cut responses, its own writing takes no precision.
"""

import asyncio
import ssl
import warnings
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakValueDictionary

import aiohttp

from latigo.domain.errors import ConfigurationError
from latigo.runtime.http import session_options

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # it misses pandas, which we do not want
    from aioinflux import InfluxDBClient  # type: ignore[import-untyped]  # has no type hints

_IN_FLIGHT = 8  #: requests of a process to a server; more only add latency


class Connection(InfluxDBClient):  # type: ignore[misc]  # aioinflux has no type hints
    """What is taken from aioinflux. Made inside a running loop only; its base would look for one of its own."""

    def __init__(
        self,
        url: str,
        *,
        section: str,
        database: str,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        connect_timeout: timedelta,
    ) -> None:
        self._loop, self._session = asyncio.get_running_loop(), None  # the base asks for both when it is thrown away
        server = _server(url, section)
        if tls is not None and not server["ssl"]:
            raise ConfigurationError(f"{section}.ca_file: of no use with {section}.url, which is not https")
        super().__init__(
            **server,
            db=database,
            **session_options(connect_timeout=connect_timeout, headers=headers, tls=tls),
        )

    def __repr__(self) -> str:
        """Without the password, which the base shows."""
        return f"<{type(self).__name__} {self.host}:{self.port}>"

    def session(self) -> aiohttp.ClientSession:
        """The session, as long as it is open."""
        if self._session is None:
            raise RuntimeError("the client is closed")
        session: aiohttp.ClientSession = self._session
        return session


def _server(url: str, section: str) -> dict[str, Any]:
    """The URL in aioinflux's terms; its path has to begin and end with a slash."""
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")  # a part of the name may be empty or too long
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"{section}.url: not an http or https URL")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError(f"{section}.url: holds more than host, port and path")
    if "{" in url or "}" in url:
        raise ConfigurationError(f"{section}.url: holds braces, which stand for something else in aioinflux")
    secure = parts.scheme == "https"
    path = parts.path.strip("/")
    return {
        "host": f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname,
        "port": port or (443 if secure else 80),
        "path": f"/{path}/" if path else "/",
        "ssl": secure,
    }


#: One semaphore a server and loop, as long as a client of it lives.
_permits_of: "WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[str, asyncio.Semaphore]]"
_permits_of = WeakKeyDictionary()


def permits(url: str) -> asyncio.Semaphore:
    """Return the semaphore that all clients of one server share."""
    by_url = _permits_of.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    return by_url.setdefault(url, asyncio.Semaphore(_IN_FLIGHT))
