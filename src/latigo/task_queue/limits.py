"""Time limits and cancellations that work for code which swallows a cancellation.

Before Python 3.12 ``asyncio.wait_for`` does so when its awaitable ends at the same moment, and the client library calls
it for every frame that it reads. A limit that cancels once, as ``asyncio.timeout`` does, would then have no effect.
"""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN = 1.0  #: seconds until a task that was cancelled and still runs is cancelled once more
_MAX_CANCELS = 10


async def limited(work: Coroutine[Any, Any, T], limit: timedelta) -> T:
    """Wait for work no longer than ``limit``; work that has not ended by then is cancelled and abandoned.

    Raises:
        TimeoutError: the work took too long.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=limit.total_seconds())
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        _abandon(task)


async def cancel_all(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have ended, whatever their result."""
    for _ in range(_MAX_CANCELS):
        pending = [task for task in tasks if not task.done()]
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=_AGAIN)
    for task in tasks:
        _forget(task)


def _abandon(task: "asyncio.Future[Any]", times: int = _MAX_CANCELS) -> None:
    if task.done():
        _forget(task)
    elif times:
        task.cancel()
        again = asyncio.get_running_loop().call_later(_AGAIN, _abandon, task, times - 1)
        task.add_done_callback(lambda _: again.cancel())  # which also frees everything that the task holds


def _forget(task: "asyncio.Future[Any]") -> None:
    """Retrieve the error of an ended task, or asyncio would log it as never retrieved."""
    if task.done() and not task.cancelled():
        task.exception()
