"""An event loop in a thread of its own, for tests that are synchronous: playwright's occupies theirs."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Aside:
    """Runs coroutines, one after the other, in the same loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def loop_aside() -> Iterator[Aside]:
    """Such a loop, while the context lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield Aside(loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
