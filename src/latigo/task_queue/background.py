"""Background tasks of a sender or receiver, for as long as it is open."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from latigo.runtime.log import get_logger
from latigo.task_queue.limits import cancel_all

_log = get_logger(__name__)


class Background:
    """Background tasks of one owner. An error in one is a bug of ours: logged, and raised when the owner is used."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._short: set[asyncio.Task[Any]] = set()
        self._error: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None], name: str, *, ends: bool = False) -> None:
        """Start work; ``ends``: it ends soon by itself, and `stop` waits for it instead of cancelling it."""
        task = asyncio.create_task(work, name=name)
        (self._short if ends else self._tasks).add(task)
        task.add_done_callback(self._ended)

    def raise_error(self) -> None:
        """Raise the error of a failed task, if there is one: half a queue is worse than none."""
        if self._error:
            raise self._error

    async def stop(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        await cancel_all(*self._tasks)
        await asyncio.gather(*self._short, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        self._short.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("queue.crashed", part=task.get_name(), exc_info=error)
            self._error = self._error or error
