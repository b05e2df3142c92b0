"""Answers that are shared: one is made at a time for all who ask the same, and kept for a moment."""

import asyncio
import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from latigo.runtime.clock import Clock
from latigo.runtime.off_loop import LARGE_DOCUMENT, off_loop

#: Octets of all answers that are kept.
_MOST_KEPT = 64_000_000
_COMPRESSED_FROM = 1024


@dataclass(slots=True)
class Rendered:
    """An answer as it is sent."""

    content: bytes
    media_type: str
    version: bytes  #: octets that are the same exactly if the answer is, but for when it was made
    made_at: float = 0.0  #: by the monotonic clock
    _etag: str = ""
    _compressed: bytes | None = field(default=None)

    @property
    def etag(self) -> str:
        """Return the weak tag of its version."""
        if not self._etag:
            self._etag = f'W/"{hashlib.sha256(self.version + self.media_type.encode()).hexdigest()[:20]}"'
        return self._etag

    async def compressed(self) -> bytes | None:
        """Return its octets compressed by gzip; None where that is not worth it."""
        if len(self.content) < _COMPRESSED_FROM:
            return None
        if self._compressed is None:
            compress = partial(gzip.compress, self.content, compresslevel=5, mtime=0)
            self._compressed = await off_loop(len(self.content), LARGE_DOCUMENT, compress)
        return self._compressed


class SharedAnswers:
    """Answers by what was asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: OrderedDict[str, Rendered] = OrderedDict()
        self._making: dict[str, asyncio.Task[Rendered]] = {}

    async def get(self, key: str, keep: timedelta, make: Callable[[], Awaitable[Rendered]]) -> Rendered:
        """Return an answer that is not older than ``keep``, or is being made, or is made now.

        It is made to its end, also if all who wait for it leave: ``make`` limits its time.
        """
        now = self._clock.monotonic()
        if (made := self._made.get(key)) is not None and now - made.made_at < keep.total_seconds():
            self._made.move_to_end(key)
            return made
        task = self._making.get(key)
        if task is None:
            task = asyncio.ensure_future(self._make(key, make))
            self._making[key] = task
            task.add_done_callback(partial(self._made_now, key))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, though all have left
        return await asyncio.shield(task)

    def forget(self) -> None:
        """Forget what was kept, and what is being made: something was changed."""
        self._made.clear()
        self._making.clear()

    def _made_now(self, key: str, task: asyncio.Task[Rendered]) -> None:
        if self._making.get(key) is task:
            del self._making[key]

    async def _make(self, key: str, make: Callable[[], Awaitable[Rendered]]) -> Rendered:
        rendered = await make()
        rendered.made_at = self._clock.monotonic()
        if self._making.get(key) is not asyncio.current_task():
            return rendered  # it may be of the time before a change
        self._made[key] = rendered
        self._made.move_to_end(key)
        while len(self._made) > 1 and sum(len(each.content) for each in self._made.values()) > _MOST_KEPT:
            self._made.popitem(last=False)
        while len(self._made) > 500:
            self._made.popitem(last=False)
        return rendered
