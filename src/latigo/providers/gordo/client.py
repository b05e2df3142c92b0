"""The wire: one HTTP session for a model server, with a limit on the time and the size of everything."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import structlog
from yarl import URL

from latigo.domain.errors import ConfigurationError, TimedOut, TooLarge, Unavailable
from latigo.providers.gordo.frames import RequestBody
from latigo.providers.gordo.responses import Answer, retry_after
from latigo.runtime.http import BodyTooLarge, read_beginning, read_whole

log = structlog.get_logger()

#: Gordo closes idle connections after 2.0 s; a request sent at that moment is lost.
_KEEPALIVE_S = 1.5
_EXCERPT = 1 << 16  #: of a body that only explains a refusal
_STREAMED = 1 << 20  #: request bodies from this size are written in pieces, so that they do not hold up the loop


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, and how much."""

    connect: timedelta = timedelta(seconds=5)
    read: timedelta = timedelta(seconds=30)  #: a list, or one model's metadata
    predict: timedelta = timedelta(seconds=300)
    answer_bytes: int = 256 << 20  #: one prediction, as sent and as decoded
    document_bytes: int = 32 << 20  #: a list, or one model's metadata


def downstream_of(project: str) -> str:
    """The name of a project's circuit."""
    return f"gordo/{project}"


class GordoClient:
    """Sends requests and reads answers, whatever their status; knows nothing of what they mean."""

    def __init__(self, session: aiohttp.ClientSession, url: str, limits: Limits) -> None:
        self.limits = limits
        self._session = session
        self._url = url.rstrip("/")

    async def get(self, project: str, *path: str, revision: str | None = None) -> Answer:
        """Read a list, or one model's metadata.

        Raises:
            Unavailable, TimedOut: no whole answer came.
            TooLarge: the answer is larger than any list or metadata.
        """
        request = _Request(
            method="GET",
            project=project,
            path=path,
            query={"revision": revision} if revision else {},
            time_limit=self.limits.read,
            size_limit=self.limits.document_bytes,
        )
        return await self._send(request)

    async def post(self, project: str, *path: str, revision: str, body: RequestBody) -> Answer:
        """Ask for a prediction, in parquet. A time-out is never repeated: Gordo runs abandoned calls to the end.

        Raises:
            Unavailable, TimedOut: no whole answer came.
            TooLarge: the answer is larger than the limit.
        """
        request = _Request(
            method="POST",
            project=project,
            path=path,
            query={"format": "parquet", "revision": revision},
            time_limit=self.limits.predict,
            size_limit=self.limits.answer_bytes,
            body=body,
        )
        return await self._send(request)

    async def _send(self, request: "_Request") -> Answer:
        with _translated(request):
            async with asyncio.timeout(request.time_limit.total_seconds()):
                attempt = _Attempt()
                try:
                    return await self._exchange(request, attempt)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                    if not attempt.went_stale:
                        raise
                    log.debug("connection.went_stale", downstream=request.downstream, error=repr(error))
                return await self._exchange(request, _Attempt())

    async def _exchange(self, request: "_Request", attempt: "_Attempt") -> Answer:
        asked = self._session.request(
            request.method,
            request.url(self._url),
            data=request.payload(),
            headers={"Content-Type": request.body.content_type} if request.body else None,
            allow_redirects=False,
            trace_request_ctx=attempt,
        )
        async with asked as response:
            attempt.answered = True
            revision = response.headers.get("revision")
            whole = response.status == 200 and revision is not None
            return Answer(
                status=response.status,
                content_type=response.content_type if "Content-Type" in response.headers else "",
                revision=revision,
                body=await (read_whole(response, request.size_limit) if whole else read_beginning(response, _EXCERPT)),
                retry_after=retry_after(response.headers),
            )


@asynccontextmanager
async def open_client(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    token: str | None = None,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
) -> AsyncIterator[GordoClient]:
    """One session for all projects of a server. Connects only when something is asked.

    Args:
        url: where the server is, without ``/gordo/v0``.
        headers: sent with every request; may hold secrets.
        token: sent as bearer token with every request.
        tls: what an ``https`` server is checked against; the system's authorities by default.
        limits: on time and size.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ConfigurationError("models.url: not an http or https URL")
    limits = limits or Limits()
    # A compressed answer could hide its size, and Gordo compresses none.
    always = {"Accept-Encoding": "identity", **(headers or {})}
    if token:
        always["Authorization"] = f"Bearer {token}"
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S, ssl=tls if tls is not None else True),
        timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect.total_seconds()),
        headers=always,
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[_reuse_trace()],
    ) as session:
        yield GordoClient(session, url, limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    project: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    time_limit: timedelta
    size_limit: int
    body: RequestBody | None = None

    @property
    def downstream(self) -> str:
        return downstream_of(self.project)

    @property
    def doing(self) -> str:
        return f"{self.method} {'/'.join((self.project, *self.path))}"

    def url(self, base: str) -> URL:
        # Quoted here and left alone by yarl: a name may hold a slash, and a path that is tidied up is another path.
        route = "/".join(quote(part, safe="") for part in (self.project, *self.path))
        query = "&".join(f"{key}={quote(value, safe='')}" for key, value in self.query.items())
        return URL(f"{base}/gordo/v0/{route}{'?' if query else ''}{query}", encoded=True)

    def payload(self) -> bytes | BytesIO | None:
        if self.body is None or len(self.body.data) < _STREAMED:
            return self.body.data if self.body else None
        return BytesIO(self.body.data)


@dataclass(slots=True)
class _Attempt:
    """Tells a connection that had gone stale in the pool from a server that went away while it worked."""

    reused: bool = False
    answered: bool = False

    @property
    def went_stale(self) -> bool:
        return self.reused and not self.answered


def _reuse_trace() -> aiohttp.TraceConfig:
    async def reused(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        context.trace_request_ctx.reused = True

    async def fresh(_: aiohttp.ClientSession, context: SimpleNamespace, __: Any) -> None:
        context.trace_request_ctx.reused = False  # aiohttp repeats a GET by itself, and then on a new connection

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(reused)
    trace.on_connection_create_end.append(fresh)
    return trace


@contextmanager
def _translated(request: _Request) -> Iterator[None]:
    """Nothing from aiohttp leaves this module."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise Unavailable(f"{request.doing}: no connection in time", downstream=request.downstream) from error
    except TimeoutError as error:
        limit = request.time_limit.total_seconds()
        raise TimedOut(f"{request.doing}: no answer within {limit:g} s", downstream=request.downstream) from error
    except BodyTooLarge as error:
        raise TooLarge(f"{request.doing}: the answer is larger than {request.size_limit} bytes") from error
    except aiohttp.ClientError as error:
        reason = f"{type(error).__name__}: {error}"[:300]
        raise Unavailable(f"{request.doing}: {reason}", downstream=request.downstream) from error
