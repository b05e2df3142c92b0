"""Where the web application listens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog
from aiohttp import web

from latigo.domain.errors import ConfigurationError

_LET_ANSWERS_FINISH = 2.0
_KEEP_IDLE = 15.0

_log = structlog.get_logger()


class Site(NamedTuple):
    """Where it is reached."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Of the page that says where things are."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


@asynccontextmanager
async def run_site(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Site]:
    """Serve ``app`` for as long as the context lasts; port 0 lets the system choose one.

    Raises:
        ConfigurationError: nobody can listen there; names the keys of the settings.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LET_ANSWERS_FINISH, keepalive_timeout=_KEEP_IDLE)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigurationError(
                f"http.host, http.port: cannot listen on {host}:{port}: {error.strerror}"
            ) from error
        site = Site(host, runner.addresses[0][1])
        _log.info("http.started", url=site.url)
        yield site
    finally:
        await runner.cleanup()
