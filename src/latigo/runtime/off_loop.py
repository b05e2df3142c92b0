"""Work that would hold up the event loop."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

#: Bytes of a foreign document from which on reading it takes several milliseconds.
LARGE_DOCUMENT: Final = 64 << 10


async def off_loop(size: int, large: int, work: Callable[[], T]) -> T:
    """Return the result of the work; it is done in a thread if its ``size`` is ``large``."""
    return work() if size < large else await asyncio.to_thread(work)
