"""Time limits and cancellations that hold against code which swallows a cancellation.

Before Python 3.12 ``asyncio.wait_for`` does so when what it waits for ends in the same moment, and the client library
calls it for every frame that it reads. A limit that cancels once, as ``asyncio.timeout`` does, would then never strike.
"""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN = 1.0  #: seconds until a task that was cancelled and still runs is cancelled once more
_MOST = 10


async def limited(work: Coroutine[Any, Any, T], within: timedelta) -> T:
    """Wait for some work no longer than ``within``; what has not ended by then is left to end by itself.

    Raises:
        TimeoutError: it took too long.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=within.total_seconds())
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        _abandon(task)


async def put_down(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have ended, whatever with."""
    for _ in range(_MOST):
        pending = [task for task in tasks if not task.done()]
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=_AGAIN)
    for task in tasks:
        _forget(task)


def _abandon(task: "asyncio.Future[Any]", times: int = _MOST) -> None:
    if task.done():
        _forget(task)
    elif times:
        task.cancel()
        again = asyncio.get_running_loop().call_later(_AGAIN, _abandon, task, times - 1)
        task.add_done_callback(lambda _: again.cancel())  # which also lets go of all that the task had


def _forget(task: "asyncio.Future[Any]") -> None:
    """Nobody asks for its error any more, which is no reason to complain."""
    if task.done() and not task.cancelled():
        task.exception()
