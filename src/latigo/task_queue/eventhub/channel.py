"""From hand to hand: whoever gives waits until somebody takes. There is no room in between."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class HandOff(Generic[T]):
    """Givers wait for takers, which is the back-pressure, and takers for givers."""

    def __init__(self) -> None:
        self._offers: deque[tuple[T, asyncio.Future[bool]]] = deque()
        self._news = asyncio.Event()
        self._fault: BaseException | None = None

    async def give(self, item: T, answer: "asyncio.Future[bool]") -> bool:
        """Wait until ``item`` is taken (True), or until someone else answers that it must not be any more (False).

        Args:
            item: what is offered.
            answer: a new future; whoever wants the offer back sets it to False.
        """
        offer = (item, answer)
        self._offers.append(offer)
        self._news.set()
        try:
            return await answer
        finally:
            if offer in self._offers:
                self._offers.remove(offer)

    async def take(self) -> T:
        """The next item that is offered.

        Raises:
            BaseException: what `fail` was told; nothing will be offered any more.
        """
        while True:
            if self._fault:
                raise self._fault
            while self._offers:
                item, answer = self._offers.popleft()
                if not answer.done():
                    answer.set_result(True)
                    return item
            self._news.clear()
            await self._news.wait()

    def fail(self, error: BaseException) -> None:
        """Whoever takes from now on, or waits for it, gets this error."""
        self._fault = error
        self._news.set()
