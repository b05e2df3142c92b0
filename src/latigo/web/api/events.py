"""Server-sent events: small messages that say what has changed, so that a page asks for it again.

All streams of a process are fed by one task, which asks the shared answers of a few endpoints while there is a stream.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import hdrs, web

from latigo.domain.errors import LatigoError
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.web.api.endpoint import NoChoice
from latigo.web.api.grid import grid_changes
from latigo.web.api.handling import Api
from latigo.web.api.status import STATUS
from latigo.web.problems import RefusedRequest, refuse
from latigo.web.responses import set_headers

MOST_STREAMS = 100
_EVERY = timedelta(seconds=5)
_HEARTBEAT = timedelta(seconds=15)
_AGAIN_S = 30.0
#: Messages that wait for a client, and for how long a message does; one that does not take them is cut off, and asks
#: again.
_MOST_WAITING = 100
_TAKEN_WITHIN = timedelta(seconds=30)
#: Parts of the status by the event that says they have changed; without what changes all the time.
_PARTS = {
    "failures": ("failures", "unstored", "silent_sensors", "dismissed_models"),
    "circuits": ("circuits",),
    "executors": ("executors",),
    "request": ("requests",),
}
_RESTLESS = frozenset({"seen_at", "in_flight", "working_limit", "pause_s"})

_log = get_logger(__name__)


class EventStreams:
    """The streams of a process.

    Args:
        api: that is asked what has changed.
        clock: the machine's.
    """

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._streams: dict[asyncio.Queue[bytes | None], web.Request] = {}
        self._last: dict[str, bytes] = {}  # the newest message of each event
        self._versions: dict[str, str] = {}
        self._feeding: asyncio.Task[None] | None = None
        self._process = uuid4().hex[:8]
        self._number = 0

    def publish(self, event: str, data: Mapping[str, Any]) -> None:
        """Send an event to every stream, if its data differ from the last one of this name."""
        content = orjson.dumps(data, option=orjson.OPT_UTC_Z)
        version = hashlib.sha256(content).hexdigest()[:12]
        if self._versions.get(event) == version:
            return
        self._versions[event] = version
        self._number += 1
        message = b"id: %b-%d\nevent: %b\ndata: %b\n\n" % (
            self._process.encode(),
            self._number,
            event.encode(),
            content,
        )
        self._last[event] = message
        for stream in list(self._streams):
            if stream.qsize() >= _MOST_WAITING:
                self._end(stream)
            else:
                stream.put_nowait(message)

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Stream events until the client leaves, its token is no longer one, or the server ends.

        Raises:
            RefusedRequest: there are too many streams, or the token is missing.
        """
        self._api.caller(request)
        if len(self._streams) >= MOST_STREAMS:
            self._end_those_left()
        if len(self._streams) >= MOST_STREAMS:
            raise refuse(
                "too-many-streams",
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"there are {MOST_STREAMS} streams already: poll /status instead",
                retry_after_s=_AGAIN_S,
            )
        response = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no", hdrs.CACHE_CONTROL: "no-store"}
        )
        set_headers(response)
        stream: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._streams[stream] = request
        if self._feeding is None or self._feeding.done():
            self._feeding = asyncio.create_task(self._feed(), name="events")
        try:
            await response.prepare(request)
            await _write(response, b"retry: 5000\n\n")
            for message in self._missed(request.headers.get("Last-Event-ID", "")):
                await _write(response, message)
            await self._send(request, response, stream)
        except ConnectionError:
            pass  # it has left
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()  # what waits for it would keep the connection
        finally:
            self._streams.pop(stream, None)
        return response

    async def close(self, _app: web.Application) -> None:
        """End every stream."""
        for stream in list(self._streams):
            self._end(stream)
        if self._feeding is not None:
            self._feeding.cancel()
            with suppress(asyncio.CancelledError):
                await self._feeding

    def _end(self, stream: "asyncio.Queue[bytes | None]") -> None:
        """End a stream once it has sent what waits."""
        del self._streams[stream]
        stream.put_nowait(None)

    def _end_those_left(self) -> None:
        """End the streams whose clients have left, which would show with the next message only."""
        for stream, request in list(self._streams.items()):
            if request.transport is None:
                self._end(stream)

    async def _send(
        self, request: web.Request, response: web.StreamResponse, stream: "asyncio.Queue[bytes | None]"
    ) -> None:
        while True:
            try:
                async with asyncio.timeout(_HEARTBEAT.total_seconds()):
                    message = await stream.get()
            except TimeoutError:
                message = b": here\n\n"
            if message is None or not self._may_read(request):
                return
            await _write(response, message)

    def _may_read(self, request: web.Request) -> bool:
        """Return whether the token still is one: it may be revoked or changed while the stream runs."""
        try:
            self._api.caller(request)
        except RefusedRequest:
            return False
        return True

    def _missed(self, last_id: str) -> list[bytes]:
        """Return the newest messages that a client has not seen: all, unless its last one is of this process."""
        process, _, number = last_id.partition("-")
        seen = int(number) if process == self._process and number.isdecimal() and len(number) < 20 else 0
        return [message for message in self._last.values() if int(message.split(b"\n", 1)[0].split(b"-")[1]) > seen]

    async def _feed(self) -> None:
        """Look for changes while there is a stream."""
        while self._streams:
            try:
                status = orjson.loads((await self._api.answer(STATUS, NoChoice())).content)
            except (LatigoError, RefusedRequest) as error:
                self.publish("trouble", {"detail": str(error)})
            except Exception:  # noqa: BLE001 - a bug ends one look, which is logged
                _log.exception("events.failed")
            else:
                self._versions.pop("trouble", None)
                self._last.pop("trouble", None)
                self._publish_status(status)
            await self._publish_grid()
            await self._clock.sleep(_EVERY)

    async def _publish_grid(self) -> None:
        try:
            changes = await grid_changes(self._api.context())
        except LatigoError:
            return  # the grid keeps its age
        except Exception:  # noqa: BLE001 - a bug ends one look, which is logged
            _log.exception("events.failed")
            return
        if changes is not None:
            self.publish("grid", changes._asdict())

    def _publish_status(self, status: Mapping[str, Any]) -> None:
        summary = {
            "verdict": status["state"],
            "headline": status.get("headline", ""),
            "stale": status["stale_models"],
            "parked": sum(project["parked"] for project in status["projects"]),
            "backlog": status["backlog"]["slots"],
            "rates": status["rates"],
            "limited_by": status["limited_by"],
        }
        self.publish("status", summary)
        for event, names in _PARTS.items():
            part = _calm({name: status.get(name) for name in names})
            self.publish(event, {"version": hashlib.sha256(orjson.dumps(part)).hexdigest()[:12]})


async def _write(response: web.StreamResponse, message: bytes) -> None:
    async with asyncio.timeout(_TAKEN_WITHIN.total_seconds()):
        await response.write(message)


def _calm(value: Any) -> Any:
    """Return a part without what changes all the time."""
    if isinstance(value, dict):
        return {key: _calm(item) for key, item in value.items() if key not in _RESTLESS}
    return [_calm(item) for item in value] if isinstance(value, list) else value
