"""The HTTP server of the web application."""

import asyncio
import errno
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, NamedTuple

from aiohttp import web

from latigo.domain.errors import ConfigurationError, LatigoError, Unavailable
from latigo.runtime.log import get_logger
from latigo.runtime.redaction import excerpt
from latigo.web.responses import http_problem

_SHUTDOWN_S = 2.0
_KEEPALIVE_S = 15.0
_LINGERING_S = 2.0  #: for the rest of a request that is answered already
_FIRST_REQUEST_S = 15.0  #: for the whole head of a connection's first request; later ones have the time to keep alive
_TAKEN_WITHIN_S = 60.0  #: for what was sent; a client that takes nothing keeps a copy of its answer here
_LONGEST_REASON = 200

DOWNSTREAM = "http"

#: Why an address cannot be listened on now, although it may well be later: another process still has it, the network is
#: not up yet, or the system is short of something.
_MAY_PASS = {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = get_logger(__name__)


class ServerAddress(NamedTuple):
    """Address that a server listens on."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Return the URL of the front page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


class _Connection(web.RequestHandler):
    """Connection of a client: answers what is not HTTP like everything else, and waits for its peer for a while only.

    Args:
        first_request_s: seconds.
        taken_within_s: seconds.
    """

    __slots__ = ("_first_request_s", "_taken_within_s", "_waits")

    def __init__(self, manager: Any, *, first_request_s: float, taken_within_s: float, **options: Any) -> None:
        super().__init__(manager, **options)
        self._first_request_s, self._taken_within_s = first_request_s, taken_within_s
        self._waits: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._waits = asyncio.get_running_loop().call_later(self._first_request_s, self.force_close)
        client = transport.get_extra_info("socket")
        if sys.platform == "linux" and client.family in {socket.AF_INET, socket.AF_INET6}:
            with suppress(OSError):  # a sandbox may refuse it
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._taken_within_s * 1000))

    def connection_lost(self, exc: BaseException | None) -> None:
        self.request_begun()
        super().connection_lost(exc)

    def request_begun(self) -> None:
        """Stop waiting: the head of a request is complete, or cannot be read."""
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log an error outside of a handler: of a peer in one line, as every malformed request."""
        error = options.get("exc_info")
        if isinstance(error, web.RequestPayloadError):
            _log.debug("request.malformed", reason=excerpt(" ".join(str(error).split()), _LONGEST_REASON))
        else:
            super().log_exception(*args, **options)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the response to a request that could not be read, or whose handler failed."""
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            reason = excerpt(" ".join((message or repr(exc)).split()), _LONGEST_REASON)
            _log.debug("request.malformed", peer=request.remote, reason=reason)
        else:
            _log.error("request.crashed", method=request.method, path=request.path, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of another response is sent already")
        code = HTTPStatus(status)
        response = http_problem(code, _ERRORS.get(code, code.phrase))
        response.force_close()
        return response


_ERRORS = {
    HTTPStatus.BAD_REQUEST: "this is not a valid HTTP request",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal error; its traceback is in the log",
}


@asynccontextmanager
async def run_server(
    app: web.Application,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    listener: socket.socket | None = None,
    first_request_s: float = _FIRST_REQUEST_S,
    taken_within_s: float = _TAKEN_WITHIN_S,
) -> AsyncIterator[ServerAddress]:
    """Serve ``app`` while the context lasts; port 0 lets the system choose one.

    Args:
        app: the application.
        host: address to listen on.
        port: of it.
        listener: a socket that listens already, instead of host and port.
        first_request_s: seconds after which a connection without a complete request is closed.
        taken_within_s: seconds after which one is closed whose client takes nothing of what waits for it, or is gone;
            on Linux.

    Raises:
        Unavailable: the address is in use, or cannot be listened on for another reason that may pass; names the keys of
            the settings.
        ConfigurationError: it can never be listened on; names the keys as well.
    """
    runner = web.AppRunner(app, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    loop, manager = asyncio.get_running_loop(), runner.server
    if manager is None:
        raise RuntimeError("the application is not set up")
    make_request = manager.request_factory

    def connect() -> _Connection:
        return _Connection(
            manager,
            first_request_s=first_request_s,
            taken_within_s=taken_within_s,
            loop=loop,
            access_log=None,
            keepalive_timeout=_KEEPALIVE_S,
            lingering_time=_LINGERING_S,
        )

    def begin(message: Any, payload: Any, connection: Any, *others: Any) -> web.BaseRequest:
        connection.request_begun()
        return make_request(message, payload, connection, *others)

    manager.request_factory = begin
    try:
        try:
            if listener is not None:
                server = await loop.create_server(connect, sock=listener)
            else:
                server = await loop.create_server(connect, host, port)
        except (OSError, ValueError) as error:
            raise _refusal(error, host, port) from error
        address = ServerAddress(host, server.sockets[0].getsockname()[1])
        _log.info("http.started", url=address.url)
        try:
            yield address
        finally:
            server.close()
    finally:
        await runner.cleanup()


def _refusal(error: OSError | ValueError, host: str, port: int) -> LatigoError:
    number = getattr(error, "errno", None)
    text = f"http.host, http.port: cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}"
    passing = number == socket.EAI_AGAIN if isinstance(error, socket.gaierror) else number in _MAY_PASS
    return Unavailable(text, downstream=DOWNSTREAM) if passing else ConfigurationError(text)
