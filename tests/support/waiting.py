"""The only polling in the suite."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable


async def eventually(
    holds: Callable[[], object | Awaitable[object]], *, within: float = 30.0, every: float = 0.01, what: str = ""
) -> None:
    """Return as soon as ``holds`` is true, checked ``every`` so many seconds; fail after ``within`` seconds.

    The limit is for what hangs, and nothing to wait for: a machine may be slow, busy, or stand still for a while.
    """
    last: object = None
    try:
        async with asyncio.timeout(within):
            while True:
                last = holds()
                if isawaitable(last):
                    last = await last
                if last:
                    return
                await asyncio.sleep(every)
    except TimeoutError:
        raise AssertionError(f"not within {within} s: {what or holds} (last: {last!r})") from None


def wait_until(holds: Callable[[], object], *, within: float, every: float = 0.05, what: str = "") -> None:
    """The same where there is no event loop."""
    ends = time.monotonic() + within
    while not holds():
        if time.monotonic() > ends:
            raise AssertionError(f"not within {within} s: {what or holds}")
        time.sleep(every)
