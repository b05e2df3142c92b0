"""Unbuffered channel between coroutines."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """Unbuffered channel: `give` blocks until the value is taken, which is the back-pressure."""

    def __init__(self) -> None:
        self._offers: deque[tuple[T, asyncio.Future[bool]]] = deque()
        self._changed = asyncio.Event()
        self._error: BaseException | None = None

    async def give(self, item: T, answer: "asyncio.Future[bool]") -> bool:
        """Wait until ``item`` is taken; return False if the offer was withdrawn instead.

        Args:
            item: the value.
            answer: a new future; setting it to False withdraws the offer.
        """
        offer = (item, answer)
        self._offers.append(offer)
        self._changed.set()
        try:
            return await answer
        finally:
            if offer in self._offers:
                self._offers.remove(offer)

    async def take(self) -> T:
        """Wait for the next value.

        Raises:
            BaseException: the error that was passed to `fail`.
        """
        while True:
            if self._error:
                raise self._error
            while self._offers:
                item, answer = self._offers.popleft()
                if not answer.done():
                    answer.set_result(True)
                    return item
            self._changed.clear()
            await self._changed.wait()

    def fail(self, error: BaseException) -> None:
        """Raise this error from every call of `take`, pending or to come."""
        self._error = error
        self._changed.set()
