"""The wire: one HTTP session for an InfluxDB, with a limit on the time and the size of everything.

The only module that imports aioinflux, and all it takes from it is the session, the URL and the authorization: its own
reading hides statuses and cut answers, its own writing takes no precision.
"""

import asyncio
import re
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any, Literal, Required, TypedDict, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakValueDictionary

import aiohttp
import orjson
from yarl import URL

from latigo.domain.errors import ConfigurationError, TimedOut, TooLarge, Unavailable
from latigo.providers.influx.errors import MSGPACK, Refusal, points_dropped, refused_read, refused_write
from latigo.runtime.http import BodyTooLarge, read_beginning, read_whole
from latigo.runtime.retry import short_outage

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # it misses pandas, which we do not want
    from aioinflux import InfluxDBClient  # type: ignore[import-untyped]  # has no type hints

_IN_FLIGHT = 8  #: requests of a process to a server; more only add latency
_EXCERPT = 1 << 16  #: of a body that only explains a refusal
_STREAMED = 1 << 20  #: request bodies from this size are written in pieces, so that they do not hold up the loop
_T = TypeVar("_T")
_ACCEPT = {"msgpack": MSGPACK, "json": "application/json"}
_FORM = "application/x-www-form-urlencoded"
#: No header can hold these.
_UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class InfluxSwitches:
    """How a query is put; servers that only look like InfluxDB 1.x understand less."""

    statements_per_request: Literal["many", "one"] = "many"
    format: Literal["msgpack", "json"] = "msgpack"
    bind: bool = True  #: values as parameters; otherwise as literals in the statement
    method: Literal["POST", "GET"] = "POST"


#: By major version of the server.
SWITCHES: Mapping[str, InfluxSwitches] = {
    "1": InfluxSwitches(),
    "2": InfluxSwitches(),
    "3": InfluxSwitches(statements_per_request="one", format="json", bind=False, method="GET"),
}


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer with status 200; whether it holds an error is for its reader to see."""

    content_type: str  #: without parameters, in lower case
    body: bytes | bytearray


class Server(TypedDict, total=False):
    """What those that open something on a server hand on to `open_client`, which describes it."""

    url: Required[str]
    database: Required[str]
    retention_policy: str | None
    username: str | None
    password: str | None
    token: str | None
    version: str
    tls: ssl.SSLContext | None
    connect_timeout: timedelta


class InfluxClient:
    """Sends queries and lines; raises what the status says, and knows nothing of what is in a body.

    Reading and writing again change nothing, so both are tried again for a moment when the server is away.
    """

    def __init__(
        self,
        connection: "_Connection",
        *,
        downstream: str,
        section: str,
        database: str,
        retention_policy: str | None,
        switches: InfluxSwitches,
        time_limit: timedelta,
    ) -> None:
        self.downstream = downstream
        self.section = section
        self.database = database
        self.switches = switches
        self._connection = connection
        self._retention_policy = {"rp": retention_policy} if retention_policy else {}
        self._time_limit = time_limit.total_seconds()
        self._permits = _permits(connection.url)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.downstream}>"

    async def read(
        self,
        statements: str,
        *,
        params: Mapping[str, object] | None = None,
        epoch: str = "ns",
        max_bytes: int,
        database: str | None = None,
    ) -> RawAnswer:
        """Send one or more statements, joined by ``;``, in one request.

        Status 200 is not success: database missing, query time-out and the server's limits arrive as 200.

        Args:
            statements: InfluxQL.
            params: values of its ``$names``; only where ``switches.bind`` is set.
            epoch: the unit of times in the answer.
            max_bytes: no larger answer is taken.
            database: another one than the client's own.

        Raises:
            TooLarge: the answer is larger than ``max_bytes``; found out before it is read, where its length is told.
            Unavailable, TimedOut: no whole answer came; with an alarm where waiting alone does not help.
            Failed: the server does not understand the statements.
        """
        form = {"q": statements, "db": database or self.database, "epoch": epoch, **self._retention_policy}
        if params:
            form["params"] = orjson.dumps(params).decode()

        in_url = self.switches.method == "GET"
        # aiohttp would encode a form character by character in Python, at several times the cost.
        body = None if in_url else URL.build(query=form).raw_query_string.encode()
        headers = {"Accept": _ACCEPT[self.switches.format]} | ({} if in_url else {"Content-Type": _FORM})

        async def exchange() -> RawAnswer:
            async with self._connection.session().request(
                self.switches.method,
                self._connection.url.format(endpoint="query"),
                params=form if in_url else None,
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise refused_read(await self._refusal(response))
                return RawAnswer(response.content_type, await read_whole(response, max_bytes))

        return await self._within_limits("reading", exchange)

    async def write_lines(self, body: bytes, *, precision: Literal["s", "ns"], database: str | None = None) -> int:
        """Write line protocol.

        Args:
            body: lines, separated by newlines; never none, which the server takes without a word.
            precision: the unit of their times. A wrong one is accepted by the server: see `lines`.
            database: another one than the client's own.

        Returns:
            How many points the server dropped because they are older than its retention policy keeps them. Those
            apart, all are stored.

        Raises:
            TooLarge: the server takes no body of this size.
            Rejected: ``WRITE_REFUSED``. The rest of the body may be stored.
            Unavailable, TimedOut: it may be stored or not; with an alarm where waiting alone does not help.
        """
        query = {"db": database or self.database, "precision": precision, **self._retention_policy}

        async def exchange() -> int:
            async with self._connection.session().post(
                self._connection.url.format(endpoint="write"),
                params=query,
                data=body if len(body) < _STREAMED else BytesIO(body),
                headers={"Content-Type": "text/plain; charset=utf-8"},
                allow_redirects=False,
            ) as response:
                if response.status == 204:
                    return 0
                refusal = await self._refusal(response)
                dropped = points_dropped(refusal)
                if dropped is None:
                    raise refused_write(refusal)
                return dropped

        return await self._within_limits("writing", exchange)

    async def ping(self) -> str:
        """The version of the server; says nothing of database or credentials.

        Raises:
            Unavailable, TimedOut: it does not answer.
        """

        async def exchange() -> str:
            async with self._connection.session().get(
                self._connection.url.format(endpoint="ping"), allow_redirects=False
            ) as response:
                if response.status not in {200, 204}:
                    raise refused_read(await self._refusal(response))
                return response.headers.get("X-Influxdb-Version", "")

        return await self._within_limits("asking for its version", exchange)

    async def close(self) -> None:
        """Close the session."""
        await self._connection.close()

    async def _within_limits(self, doing: str, exchange: Callable[[], Awaitable[_T]]) -> _T:
        """Every request: in its turn, in time, and once more after a short outage."""

        async def attempt() -> _T:
            with self._translated(doing):
                async with self._permits:
                    return await exchange()

        try:
            async with asyncio.timeout(self._time_limit):
                return await short_outage(_passes)(attempt)
        except TimeoutError as error:
            raise TimedOut(
                f"InfluxDB, {doing}: no answer within {self._time_limit:g} s", downstream=self.downstream
            ) from error

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Nothing from aiohttp leaves this module."""
        try:
            yield
        except BodyTooLarge as error:
            raise TooLarge(f"InfluxDB, {doing}: the answer is larger than {error.limit} bytes") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise Unavailable(f"InfluxDB, {doing}: no connection in time", downstream=self.downstream) from error
        except aiohttp.ClientError as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            raise Unavailable(f"InfluxDB, {doing}: {reason}", downstream=self.downstream) from error

    async def _refusal(self, response: aiohttp.ClientResponse) -> Refusal:
        return Refusal(
            status=response.status,
            content_type=response.content_type,
            body=bytes(await read_beginning(response, _EXCERPT)),
            retry_after=response.headers.get("Retry-After", ""),
            downstream=self.downstream,
            section=self.section,
        )


