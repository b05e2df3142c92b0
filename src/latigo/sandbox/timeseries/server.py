"""A server that answers as the Omnia Timeseries API does. A development part, not for production.

Paths, codes and bodies are those of the API's version 1.7, as far as they are public; every path is served with and
without a slash at its end. It also answers as the Metadata API does, below ``/metadata``.
"""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web

from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.log import get_logger
from latigo.sandbox.timeseries.controls import Controls, Fault, FaultKind, Recorded
from latigo.sandbox.timeseries.points import Points
from latigo.sandbox.timeseries.store import ApiError, Reading, StoredSeries, TimeseriesStore, read_time

SERVER = "latigo-sandbox-timeseries (development part)"
BASE = "/plant/timeseries/v1.7"
METADATA_BASE = "/metadata"
#: Plants that exist: a code, and its equivalents.
FACILITIES: Mapping[str, Sequence[str]] = {"1903": ("GRA",), "1904": ("GRB",), "1905": (), "1000": ("IOC",)}
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FILTERS = ("name", "externalId", "source", "assetId", "facility", "description", "unit")
_LISTS = frozenset({"status", "aggregateFunction"})
_MOST_SERIES = 100_000
_LARGEST = 256 << 20
_ASYNC_AFTER_S = 0.2

log = get_logger(__name__)


