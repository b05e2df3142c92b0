"""HTTP client seam: session options, time limits, bounded bodies, ``Retry-After``, and one table of transport errors.

The caller chooses its own exception for each failure of the transport, see `Failures`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from latigo.runtime.redaction import excerpt

EXCERPT_BYTES = 1 << 16  #: of a body that only explains an error
_STREAMED_BYTES = 1 << 20  #: aiohttp would write a larger ``bytes`` body in one go, and hold up the event loop
_LONGEST_RETRY_AFTER = timedelta(days=1)
_LONGEST_REASON = 300


class Failures(NamedTuple):
    """Exceptions of the caller for what can go wrong on the wire; each is made of a message."""

    unreachable: Callable[[str], Exception]  #: no connection, or it broke before the whole response was there
    timed_out: Callable[[str], Exception]  #: no whole response within the time limit
    too_large: Callable[[str], Exception]  #: the response is larger than its limit


class BodyTooLarge(Exception):
    """The body of a response has more than ``limit`` bytes; the rest is not read."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the response is larger than {limit} bytes")


def session_options(
    *,
    connect_timeout: timedelta,
    headers: Callable[[], Mapping[str, str]] | None = None,
    tls: ssl.SSLContext | None = None,
    idle_timeout: timedelta = timedelta(seconds=15),
) -> dict[str, Any]:
    """Return the keyword arguments of an `aiohttp.ClientSession`. Call it inside a running event loop.

    The session bounds neither the time of a whole call (see `time_limit`) nor the number of connections.

    Args:
        connect_timeout: for opening a connection.
        headers: returns what is sent with every request; asked for each one, since secrets may change.
        tls: checks an ``https`` server; the authorities of the system by default.
        idle_timeout: an unused connection is closed after this time.
    """
    return {
        "connector": aiohttp.TCPConnector(
            limit=0, keepalive_timeout=idle_timeout.total_seconds(), ssl=True if tls is None else tls
        ),
        "timeout": aiohttp.ClientTimeout(total=None, connect=connect_timeout.total_seconds()),
        # The size of a compressed response is not known before it is read, and unpacking it costs CPU on both sides.
        "headers": {"Accept-Encoding": "identity"},
        "middlewares": () if headers is None else (_adding(headers),),
        "cookie_jar": aiohttp.DummyCookieJar(),
    }


def _adding(headers: Callable[[], Mapping[str, str]]) -> aiohttp.ClientMiddlewareType:
    """Return what adds headers to each request; those that the request has itself win."""

    async def add(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        for name, value in headers().items():
            request.headers.setdefault(name, value)
        return await send(request)

    return add


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the authorities in ``ca_file`` (PEM), or those of the system without one.

    Raises:
        ValueError: the file cannot be read.
    """
    if ca_file is not None and ca_file.exists() and not ca_file.is_file():
        raise ValueError(f"{ca_file} cannot be read: it is not a regular file")
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{ca_file} cannot be read: {error}") from error


@asynccontextmanager
async def time_limit(limit: timedelta, doing: str, failures: Failures) -> AsyncIterator[None]:
    """Bound the time of everything inside: waiting for a permit, retries and reading the body included.

    Raises:
        Exception: ``failures.timed_out``, naming ``doing``.
    """
    try:
        async with asyncio.timeout(limit.total_seconds()):
            yield
    except TimeoutError as error:
        raise failures.timed_out(f"{doing}: no answer within {limit.total_seconds():g} s") from error


@contextmanager
def transport_errors(doing: str, failures: Failures) -> Iterator[None]:
    """Translate what aiohttp raises inside into an exception of the caller. One attempt of one request.

    Raises:
        Exception: one of ``failures``, naming ``doing``.
    """
    try:
        yield
    except BodyTooLarge as error:
        raise failures.too_large(f"{doing}: {error}") from error
    except aiohttp.ConnectionTimeoutError as error:
        raise failures.unreachable(f"{doing}: no connection in time") from error
    except aiohttp.ClientError as error:
        reason = excerpt(f"{type(error).__name__}: {error}", _LONGEST_REASON)
        raise failures.unreachable(f"{doing}: {reason}") from error


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytearray:
    """Return the whole body.

    Raises:
        BodyTooLarge: it has more than ``limit`` bytes; nothing is read where ``Content-Length`` is too large.
    """
    body = bytearray()
    if (response.content_length or 0) <= limit:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                break
        else:
            return body
    raise BodyTooLarge(limit)


async def read_excerpt(response: aiohttp.ClientResponse, limit: int = EXCERPT_BYTES) -> bytearray:
    """Return the first ``limit`` bytes of a body that explains an error; a longer one costs the connection."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            break
    return body[:limit]


def request_body(data: bytes) -> bytes | BytesIO:
    """Return ``data`` in the form that aiohttp sends without holding up the event loop."""
    return data if len(data) < _STREAMED_BYTES else BytesIO(data)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Return the wait of ``Retry-After``, at most a day: in seconds, or as a date by the server's clock."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal() and value.isascii():
        return min(timedelta(seconds=int(value[:9])), _LONGEST_RETRY_AFTER)
    try:
        until, now = (parsedate_to_datetime(text) for text in (value, headers.get("Date", "")))
        wait = until.replace(tzinfo=until.tzinfo or UTC) - now.replace(tzinfo=now.tzinfo or UTC)
    except (ValueError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), _LONGEST_RETRY_AFTER)
