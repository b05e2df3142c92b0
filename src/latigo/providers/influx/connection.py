"""The HTTP session of an InfluxDB.

The only module that imports aioinflux, and all it takes from it is the session and the URL: its own reading hides
statuses and cut responses, its own writing takes no precision.
"""

import asyncio
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakValueDictionary

import aiohttp

from latigo.providers.transport import trusting
from latigo.runtime.http import session_options
from latigo.settings import InfluxSensors, InfluxSink

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # it misses pandas, which we do not want
    from aioinflux import InfluxDBClient  # type: ignore[import-untyped]  # has no type hints

InfluxSection = InfluxSensors | InfluxSink

_IN_FLIGHT = 8  #: requests of a process to a server; more only add latency


class Connection(InfluxDBClient):  # type: ignore[misc]  # aioinflux has no type hints
    """Session of aioinflux. Create it inside a running loop only; its base would use another one."""

    def __init__(self, influx: InfluxSection, key: str) -> None:
        self._loop, self._session = asyncio.get_running_loop(), None  # the base needs both in its destructor
        super().__init__(
            **_server(influx.url),
            db=influx.database,
            **session_options(
                connect_timeout=influx.connect_timeout,
                headers=partial(_authorization, influx),
                tls=trusting(influx.ca_file, key),
            ),
        )

    def __repr__(self) -> str:
        """Return host and port, without the password that the base shows."""
        return f"<{type(self).__name__} {self.host}:{self.port}>"

    def session(self) -> aiohttp.ClientSession:
        """Return the session while it is open."""
        if self._session is None:
            raise RuntimeError("the client is closed")
        session: aiohttp.ClientSession = self._session
        return session


def _authorization(influx: InfluxSection) -> Mapping[str, str]:
    """Return a header of our own: aioinflux encodes names and passwords in a way that the server does not."""
    if influx.token:
        return {"Authorization": f"Token {influx.token.get_secret_value()}"}
    if influx.username and influx.password:
        return {
            "Authorization": aiohttp.encode_basic_auth(influx.username, influx.password.get_secret_value(), "utf-8")
        }
    return {}


def _server(url: str) -> dict[str, Any]:
    """Return the URL in aioinflux's terms; its path has to begin and end with a slash."""
    parts = urlsplit(url)
    secure, path, host = parts.scheme == "https", parts.path.strip("/"), parts.hostname or ""
    return {
        "host": f"[{host}]" if ":" in host else host,
        "port": parts.port or (443 if secure else 80),
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
