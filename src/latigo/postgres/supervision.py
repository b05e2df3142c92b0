"""Supervision of the embedded server by each process that uses it: a server that has died is started again."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from latigo.domain.errors import LatigoError, Unavailable
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.runtime.retry import backoff

_log = get_logger(__name__)

CHECK_INTERVAL = timedelta(seconds=0.5)
#: Starts in a row that may fail before the process ends.
ATTEMPTS = 6
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=15)
#: A server that has lived so long does not count as dying again and again.
STABLE = timedelta(minutes=1)


class Server(Protocol):
    """What is supervised. `is_alive` and `why_dead` block for a moment."""

    home: Path
    trouble: str

    def is_alive(self) -> bool:
        """Return whether the server runs."""
        ...

    def why_dead(self) -> str:
        """Return what is known of its end."""
        ...


@asynccontextmanager
async def supervised(server: Server, restart: Callable[[], Awaitable[None]], clock: Clock) -> AsyncIterator[None]:
    """Supervise a server while the block runs.

    Args:
        server: runs already.
        restart: starts it again, unless another process has done so.
        clock: measures the pauses.

    Raises:
        LatigoError: the server has died and cannot be started again; the block was cancelled for that.
    """
    owner = asyncio.current_task()
    supervising = asyncio.create_task(_supervise(server, restart, clock), name="embedded")

    def end_block(done: "asyncio.Task[None]") -> None:
        if owner is not None and not done.cancelled():
            owner.cancel()

    supervising.add_done_callback(end_block)
    try:
        yield
    except BaseException:
        if (error := _error_of(supervising)) is None:
            raise
        if owner is not None:
            owner.uncancel()
        raise error from None
    finally:
        supervising.remove_done_callback(end_block)
        supervising.cancel()
        await asyncio.wait((supervising,))


async def _supervise(server: Server, restart: Callable[[], Awaitable[None]], clock: Clock) -> None:
    restarts, since = 0, clock.monotonic()
    while True:
        await clock.sleep(CHECK_INTERVAL)
        if await asyncio.to_thread(server.is_alive):
            continue
        server.trouble = f"the embedded database in {server.home} has died and is started again"
        _log.error("embedded.died", data_dir=str(server.home), error=await asyncio.to_thread(server.why_dead))
        if clock.monotonic() - since > STABLE.total_seconds():
            restarts = 0
        if restarts:
            await clock.sleep(backoff(restarts, FIRST_PAUSE, LONGEST_PAUSE, random.random))
        await _restart(server, restart, clock)
        server.trouble = ""
        restarts, since = restarts + 1, clock.monotonic()


async def _restart(server: Server, restart: Callable[[], Awaitable[None]], clock: Clock) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await restart()
        except Unavailable as error:
            _log.error("embedded.not_restarted", attempt=attempt, error=str(error))
            if attempt == ATTEMPTS:
                raise Unavailable(
                    f"could not be started again in {ATTEMPTS} attempts: {error}",
                    downstream=error.downstream,
                    alarm=True,
                ) from error
            server.trouble = str(error)
            await clock.sleep(backoff(attempt, FIRST_PAUSE, LONGEST_PAUSE, random.random))
        else:
            return


def _error_of(task: "asyncio.Task[None]") -> LatigoError | None:
    error = task.exception() if task.done() and not task.cancelled() else None
    if error is not None and not isinstance(error, LatigoError):
        raise error  # a bug
    return error
