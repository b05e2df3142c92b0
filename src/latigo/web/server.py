"""The HTTP server of the web application."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog
from aiohttp import web

from latigo.domain.errors import ConfigurationError, LatigoError, Unavailable

_SHUTDOWN_S = 2.0
_KEEPALIVE_S = 15.0

DOWNSTREAM = "http"

#: Why an address cannot be listened on now, although it may well be later: another process still has it, the network is
#: not up yet, or the system is short of something.
_MAY_PASS = {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = structlog.get_logger()


class ServerAddress(NamedTuple):
    """Address that a server listens on."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Return the URL of the front page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


@asynccontextmanager
async def run_server(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[ServerAddress]:
    """Serve ``app`` while the context lasts; port 0 lets the system choose one.

    Raises:
        Unavailable: the address is in use, or cannot be listened on for another reason that may pass; names the keys of
            the settings.
        ConfigurationError: it can never be listened on; names the keys as well.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S, keepalive_timeout=_KEEPALIVE_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise _refusal(error, host, port) from error
        address = ServerAddress(host, runner.addresses[0][1])
        _log.info("http.started", url=address.url)
        yield address
    finally:
        await runner.cleanup()


def _refusal(error: OSError, host: str, port: int) -> LatigoError:
    text = f"http.host, http.port: cannot listen on {host}:{port}: {error.strerror}"
    passing = error.errno == socket.EAI_AGAIN if isinstance(error, socket.gaierror) else error.errno in _MAY_PASS
    return Unavailable(text, downstream=DOWNSTREAM) if passing else ConfigurationError(text)
