"""Requests to the Omnia Timeseries API: a few at once, repeated where that is safe, and errors by their meaning.

====================================== ===============================================================================
answer                                 raised
====================================== ===============================================================================
2xx                                    nothing
401 with a fresh token as well, 403    `Unavailable`, with an alarm
400, 404, 409, 413, other 4xx          `ApiRefused`, which the caller translates
429                                    every request of the process waits as long as asked; then `Unavailable`
408, 425, 500, 502, 503, 504           tried again for a moment; then `Unavailable`
no answer, or cut short                as 502
====================================== ===============================================================================
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import aiohttp
import orjson

from latigo.domain.errors import Failed, LatigoError, TooLarge, Unavailable
from latigo.providers.login import Login, open_login
from latigo.providers.transport import transport_failures, trusting
from latigo.runtime.clock import Clock
from latigo.runtime.documents import DocumentTooLarge, read_json
from latigo.runtime.http import (
    read_body,
    read_excerpt,
    request_body,
    retry_after,
    session_options,
    time_limit,
    transport_errors,
)
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import LARGE_DOCUMENT, off_loop
from latigo.runtime.redaction import excerpt
from latigo.runtime.retry import backoff
from latigo.settings.sections.timeseries import TimeseriesServer

_log = get_logger(__name__)

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_LARGE, TOO_MANY = 401, 403, 404, 413, 429
_PASSING = frozenset({408, 425, 500, 502, 503, 504})
_ATTEMPTS = 4
_FIRST_WAIT, _LONGEST_WAIT = timedelta(milliseconds=300), timedelta(seconds=5)
_DEFAULT_PAUSE = timedelta(seconds=10)  #: after a 429 that names no time
_LONGEST_PAUSE = timedelta(seconds=20)  #: that a request waits; tasks wait longer than that without one
_LARGEST_ANSWER = 64 << 20
_LONGEST_MESSAGE, _LONGEST_TRACE = 300, 100

Params = Sequence[tuple[str, str]]
Body = bytearray
T = TypeVar("T")


class ApiRefused(Failed):
    """The API refuses a request. The caller translates what it expects; of anything else, attempts are limited."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ForbiddenError(Unavailable):
    """The identity has no right to do this."""


class _RateLimitedError(Unavailable):
    """The API limits the rate of requests."""


class _Request(NamedTuple):
    method: str
    path: str
    params: Params
    content: bytes | None

    @property
    def doing(self) -> str:
        return f"Timeseries API, {self.method} {self.path}"


class _Answer(NamedTuple):
    status: int
    body: bytearray
    retry_after: timedelta | None
    token: str | None  #: with which it was asked for


@dataclass(slots=True)
class _Pause:
    """The wait that the API asked for, shared by all requests."""

    clock: Clock
    until: float = 0.0

    def extend(self, wait: timedelta) -> None:
        self.until = max(self.until, self.clock.monotonic() + wait.total_seconds())

    def left(self) -> timedelta:
        return timedelta(seconds=max(0.0, self.until - self.clock.monotonic()))


