"""The HTTP server of the web application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog
from aiohttp import web

from latigo.domain.errors import ConfigurationError

_SHUTDOWN_S = 2.0
_KEEPALIVE_S = 15.0

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
        ConfigurationError: the address cannot be listened on; names the keys of the settings.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S, keepalive_timeout=_KEEPALIVE_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigurationError(
                f"http.host, http.port: cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        address = ServerAddress(host, runner.addresses[0][1])
        _log.info("http.started", url=address.url)
        yield address
    finally:
        await runner.cleanup()
