"""Recorded traffic of a real Gordo server, and an HTTP server that answers with it, or with faults."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from aiohttp import web

from latigo.domain.model import ModelRef
from latigo.domain.series import Frame
from latigo.domain.windows import to_ns

RECORDED = Path(__file__).parents[1] / "data" / "gordo_recorded"
PROJECT = "demo-project"
LATEST = "1764547200000"
OLD = "1761955200000"
PARQUET = "application/octet-stream"


@dataclass(frozen=True)
class Reply:
    """One answer.

    ``cut`` closes the connection after so many bytes of the body, ``hang`` never answers, ``chunked`` does not tell
    the length of the body beforehand.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    hang: bool = False
    chunked: bool = False


@dataclass(frozen=True)
class Pair:
    """One recorded request and its answer."""

    id: str
    method: str
    path: str  #: below the project
    query: Mapping[str, str]
    request: Mapping[str, Any] | None
    reply: Reply

    @property
    def model(self) -> str:
        return self.path.split("/")[0]

    @property
    def content_type(self) -> str:
        return self.reply.headers.get("content-type", "")

    def frames(self) -> dict[str, Frame]:
        """X and y of the request, by name."""
        assert self.request is not None
        if "parts" in self.request:
            files = {part["name"]: (RECORDED / part["file"]).read_bytes() for part in self.request["parts"]}
            return {name: parquet_frame(file) for name, file in files.items()}
        return json_frames((RECORDED / self.request["file"]).read_bytes())


@cache
def pairs() -> Mapping[str, Pair]:
    """All of them, by id, in the order in which they were recorded."""
    index = json.loads((RECORDED / "index.json").read_text())
    return {entry["id"]: _pair(entry) for entry in index["pairs"]}


def _pair(entry: Mapping[str, Any]) -> Pair:
    body = (RECORDED / entry["response_file"]).read_bytes() if entry["response_file"] else b""
    path = entry["path"].removeprefix(f"/gordo/v0/{PROJECT}/")
    headers = {name: value for name, value in entry["response_headers"].items() if name != "content-length"}
    return Pair(
        entry["id"], entry["method"], path, entry["query"], entry["request"], Reply(entry["status"], headers, body)
    )


def recorded(name: str) -> Reply:
    """The answer of one pair."""
    return pairs()[name].reply


def gordo_json(body: object, *, status: int = 200, revision: str = LATEST) -> Reply:
    """What Gordo would answer."""
    headers = {"content-type": "application/json", "revision": revision}
    return Reply(status, headers, json.dumps(body).encode())


def html(status: int, body: str = "<html><p>Welcome</p></html>", **headers: str) -> Reply:
    """What a proxy would answer: no revision."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"content-type": "text/html", **named}, body.encode())


# Reading requests as the server does, but not with the product's code


def json_frames(body: bytes) -> dict[str, Frame]:
    """X and y of a JSON body."""
    return {name: _json_frame(columns) for name, columns in json.loads(body).items() if columns is not None}


def _json_frame(columns: Mapping[str, Mapping[str, float | None]]) -> Frame:
    labels = list(next(iter(columns.values())))
    times = np.array([to_ns(_time(label)) for label in labels], np.int64)
    values = [[np.nan if (v := columns[c][label]) is None else float(v) for c in columns] for label in labels]
    return Frame(times, tuple(columns), np.array(values, np.float64))


def _time(label: str) -> datetime:
    time = datetime.fromisoformat(label)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def multipart_frames(content_type: str, body: bytes) -> dict[str, Frame]:
    """X and y of a multipart body; only parts with a file name count."""
    message: Any = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    return {
        part.get_param("name", header="content-disposition"): parquet_frame(part.get_payload(decode=True))
        for part in message.get_payload()
        if part.get_filename()
    }


def parquet_frame(file: bytes) -> Frame:
    """A frame whose time column is marked as pandas index."""
    table = pq.read_table(pa.BufferReader(file))
    pandas = json.loads(table.schema.metadata[b"pandas"])
    (index,) = pandas["index_columns"]
    assert {column["field_name"]: column["pandas_type"] for column in pandas["columns"]}[index] == "datetimetz"
    times = table.column(index).cast(pa.timestamp("ns", "UTC")).to_numpy().view(np.int64)
    names = [name for name in table.column_names if name != index]
    return Frame(times, tuple(names), np.column_stack([table.column(name).to_numpy() for name in names]))


def request_frames(content_type: str, body: bytes) -> dict[str, Frame]:
    """X and y of any body."""
    return json_frames(body) if content_type == "application/json" else multipart_frames(content_type, body)


# The server


@dataclass(frozen=True)
class Received:
    """A request that was received."""

    method: str
    path: str  #: below ``/gordo/v0``
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Replay:
    """Answers of a server, by method and path below ``/gordo/v0``; the last of several stays."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[Received] = []
        self.connections = 0
        self._replies: dict[tuple[str, str], list[Reply]] = defaultdict(list)

    def on(self, method: str, path: str, *replies: Reply, project: str = PROJECT) -> None:
        """From now on answer this path with these, one after the other."""
        self._replies[method, f"{project}/{path}"] = list(replies)

    def lists(self, *models: str, revision: str = LATEST, project: str = PROJECT) -> None:
        """Have these models, and one revision."""
        latest = {"latest": revision, "available-revisions": [revision], "revision": revision}
        self.on("GET", "revisions", gordo_json(latest, revision=revision), project=project)
        names = {"models": list(models), "revision": revision}
        self.on("GET", "models", gordo_json(names, revision=revision), project=project)

    @property
    def paths(self) -> Sequence[str]:
        """Return the received requests, in order."""
        return [f"{request.method} {request.path}" for request in self.received]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer as configured; 404 without a body by default."""
        path = request.rel_url.raw_path.removeprefix("/gordo/v0/")
        self.received.append(
            Received(request.method, path, dict(request.query), dict(request.headers), await request.read())
        )
        replies = self._replies.get((request.method, path)) or [Reply(404)]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if reply.hang:
            await asyncio.Event().wait()
        if reply.cut is None:
            response = web.Response(status=reply.status, headers=reply.headers, body=reply.body)
            if reply.chunked:
                response.enable_chunked_encoding()
            return response
        return await self._cut_short(request, reply)

    async def _cut_short(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        response.content_length = len(reply.body)
        await response.prepare(request)
        await response.write(reply.body[: reply.cut])
        assert request.transport is not None
        request.transport.close()
        return response


@asynccontextmanager
async def replaying(*, keepalive: float = 2.0) -> AsyncIterator[Replay]:
    """A server on the loopback address; idle connections are closed as Gordo closes them."""
    replay = Replay()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{anything:.*}", replay.handle)
    runner = web.AppRunner(app, keepalive_timeout=keepalive, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    sandbox = web.TCPSite(runner, "127.0.0.1", 0)
    await sandbox.start()
    replay.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield replay
    finally:
        with suppress(TimeoutError):
            await runner.cleanup()


class DictRoster:
    """A roster in memory."""

    def __init__(self, decided: Mapping[ModelRef, bool] | None = None) -> None:
        self.decided = dict(decided or {})

    async def add(self, name: ModelRef, data: Mapping[str, Any]) -> None:
        assert data
        self.decided[name] = True

    async def remove(self, name: ModelRef) -> None:
        self.decided[name] = False

    async def entries(self) -> Mapping[ModelRef, bool]:
        return dict(self.decided)
