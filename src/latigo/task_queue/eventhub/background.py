"""Work that goes on behind a sender or receiver, for as long as that is open."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from latigo.task_queue.eventhub.limits import put_down

_log = structlog.get_logger()


class Background:
    """Tasks of one owner. What one of them raises is a bug of ours: logged, and raised where the owner is used."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._short: set[asyncio.Task[Any]] = set()
        self._fault: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None], name: str, *, ends: bool = False) -> None:
        """Begin something; ``ends``: it ends by itself, soon, and `stop` waits for it instead of cancelling it."""
        task = asyncio.create_task(work, name=name)
        (self._short if ends else self._tasks).add(task)
        task.add_done_callback(self._ended)

    def raise_fault(self) -> None:
        """Raise what a task has ended with, if one has: half a queue is worse than none."""
        if self._fault:
            raise self._fault

    async def stop(self) -> None:
        """Cancel all, and wait until they have ended."""
        await put_down(*self._tasks)
        await asyncio.gather(*self._short, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        self._short.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("queue.broken", part=task.get_name(), exc_info=error)
            self._fault = self._fault or error
