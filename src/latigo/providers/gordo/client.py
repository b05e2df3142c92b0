"""Requests to a Gordo server: one HTTP session, with a limit on the time and the size of everything."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import TimedOut, Unavailable
from latigo.providers.gordo.frames import RequestBody
from latigo.providers.gordo.responses import UNAVAILABLE, Response
from latigo.providers.gordo.servers import LookUp, ReadModels, Server, Servers
from latigo.providers.login import Login, NoLogin, open_login
from latigo.providers.transport import transport_failures, trusting
from latigo.runtime.documents import LARGEST
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
from latigo.settings import GordoModels

_log = get_logger(__name__)

UNAUTHORIZED = 401

#: Gordo closes idle connections after 2.0 s; a request sent at that moment is lost.
_IDLE_TIMEOUT = timedelta(seconds=1.5)


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """Largest responses that are read, in bytes."""

    prediction: int = 256 << 20  #: as sent and as decoded
    document: int = LARGEST  #: a list, or the metadata of one model


def downstream_of(project: str) -> str:
    """Return the name of a project's circuit."""
    return circuit_name(System.MODELS, project)


class GordoClient:
    """Sends requests and reads responses of any status; knows nothing of what they mean."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        models: GordoModels,
        sizes: SizeLimits,
        login: Login | None = None,
        servers: Servers | None = None,
    ) -> None:
        self.servers = servers or Servers(models, None)
        self.sizes = sizes
        self._session = session
        self._login = login or NoLogin()
        self._models = models
        self._order: list[str] = []  #: in which servers are asked for what each of them has

    async def get(self, project: str, *path: str, revision: str | None = None, server: str = "") -> Response:
        """Read a list, or one model's metadata, of one of `Servers.names`; by default of the first that answers.

        Raises:
            Unavailable, TimedOut: there is no complete response.
            TooLarge: the response is larger than any list or metadata.
        """
        request = _Request(
            method="GET",
            project=project,
            path=path,
            query={"revision": revision} if revision else {},
            time_limit=self._models.list_timeout,
            size_limit=self.sizes.document,
        )
        *others, last = (server,) if server else self._in_turn()
        for other in others:
            try:
                response = await self._send(request, self.servers.server(other))
            except Unavailable as error:
                self._ask_later(other)
                if isinstance(error, TimedOut):
                    raise
                _log.debug("server.passed_over", downstream=other, error=str(error))
            else:
                if response.status not in UNAVAILABLE:
                    return response
                self._ask_later(other)
        return await self._send(request, self.servers.server(last))

    def _in_turn(self) -> Sequence[str]:
        """Return the servers, those last that did not answer lately; an unnamed one where there is a single one."""
        names = self.servers.names or ("",)
        new = [name for name in names if name not in self._order]
        self._order = [name for name in self._order if name in names] + new
        return tuple(self._order)

    def _ask_later(self, server: str) -> None:
        if server in self._order:
            self._order.remove(server)
            self._order.append(server)

    async def post(self, project: str, *path: str, revision: str, body: RequestBody, server: str = "") -> Response:
        """Request a prediction, in parquet, of one of `Servers.names`; of any by default.

        Never retried after a time-out: Gordo runs abandoned calls to the end.

        Raises:
            Unavailable, TimedOut: there is no complete response, or no such server any more.
            TooLarge: the response is larger than the limit.
        """
        if server and server not in self.servers.names:  # it went while the call waited for its turn
            raise Unavailable(f"{server} is not there any more", downstream=downstream_of(project))
        request = _Request(
            method="POST",
            project=project,
            path=path,
            query={"format": "parquet", "revision": revision},
            time_limit=self._models.predict_timeout,
            size_limit=self.sizes.prediction,
            body=body,
        )
        return await self._send(request, self.servers.server(server))

    async def _send(self, request: "_Request", server: Server) -> Response:
        failures = transport_failures(request.downstream)
        async with time_limit(request.time_limit, request.doing, failures):
            token = await self._login.token(request.downstream)
            response = await self._send_once(request, server, token)
            if response.status != UNAUTHORIZED or not self._login.refused(token):
                return response
            return await self._send_once(request, server, await self._login.token(request.downstream))

    async def _send_once(self, request: "_Request", server: Server, token: str | None) -> Response:
        """Send with this token; once more where the connection had been closed while it was idle."""
        with transport_errors(request.doing, transport_failures(request.downstream)):
            attempt = _Attempt()
            try:
                return await self._exchange(request, server, token, attempt)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not attempt.went_stale:
                    raise
                _log.debug("connection.renewed", downstream=request.downstream, error=repr(error))
            return await self._exchange(request, server, token, _Attempt())

    async def _exchange(self, request: "_Request", server: Server, token: str | None, attempt: "_Attempt") -> Response:
        headers = {"Content-Type": request.body.content_type} if request.body else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if server.host:
            headers["Host"] = server.host
        asked = self._session.request(
            request.method,
            request.url(server.url),
            data=request_body(request.body.data) if request.body else None,
            headers=headers,
            allow_redirects=False,
            server_hostname=server.host.partition(":")[0] or None,
            trace_request_ctx=attempt,
        )
        async with asked as response:
            attempt.answered = True
            revision = response.headers.get("revision")
            whole = response.status == 200 and revision is not None
            return Response(
                status=response.status,
                content_type=response.content_type if "Content-Type" in response.headers else "",
                revision=revision,
                body=await (read_body(response, request.size_limit) if whole else read_excerpt(response)),
                retry_after=retry_after(response.headers),
            )


@asynccontextmanager
async def open_client(
    models: GordoModels, sizes: SizeLimits, read_models: ReadModels | None = None, look_up: LookUp | None = None
) -> AsyncIterator[GordoClient]:
    """Open one session for all projects of the servers. Connects only when a request is sent.

    Args:
        models: the section of the settings.
        sizes: largest responses.
        read_models: as in `Servers`.
        look_up: as in `Servers`.

    Raises:
        ConfigurationError: ``models.ca_file`` cannot be read.
    """
    async with (
        open_login(models, "models") as login,
        aiohttp.ClientSession(
            **session_options(
                connect_timeout=models.connect_timeout,
                headers=models.fixed_headers if models.has_fixed_headers else None,
                tls=trusting(models.ca_file, "models"),
                idle_timeout=_IDLE_TIMEOUT,
            ),
            trace_configs=[_reuse_trace()],
        ) as session,
    ):
        servers = Servers(models, read_models, look_up)
        async with following(servers):
            yield GordoClient(session, models, sizes, login, servers)


@asynccontextmanager
async def following(servers: Servers) -> AsyncIterator[None]:
    """Follow addresses and models of several servers while the context lasts."""
    if not servers.are_several:
        yield
        return
    task = asyncio.create_task(servers.follow(), name="servers")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@lru_cache(maxsize=1024)
def _quoted(part: str) -> str:
    """Return a part of an address, quoted; all but the model is the same in most of them."""
    return quote(part, safe="")


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
        # Quoted here and not changed by yarl: a name may hold a slash, and a path that is tidied up is another path.
        route = "/".join(map(_quoted, (self.project, *self.path)))
        query = "&".join(f"{key}={_quoted(value)}" for key, value in self.query.items())
        return URL(f"{base}/gordo/v0/{route}{'?' if query else ''}{query}", encoded=True)


@dataclass(slots=True)
class _Attempt:
    """One attempt; distinguishes a stale connection of the pool from a server that failed while it worked."""

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