@asynccontextmanager
async def open_client(
    url: str,
    *,
    database: str,
    downstream: str,
    section: str,
    retention_policy: str | None = None,
    username: str | None = None,
    password: str | None = None,
    token: str | None = None,
    version: str = "1",
    switches: InfluxSwitches | None = None,
    tls: ssl.SSLContext | None = None,
    connect_timeout: timedelta = timedelta(seconds=5),
    time_limit: timedelta = timedelta(seconds=30),
) -> AsyncIterator[InfluxClient]:
    """One session for a server. Connects only when something is asked.

    Clients of the same URL in one process share the permits for requests in flight.

    Args:
        url: where the server is; may hold a path, holds no credentials.
        database: what is read or written where nothing else is said.
        downstream: the name of its circuit, ``sensors/influx`` or ``sink/influx``.
        section: of the settings, ``sensors`` or ``predictions``; for messages that name a key.
        retention_policy: the database's default one by default.
        username: for servers of version 1, with ``password``.
        password: of ``username``.
        token: for servers of version 2 and 3, instead of ``username``.
        version: of the server, a key of ``SWITCHES``.
        switches: how a query is put; as ``version`` has it by default.
        tls: what an ``https`` server is checked against; the system's authorities by default.
        connect_timeout: for making a connection.
        time_limit: for each call, waiting for its turn and trying again included.

    Raises:
        ConfigurationError: URL or credentials cannot be used; names the key.
    """
    for key, text in (("username", username), ("password", password), ("token", token)):
        if _UNSPEAKABLE.search(text or ""):
            raise ConfigurationError(f"{section}.{key}: must not hold control characters")
    if token and (username or password):
        raise ConfigurationError(f"{section}.token: not together with {section}.username")
    if bool(username) != bool(password):
        raise ConfigurationError(f"{section}.username: goes with {section}.password, and the other way round")
    if ":" in (username or ""):
        raise ConfigurationError(f"{section}.username: must not hold a colon")
    # A header of our own: aioinflux would encode names and passwords in a way that the server does not.
    headers = {"Authorization": f"Token {token}"} if token else {}
    if username and password:
        headers = {"Authorization": aiohttp.encode_basic_auth(username, password, "utf-8")}
    connection = _Connection(
        url, section=section, database=database, headers=headers, tls=tls, connect_timeout=connect_timeout
    )
    await connection.create_session()
    try:
        yield InfluxClient(
            connection,
            downstream=downstream,
            section=section,
            database=database,
            retention_policy=retention_policy,
            switches=switches or SWITCHES[version],
            time_limit=time_limit,
        )
    finally:
        await connection.close()


class _Connection(InfluxDBClient):  # type: ignore[misc]  # aioinflux has no type hints
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
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_timeout.total_seconds()),
            # A compressed answer could hide its size, and costs the server half as much CPU again.
            headers={"Accept-Encoding": "identity", **headers},
            connector=aiohttp.TCPConnector(limit=0, ssl=tls if tls is not None else True),
            cookie_jar=aiohttp.DummyCookieJar(),
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


def _permits(url: str) -> asyncio.Semaphore:
    by_url = _permits_of.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    return by_url.setdefault(url, asyncio.Semaphore(_IN_FLIGHT))


def _passes(error: BaseException) -> bool:
    """Whether it is worth asking again in a moment."""
    return isinstance(error, Unavailable) and not isinstance(error, TimedOut) and not error.alarm
