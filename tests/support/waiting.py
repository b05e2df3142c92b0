"""The only polling in the suite."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable

_PAUSE = 4.0  #: of what a check took: a test that waits leaves the machine to what it waits for
_LONGEST_S = 0.5


async def eventually(
    holds: Callable[[], object | Awaitable[object]], *, within: float = 120.0, every: float = 0.01, what: str = ""
) -> None:
    """Return as soon as ``holds`` is true; fail after ``within`` seconds.

    It is checked ``every`` so many seconds, or less often where a check takes long, such as one that asks a database.
    The limit is for what hangs, and nothing to wait for: a machine may be slow, busy, or stand still for a while.
    """
    last: object = None
    try:
        async with asyncio.timeout(within):
            while True:
                began = time.monotonic()
                last = holds()
                if isawaitable(last):
                    last = await last
                if last:
                    return
                await asyncio.sleep(_pause(every, began))
    except TimeoutError:
        raise AssertionError(f"not within {within} s: {what or holds} (last: {last!r})") from None


def wait_until(holds: Callable[[], object], *, within: float, every: float = 0.05, what: str = "") -> None:
    """The same where there is no event loop."""
    ends = time.monotonic() + within
    while True:
        began = time.monotonic()
        if holds():
            return
        if time.monotonic() > ends:
            raise AssertionError(f"not within {within} s: {what or holds}")
        time.sleep(_pause(every, began))


def _pause(every: float, began: float) -> float:
    took = time.monotonic() - began
    return max(every, min(_PAUSE * took, _LONGEST_S))
