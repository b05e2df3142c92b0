"""Requests to an InfluxDB: the one place where its calls are limited in time and size, and retried."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import aiohttp
import orjson
from yarl import URL

from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import TimedOut, Unavailable
from latigo.providers.influx.connection import Connection, InfluxSection, permits
from latigo.providers.influx.errors import MSGPACK, ErrorResponse, points_dropped, refused_read, refused_write
from latigo.providers.transport import transport_failures
from latigo.runtime.documents import LARGEST
from latigo.runtime.http import (
    read_body,
    read_excerpt,
    request_body,
    retry_after,
    time_limit,
    transport_errors,
)
from latigo.runtime.off_loop import LARGE_DOCUMENT, off_loop
from latigo.runtime.retry import short_outage
from latigo.settings import InfluxSensors, InfluxSink

_T = TypeVar("_T")
_ACCEPT = {"msgpack": MSGPACK, "json": "application/json"}
_FORM = "application/x-www-form-urlencoded"
#: Bytes of a response from on which reading it takes several milliseconds, also where that is done value by value.
_LARGE = {"msgpack": 128 << 10, "json": LARGE_DOCUMENT}


@dataclass(frozen=True, slots=True)
class InfluxSwitches:
    """Form of queries; servers that are only compatible with InfluxDB 1.x understand less."""

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
class Response:
    """A response with status 200, which may hold an error all the same."""

    content_type: str  #: without parameters, in lower case
    body: bytes | bytearray


class InfluxClient:
    """Sends queries and line protocol; raises errors by status, and knows nothing of bodies.

    Reads and writes can be repeated without harm, so both are retried for a moment when the server is unavailable.
    """

    def __init__(self, connection: Connection, influx: InfluxSection, switches: InfluxSwitches | None) -> None:
        match influx:
            case InfluxSensors():
                self.downstream, time_limit = circuit_name(System.SENSORS, influx.source_name), influx.read_timeout
            case InfluxSink():
                self.downstream, time_limit = circuit_name(System.SINK, influx.sink_name), influx.write_timeout
        self.section = section_of(influx)
        self.database = influx.database
        self.switches = switches or SWITCHES[influx.version]
        self._connection = connection
        self.retention_policy = influx.retention_policy
        self._retention_policy = {"rp": influx.retention_policy} if influx.retention_policy else {}
        self._time_limit = time_limit
        self._failures = transport_failures(self.downstream)
        self._permits = permits(connection.url)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.downstream}>"

    async def query(
        self,
        statements: str,
        interpret: Callable[[Response], _T],
        *,
        params: Mapping[str, object] | None = None,
        epoch: str = "ns",
        max_bytes: int,
        database: str | None = None,
    ) -> _T:
        """Send one or more statements, joined by ``;``, in one request, and return the result of ``interpret``.

        Has no time limit of its own: a read takes several requests, and its caller bounds them with `time_limit`.

        Args:
            statements: InfluxQL.
            interpret: reads the response, in a thread if it is large. Status 200 is not success: database missing,
                query time-out and the server's limits arrive as 200. A passing `Unavailable` that it raises is retried
                as one for the status is.
            params: values of its ``$names``; only where ``switches.bind`` is set.
            epoch: the unit of times in the response.
            max_bytes: no larger response is read; in JSON, none that is larger than a document.
            database: another one than the client's own.

        Raises:
            TooLarge: the response is larger than ``max_bytes``; known before it is read if it has a length.
            Unavailable: there is no complete response; with an alarm where an operator has to act.
            Failed: the server does not understand the statements.
        """
        form = {"q": statements, "db": database or self.database, "epoch": epoch, **self._retention_policy}
        if params:
            form["params"] = orjson.dumps(params).decode()

        in_json = self.switches.format == "json"
        in_url = self.switches.method == "GET"
        # aiohttp would encode a form character by character in Python, at several times the cost.
        body = None if in_url else URL.build(query=form).raw_query_string.encode()
        headers = {"Accept": _ACCEPT[self.switches.format]} | ({} if in_url else {"Content-Type": _FORM})

        async def exchange() -> _T:
            async with self._connection.session().request(
                self.switches.method,
                self._connection.url.format(endpoint="query"),
                params=form if in_url else None,
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise refused_read(await self._error_response(response))
                content = await read_body(response, min(max_bytes, LARGEST) if in_json else max_bytes)
            large = _LARGE[self.switches.format]
            return await off_loop(len(content), large, lambda: interpret(Response(response.content_type, content)))

        return await self._send("reading", exchange)

    async def read(self, statements: str, **options: Any) -> Response:
        """Send statements in one request, within the time limit, and return the response as it is; see `query`.

        Raises:
            TimedOut: there is no response in time.
        """
        async with self.time_limit("reading"):
            return await self.query(statements, lambda response: response, **options)

    async def write_lines(self, body: bytes, *, precision: Literal["s", "ns"], database: str | None = None) -> int:
        """Write line protocol.

        Args:
            body: lines, separated by newlines; not empty, which the server accepts silently.
            precision: the unit of their times. The server accepts a wrong one: see `line_protocol`.
            database: another one than the client's own.

        Returns:
            The number of points that the server dropped because they are older than its retention policy. All others
            are stored.

        Raises:
            TooLarge: the server refuses a body of this size.
            Rejected: ``WRITE_REFUSED``. The rest of the body may be stored.
            Unavailable, TimedOut: the points may be stored or not; with an alarm where an operator has to act.
        """
        query = {"db": database or self.database, "precision": precision, **self._retention_policy}

        async def exchange() -> int:
            async with self._connection.session().post(
                self._connection.url.format(endpoint="write"),
                params=query,
                data=request_body(body),
                headers={"Content-Type": "text/plain; charset=utf-8"},
                allow_redirects=False,
            ) as response:
                if response.status == 204:
                    return 0
                error = await self._error_response(response)
                dropped = points_dropped(error)
                if dropped is None:
                    raise refused_write(error)
                return dropped

        async with self.time_limit("writing"):
            return await self._send("writing", exchange)

    async def ping(self) -> str:
        """Return the version of the server; checks neither database nor credentials.

        Raises:
            Unavailable, TimedOut: there is no response.
        """

        async def exchange() -> str:
            async with self._connection.session().get(
                self._connection.url.format(endpoint="ping"), allow_redirects=False
            ) as response:
                if response.status not in {200, 204}:
                    raise refused_read(await self._error_response(response))
                return response.headers.get("X-Influxdb-Version", "")

        async with self.time_limit("reading its version"):
            return await self._send("reading its version", exchange)

    async def close(self) -> None:
        """Close the session."""
        await self._connection.close()

    def time_limit(self, doing: str) -> AbstractAsyncContextManager[None]:
        """Bound the time of everything inside, however many requests it takes.

        Raises:
            TimedOut: it took longer.
        """
        return time_limit(self._time_limit, f"InfluxDB, {doing}", self._failures)

    async def _send(self, doing: str, exchange: Callable[[], Awaitable[_T]]) -> _T:
        """Run one request when it has a permit, and again after a short outage."""

        async def attempt() -> _T:
            with transport_errors(f"InfluxDB, {doing}", self._failures):
                async with self._permits:
                    return await exchange()

        return await short_outage(_passes)(attempt)

    async def _error_response(self, response: aiohttp.ClientResponse) -> ErrorResponse:
        return ErrorResponse(
            status=response.status,
            content_type=response.content_type,
            body=bytes(await read_excerpt(response)),
            retry_after=retry_after(response.headers),
            downstream=self.downstream,
            section=self.section,
        )


@asynccontextmanager
async def open_client(influx: InfluxSection, *, switches: InfluxSwitches | None = None) -> AsyncIterator[InfluxClient]:
    """Open one session for a server. Connects only when a request is sent.

    Clients of the same URL in one process share the permits for requests in flight.

    Args:
        influx: the section of the settings.
        switches: form of queries; that of ``version`` by default.

    Raises:
        ConfigurationError: ``ca_file`` cannot be read.
    """
    connection = Connection(influx, section_of(influx))
    await connection.create_session()
    try:
        yield InfluxClient(connection, influx, switches)
    finally:
        await connection.close()


def section_of(influx: InfluxSection) -> str:
    """Return the name of the section, for messages that name a key."""
    return "sensors" if isinstance(influx, InfluxSensors) else "predictions"


def _passes(error: BaseException) -> bool:
    """Return whether a short outage is worth a retry."""
    return isinstance(error, Unavailable) and not isinstance(error, TimedOut) and not error.alarm
