"""Many bodies of line protocol in one request: those that are written within a few milliseconds, or meanwhile.

A request costs more than the points in it, on both sides.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import NamedTuple

from latigo.domain.errors import TimedOut, Unavailable
from latigo.providers.influx.line_protocol import MOST_LINES, Precision
from latigo.runtime.transport_failure import is_transport_failure

#: Seconds in which bodies are gathered. Reading and predicting take ten times as long.
GATHERING = 0.005
#: Requests in flight to a database; what is written meanwhile goes into the next one.
IN_FLIGHT = 2

#: Writes lines to a database; returns how many points the server dropped for their age.
Write = Callable[[bytes, Precision, str], Awaitable[int]]


@dataclass(slots=True, eq=False)
class _Part:
    """The body of one task."""

    body: bytes
    lines: int
    dropped: "asyncio.Future[int]"
    request: "_Request | None" = None  #: that has it now


@dataclass(slots=True, eq=False)
class _Request:
    parts: list[_Part]
    sending: "asyncio.Task[int] | None" = None


class _Key(NamedTuple):
    precision: Precision
    database: str


@dataclass(slots=True)
class _Queue:
    waiting: deque[_Part] = field(default_factory=deque)
    senders: int = 0


class JoinedWrites:
    """Writes bodies together; each has a result of its own.

    Nothing of a body is sent any more once its writer was cancelled.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._queues: dict[_Key, _Queue] = {}
        self._senders: set[asyncio.Task[None]] = set()

    async def write(self, body: bytes, precision: Precision, database: str) -> int:
        """Write a body, a large one by itself. Return how many of its points the server dropped for their age.

        Raises:
            LatigoError: as the write that this object was made with. A time-out, a broken connection and a server that
                asks to wait are those of all bodies of a request; whatever else a server objects to is the error of the
                body that causes it.
        """
        lines = body.count(b"\n") + 1
        if lines > MOST_LINES // 2:
            return await self._write(body, precision, database)
        key = _Key(precision, database)
        queue = self._queues.setdefault(key, _Queue())
        part = _Part(body, lines, asyncio.get_running_loop().create_future())
        queue.waiting.append(part)
        if queue.senders < IN_FLIGHT:
            queue.senders += 1
            # In a context of its own: what is logged while it is sent is of all of its parts.
            sender = asyncio.create_task(self._send_waiting(key, queue), context=Context())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        try:
            return await part.dropped
        except asyncio.CancelledError:
            if part in queue.waiting:
                queue.waiting.remove(part)
            elif part.request is not None and part.request.sending is not None:
                part.request.sending.cancel()  # the others are sent again
            raise

    async def _send_waiting(self, key: _Key, queue: _Queue) -> None:
        try:
            await asyncio.sleep(GATHERING)
            while queue.waiting:
                parts = [queue.waiting.popleft()]
                lines = parts[0].lines
                while queue.waiting and lines + queue.waiting[0].lines <= MOST_LINES:
                    parts.append(queue.waiting.popleft())
                    lines += parts[-1].lines
                await self._send(key, parts)
        finally:
            queue.senders -= 1
            if not queue.senders and not queue.waiting:
                self._queues.pop(key, None)

    async def _send(self, key: _Key, parts: list[_Part]) -> None:
        """Send parts in one request; each by itself if that does not show what became of each."""
        request = _Request(parts)
        for part in parts:
            part.request = request
        request.sending = asyncio.ensure_future(self._write(b"\n".join(part.body for part in parts), *key))
        await asyncio.wait((request.sending,))
        left = [part for part in parts if not part.dropped.done()]
        if request.sending.cancelled():
            error: BaseException | None = None
        elif (error := request.sending.exception()) is None and (len(parts) == 1 or not request.sending.result()):
            for part in left:
                part.dropped.set_result(request.sending.result())
            return
        elif error is not None and (len(parts) == 1 or _is_of_all(error)):
            for part in left:
                part.dropped.set_exception(error)
            return
        await asyncio.gather(*(self._send(key, [part]) for part in left))


def _is_of_all(error: BaseException) -> bool:
    """Return whether an error has nothing to do with what was written."""
    if not isinstance(error, Unavailable):
        return False
    return isinstance(error, TimedOut) or error.retry_after is not None or is_transport_failure(str(error))