class SandboxTimeseries:
    """The server; open it with `open_sandbox_timeseries`.

    Args:
        facilities: codes of plants that exist, each with its equivalents.
        projects: what the Metadata API answers.
        clock: of the service.
    """

    def __init__(self, facilities: Mapping[str, Sequence[str]], projects: Sequence[str], clock: Clock) -> None:
        self.store = TimeseriesStore(facilities, clock)
        self.controls = Controls(clock)
        self.projects = list(projects)
        self.models: list[dict[str, Any]] = []  #: posted to the Metadata API
        self.url = ""  #: of the Timeseries API, known once it is open
        self.metadata_url = ""
        self._points = Points(self.store, self.controls)
        self._later: set[asyncio.Task[None]] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request: faults first, then the gateway's checks, then the API."""
        path = request.path.rstrip("/")
        base = next((base for base in (BASE, METADATA_BASE) if path == base or path.startswith(f"{base}/")), None)
        if base is None:
            return self._error(request, "", None, ApiError(404, "Resource not found"), gateway=True)
        respond = self._respond if base == BASE else self._respond_metadata
        path = path.removeprefix(base) or "/"
        controls = self.controls
        controls.in_flight += 1
        controls.most_in_flight = max(controls.most_in_flight, controls.in_flight)
        try:
            return await self._handle(request, path, respond)
        finally:
            controls.in_flight -= 1

    async def _handle(self, request: web.Request, path: str, respond: Any) -> web.StreamResponse:
        raw = await request.read()
        body = _decoded(raw)
        if fault := self.controls.meet(request.method, path):
            if fault.kind is FaultKind.DELAY:
                await asyncio.sleep(fault.seconds)
            elif fault.kind is not FaultKind.TRUNCATE:
                return self._faulty(request, path, body, fault)
        try:
            self._pass_gateway(request, raw, of_metadata=respond == self._respond_metadata)
        except ApiError as error:
            return self._error(request, path, body, error, gateway=True)
        try:
            _check_format(request, body)
            status, document = respond(request.method, path, _query(request), body)
        except ApiError as error:
            return self._error(request, path, body, error)
        content = orjson.dumps(document)
        self._record(request, path, body, status)
        if fault and fault.kind is FaultKind.TRUNCATE:
            return await self._cut(request, content)
        return web.Response(status=status, body=content, headers=_HEADERS)

    def _pass_gateway(self, request: web.Request, raw: bytes, *, of_metadata: bool) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        accepted = self.controls.accepted_tokens
        if scheme != "Bearer" or not token or (accepted is not None and token not in accepted):
            raise ApiError(401, "Unauthorized. Access token is missing or invalid.")
        required = self.controls.required_headers | (self.controls.required_metadata_headers if of_metadata else {})
        for name, value in required.items():
            if request.headers.get(name) != value:
                raise ApiError(401, "Access denied due to missing subscription key.")
        if len(raw) > self.controls.most_bytes:
            raise ApiError(413, "Request Entity Too Large")
        if seconds := self.controls.seconds_to_wait():
            raise _TooMany(seconds)

    def _respond(self, method: str, path: str, query: Mapping[str, Any], body: Any) -> tuple[int, Any]:
        parts = path.strip("/").split("/") if path != "/" else []
        if parts and _GUID.fullmatch(parts[0]):
            return self._of_one(method, parts[0], tuple(parts[1:]), query, body)
        match method, parts:
            case "GET", []:
                return 200, self._list(query, wildcards=False)
            case "POST", []:
                return 200, self._items([self.store.create(body)])
            case "POST", ["getoradd"]:
                if not isinstance(body, list) or not body:
                    raise ApiError(400, "The body must be a list.")
                return 200, self._items(self.store.get_or_add(body))
            case "GET", ["search", *words]:
                return 200, self._list(query, wildcards=True, words="/".join(words))
            case "GET", ["facets", "facility" | "source" as key]:
                return 200, self._facets(key, query)
            case _:
                return self._of_many(method, parts, query, body)

    def _of_many(self, method: str, parts: Sequence[str], query: Mapping[str, Any], body: Any) -> tuple[int, Any]:
        match method, parts:
            case "POST", ["query", "data"]:
                return 200, self._points.read_many(body, query)
            case "GET", ["query", "data"]:
                named = self.store.named(str(query.get("name", "")), str(query.get("facility", "")))
                if named is None:
                    raise ApiError(404, "Timeseries not found.")
                return 200, self._points.read_one(named, query)
            case "POST", ["query", "data", "latest" | "first" as edge]:
                return 200, self._points.edge_of_many(body, newest=edge == "latest")
            case "POST", ["data"]:
                return self._write(self._points.written_to_many(body), query)
            case _:
                raise ApiError(404, "Resource not found")

    def _of_one(
        self, method: str, identifier: str, rest: tuple[str, ...], query: Mapping[str, Any], body: Any
    ) -> tuple[int, Any]:
        stored = self.store.series(identifier)
        match method, rest:
            case "GET", ():
                return 200, self._items([stored])
            case "PATCH" | "PUT", ():
                return 200, self._items([self.store.change(identifier, body)])
            case "DELETE", ():
                self.store.remove(identifier)
                return 200, _message("Successfully deleted timeseries")
            case "GET", ("data",):
                return 200, self._points.read_one(stored, query)
            case "GET", ("data", "aggregates"):
                return 200, self._points.read_one(stored, {"aggregateFunction": ["avg"], **query})
            case "GET", ("data", "latest" | "first" as edge):
                return 200, self._points.edge_of_one(stored, query, newest=edge == "latest")
            case "POST", ("data",):
                return self._write([(stored, self._points.written_to_one(body))], query)
            case "DELETE", ("data",):
                start, end = read_time(query.get("startTime")), read_time(query.get("endTime"))
                stored.delete(start, end)
                return 200, _message("Successfully deleted datapoints")
            case _:
                raise ApiError(404, "Resource not found")

    def _list(self, query: Mapping[str, Any], *, wildcards: bool, words: str = "") -> dict[str, Any]:
        filters = {key: str(query[key]) for key in _FILTERS if query.get(key)}
        if words:
            filters.setdefault("name", f"*{words}*" if "*" not in words else words)
        found = self.store.find(filters, wildcards=wildcards)[:_MOST_SERIES]
        limit = min(int(query.get("limit") or self.controls.page_size), self.controls.page_size)
        begin = int(query["continuationToken"].removeprefix("page-")) if query.get("continuationToken") else 0
        document = self._items(found[begin : begin + limit])
        if begin + limit < len(found):
            document["continuationToken"] = f"page-{begin + limit}"
            document["count"] = limit
        return document

    def _facets(self, key: str, query: Mapping[str, Any]) -> dict[str, Any]:
        filters = {name: str(query[name]) for name in ("facility", "source") if query.get(name)}
        counts = self.store.counts(key, filters)
        return {"data": {"items": [{"name": name, "count": count} for name, count in counts.items()]}}

    def _items(self, series: Sequence[StoredSeries]) -> dict[str, Any]:
        document: dict[str, Any] = {"data": {"items": [stored.document for stored in series]}}
        if self.controls.empty_keys == "null":
            document |= {"count": None, "continuationToken": None}
        return document

    def _write(
        self, written: Sequence[tuple[StoredSeries, Sequence[Reading]]], query: Mapping[str, Any]
    ) -> tuple[int, Any]:
        if str(query.get("async", "false")).lower() == "true":
            later = asyncio.create_task(self._write_later(written))
            self._later.add(later)
            later.add_done_callback(self._later.discard)
            return 202, _message("Accepted", status=202)
        for stored, readings in written:
            stored.write(readings)
        return 200, _message(f"Successfully wrote datapoints to {len(written)} timeseries")

    async def _write_later(self, written: Sequence[tuple[StoredSeries, Sequence[Reading]]]) -> None:
        await asyncio.sleep(_ASYNC_AFTER_S)
        for stored, readings in written:
            stored.write(readings)

    def _respond_metadata(self, method: str, path: str, query: Mapping[str, Any], body: Any) -> tuple[int, Any]:  # noqa: ARG002 - as `_respond`
        match method, path:
            case "GET", "/ready":
                return 200, "Ok"
            case "GET", "/projects":
                return 200, {"projects": self.projects}
            case "POST", "/models":
                self._check_model(body)
                self.models.append(dict(body))
                return 200, {"model_id": len(self.models)}
            case _:
                raise ApiError(404, "Resource not found")

    def _check_model(self, body: Any) -> None:
        needed = ("project_name", "model_name", "revision", "input_tags", "output_tags")
        if not isinstance(body, Mapping) or any(not body.get(key) for key in needed):
            raise ApiError(400, "project_name, model_name, revision, input_tags and output_tags are required")
        if any(tag.get("type") not in {"derived", "aggregated"} for tag in body["output_tags"]):
            raise ApiError(400, "The type of an output tag must be derived or aggregated.")
        for tag in (*body["input_tags"], *body["output_tags"]):
            if self.store.series(tag.get("time_series_id")).name != tag.get("name"):
                raise ApiError(400, f"The name of timeseries '{tag.get('time_series_id')}' is not '{tag.get('name')}'.")

    def _faulty(self, request: web.Request, path: str, body: Any, fault: Fault) -> web.StreamResponse:
        self._record(request, path, body, 0 if fault.kind is FaultKind.HANG_UP else fault.status)
        if fault.kind is FaultKind.HANG_UP:
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        headers = dict(_HEADERS)
        if fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        if fault.kind is FaultKind.EMPTY:
            return web.Response(status=fault.status, headers={"Server": SERVER})
        text = f"Rate limit is exceeded. Try again in {fault.retry_after} seconds." if fault.status == 429 else "Fault"
        document = _message(text, status=fault.status)
        if fault.kind is FaultKind.GATEWAY:
            del document["traceId"]
        return web.Response(status=fault.status, body=orjson.dumps(document), headers=headers)

    def _error(
        self, request: web.Request, path: str, body: Any, error: ApiError, *, gateway: bool = False
    ) -> web.Response:
        self._record(request, path, body, error.status)
        document = _message(error.message, status=error.status)
        if gateway:
            del document["traceId"]
        headers = dict(_HEADERS)
        if isinstance(error, _TooMany):
            headers["Retry-After"] = str(error.seconds)
        return web.Response(status=error.status, body=orjson.dumps(document), headers=headers)

    async def _cut(self, request: web.Request, content: bytes) -> web.StreamResponse:
        """Send the first half of an answer as if it were all."""
        half = content[: len(content) // 2]
        response = web.StreamResponse(headers={**_HEADERS, "Content-Length": str(len(half))})
        await response.prepare(request)
        await response.write(half)
        return response

    def _record(self, request: web.Request, path: str, body: Any, status: int) -> None:
        query = {name: request.query.getall(name) for name in request.query}
        decoded = None if body is _INVALID else body
        self.controls.record(Recorded(request.method, path, query, dict(request.headers), decoded, status))


class _TooMany(ApiError):
    def __init__(self, seconds: int) -> None:
        super().__init__(429, f"Rate limit is exceeded. Try again in {seconds} seconds.")
        self.seconds = seconds


_HEADERS = {"Content-Type": "application/json; charset=utf-8", "Server": SERVER}
_INVALID = object()


def _check_format(request: web.Request, body: Any) -> None:
    if body is _INVALID:
        raise ApiError(400, "The body is not valid JSON.")
    if "protobuf" in request.headers.get("Accept", ""):
        raise ApiError(406, "Only application/json is supported.")


def _decoded(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _INVALID


def _query(request: web.Request) -> dict[str, Any]:
    """Return the parameters by name; those that may be repeated as lists."""
    return {name: request.query.getall(name) if name in _LISTS else request.query[name] for name in set(request.query)}


def _message(text: str, *, status: int = 200) -> dict[str, Any]:
    return {"statusCode": status, "message": text, "traceId": uuid.uuid4().hex}


@asynccontextmanager
async def open_sandbox_timeseries(
    *,
    facilities: Mapping[str, Sequence[str]] = FACILITIES,
    projects: Sequence[str] = (),
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Clock | None = None,
) -> AsyncIterator[SandboxTimeseries]:
    """Run a server in this event loop; it listens at ``server.url``."""
    server = SandboxTimeseries(facilities, projects, clock or SystemClock())
    app = web.Application(client_max_size=_LARGEST)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address = f"http://{host}:{runner.addresses[0][1]}"
        server.url, server.metadata_url = f"{address}{BASE}", f"{address}{METADATA_BASE}"
        log.info(
            "sandbox.started", downstream="sandbox/timeseries", url=server.url, models={}, purpose="development only"
        )
        yield server
    finally:
        await runner.cleanup()