class TimeseriesClient:
    """Sends requests and returns decoded answers. Safe for many coroutines at once.

    Args:
        session: of one process.
        server: the section of the settings.
        login: its tokens.
        clock: for the shared pause.
        downstream: name of the circuit.
        time_limit: of one call, its repetitions and the wait for a permit included.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: TimeseriesServer,
        login: Login,
        clock: Clock,
        *,
        downstream: str,
        time_limit: timedelta,
    ) -> None:
        self.downstream = downstream
        self.base_url = server.url
        self._session = session
        self._login = login
        self._clock = clock
        self._limit = time_limit
        self._failures = transport_failures(downstream)
        self._permits = asyncio.Semaphore(server.max_requests)
        self._pause = _Pause(clock)

    async def get(self, path: str, params: Params = ()) -> Any:
        """Read; see `send`."""
        return await self.send(_Request("GET", path, params, None), _document)

    async def post(self, path: str, body: object, params: Params = ()) -> Any:
        """Send a body; every POST of Latigo may be repeated without harm. See `send`."""
        return await self.post_json(path, orjson.dumps(body), params)

    async def post_json(
        self, path: str, content: bytes, params: Params = (), read: "Callable[[Body], Awaitable[Any]] | None" = None
    ) -> Any:
        """Send a body that is JSON already, and return the answer as ``read`` reads it. See `send`."""
        return await self.send(_Request("POST", path, params, content), read or _document)

    async def send(self, request: "_Request", read: Callable[[Body], Awaitable[T]]) -> T:
        """Send a request and return the answer, as it is read.

        Raises:
            ApiRefused: the request cannot be answered as it is.
            Unavailable, TimedOut: there is no complete answer; with an alarm where an operator has to act.
            TooLarge: the answer is larger than any that is expected.
        """
        failed = 0
        async with time_limit(self._limit, request.doing, self._failures):
            while True:
                try:
                    return await self._attempt(request, read)
                except _RateLimitedError as error:
                    self._pause.extend(_DEFAULT_PAUSE if error.retry_after is None else error.retry_after)
                except Unavailable as error:
                    failed += 1
                    if error.alarm or failed == _ATTEMPTS or self._pause.left() > _LONGEST_PAUSE:
                        raise
                    wait = backoff(failed, _FIRST_WAIT, _LONGEST_WAIT, random.random)
                    _log.debug("call.failed", attempt=failed, error=str(error), wait_s=wait.total_seconds())
                    await self._clock.sleep(wait)

    async def _attempt(self, request: "_Request", read: Callable[[Body], Awaitable[T]]) -> T:
        """Send once, with another token where the first was refused."""
        answer = await self._exchange(request)
        if answer.status == UNAUTHORIZED and self._login.refused(answer.token):
            answer = await self._exchange(request)
        if answer.status >= 300:
            raise self._error(request.doing, answer)
        try:
            return await read(answer.body)
        except DocumentTooLarge as error:
            raise TooLarge(f"{request.doing}: {error}") from error
        except (ValueError, RecursionError) as error:
            message = f"{request.doing}: the answer is not JSON, or is cut short ({len(answer.body)} bytes)"
            raise Unavailable(message, downstream=self.downstream) from error

    async def _exchange(self, request: "_Request") -> _Answer:
        """Send once, when the shared pause is over and there is a permit, with the token that is good then."""
        headers = {"Accept": "application/json"}
        if request.content is not None:
            headers["Content-Type"] = "application/json"
        async with self._permits:
            while left := self._pause.left():
                if left > _LONGEST_PAUSE:
                    message = f"{request.doing}: the API limits the rate of requests"
                    raise Unavailable(message, downstream=self.downstream, retry_after=left)
                await self._clock.sleep(left)
            token = await self._login.token(self.downstream)
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
            with transport_errors(request.doing, self._failures):
                async with self._session.request(
                    request.method,
                    f"{self.base_url}{request.path}",
                    params=list(request.params) or None,
                    data=None if request.content is None else request_body(request.content),
                    headers=headers,
                    allow_redirects=False,
                ) as response:
                    read = read_body(response, _LARGEST_ANSWER) if response.status < 300 else read_excerpt(response)
                    return _Answer(response.status, await read, retry_after(response.headers), token)

    def _error(self, doing: str, answer: _Answer) -> LatigoError:
        text = f"{doing}: status {answer.status}{_explained(answer.body)}"
        if answer.status == UNAUTHORIZED:
            return Unavailable(text, downstream=self.downstream, alarm=True)
        if answer.status == FORBIDDEN:
            return ForbiddenError(text, downstream=self.downstream, alarm=True)
        if answer.status == TOO_MANY:
            return _RateLimitedError(text, downstream=self.downstream, retry_after=answer.retry_after)
        if answer.status in _PASSING:
            return Unavailable(text, downstream=self.downstream, retry_after=answer.retry_after)
        if 300 <= answer.status < 400:
            return Unavailable(f"{text}: a redirect", downstream=self.downstream, alarm=True)
        return ApiRefused(answer.status, text)


async def _document(body: Body) -> Any:
    return await off_loop(len(body), LARGE_DOCUMENT, lambda: read_json(body))


def _explained(body: Body) -> str:
    """Return what the API says of an error, with the id that its support asks for."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(document, Mapping):
        return ""
    trace = excerpt(str(document.get("traceId") or document.get("activityId") or ""), _LONGEST_TRACE)
    message = excerpt(str(document.get("message", "")), _LONGEST_MESSAGE)
    return f": {message}" + (f" (trace id {trace})" if trace else "")


@asynccontextmanager
async def open_client(
    server: TimeseriesServer, section: str, clock: Clock, *, downstream: str, time_limit: timedelta
) -> AsyncIterator[TimeseriesClient]:
    """Open a session. Connects only when a request is sent.

    Raises:
        ConfigurationError: the login or ``ca_file`` cannot be used; names the key.
    """
    async with (
        open_login(server, section, clock) as login,
        aiohttp.ClientSession(
            **session_options(
                connect_timeout=server.connect_timeout,
                headers=server.fixed_headers if server.has_fixed_headers else None,
                tls=trusting(server.ca_file, section),
            )
        ) as session,
    ):
        yield TimeseriesClient(session, server, login, clock, downstream=downstream, time_limit=time_limit)
