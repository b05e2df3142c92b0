"""Requests that tasks share: items that wait at the same time go together, and equal ones once."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Generic, TypeVar

from latigo.domain.errors import LatigoError, Unavailable
from latigo.providers.timeseries.client import ApiRefused, ForbiddenError

#: Tasks that are under way together come to a call one by one. A request that is not full is sent when no item has
#: joined it for this long and no other is under way, and after so many times of it anyway.
JOIN, MOST_JOINS = timedelta(milliseconds=200), 10

Refusal = ApiRefused | ForbiddenError
K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


@dataclass(slots=True)
class Savings:
    """What sharing requests has saved since the process started: counted as they end."""

    asked: int = 0  #: items that tasks asked for
    sent: int = 0  #: of them, those that were sent; the others were on their way for another task
    alone: int = 0  #: requests that the tasks would have sent, each for itself
    requests: int = 0  #: that were sent; further pages, and halves of what was refused, would have come in any case

    def saved_reads(self) -> int:
        """Return how many items were not sent, because another task had the same."""
        return max(0, self.asked - self.sent)

    def saved_requests(self) -> int:
        """Return how many requests were not needed, because tasks shared them."""
        return max(0, self.alone - self.requests)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much goes into one request, and how many requests are in flight at once."""

    items: int
    weight: float
    requests: int


@dataclass(slots=True)
class _Waiting(Generic[R]):
    future: "asyncio.Future[R | Refusal]"
    callers: int = 1


class Sharing(Generic[K, R]):
    """Sends items in as few requests as they fill. Safe for many coroutines at once.

    A request that is refused is sent again in halves, so that one bad item fails no other.

    Args:
        send: sends items in one request, and returns the result of each; raises for all of them.
        weight: of an item.
        bounds: of requests.
        downstream: name of the circuit.
        savings: where to count; a new account by default.
    """

    def __init__(
        self,
        send: Callable[[Sequence[K]], Awaitable[Mapping[K, R]]],
        weight: Callable[[K], float],
        bounds: Bounds,
        downstream: str,
        savings: Savings | None = None,
    ) -> None:
        self._send = send
        self._weight = weight
        self._bounds = bounds
        self._downstream = downstream
        self._savings = savings or Savings()
        self._free = bounds.requests
        self._full = asyncio.Event()
        self._joinable = False  #: a request waits for more items
        self._joined = 0  #: items, ever
        self._waiting: OrderedDict[K, _Waiting[R]] = OrderedDict()
        self._running: dict[K, _Waiting[R]] = {}
        self._requests: set[asyncio.Task[None]] = set()

    async def ask(self, items: Sequence[K]) -> Mapping[K, R | Refusal]:
        """Return the result of every item, or why it is refused.

        Raises:
            Unavailable, TimedOut: there is no complete answer.
        """
        waiting = {item: self._join(item) for item in dict.fromkeys(items)}
        if self._is_full():
            self._full.set()
        self._send_more()
        try:
            if waiting:  # a caller that is cancelled cancels none of them
                futures = [each.future for each in waiting.values()]
                await asyncio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for item, each in waiting.items():
                each.callers -= 1
                if not each.callers:
                    self._waiting.pop(item, None)
        self._savings.asked += len(items)
        self._savings.alone += ceil(len(waiting) / self._bounds.items)
        for each in waiting.values():  # where one has failed, others may not be there yet
            if each.future.done() and (error := each.future.exception()):
                raise error
        return {item: each.future.result() for item, each in waiting.items()}

    async def close(self) -> None:
        """Cancel what is under way."""
        for request in self._requests:
            request.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)

    def _join(self, item: K) -> _Waiting[R]:
        waiting = self._waiting.get(item) or self._running.get(item)
        if waiting is None:
            self._joined += 1
            waiting = self._waiting[item] = _Waiting(asyncio.get_running_loop().create_future())
        else:
            waiting.callers += 1
        return waiting

    def _is_full(self) -> bool:
        bounds = self._bounds
        return len(self._waiting) >= bounds.items or sum(map(self._weight, self._waiting)) >= bounds.weight

    def _send_more(self) -> None:
        if self._waiting and self._free and not self._joinable:
            self._free -= 1
            self._joinable = True
            request = asyncio.create_task(self._request(), name="shared request")
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)

    async def _request(self) -> None:
        """Send what waits, as one request, when it is full or others had time to join."""
        batch: dict[K, _Waiting[R]] = {}
        try:
            await self._until_full()
            batch = self._take()
            self._send_more()
            if batch:
                self._settle(batch, await self._results(list(batch)))
        except asyncio.CancelledError:
            self._fail(batch, Unavailable("the connection is closed", downstream=self._downstream))
            raise
        except LatigoError as error:
            self._fail(batch, error)
        except Exception as error:  # noqa: BLE001 - a bug is the callers'
            self._fail(batch, error)
        finally:
            self._free += 1
            self._send_more()

    async def _until_full(self) -> None:
        try:
            for _ in range(MOST_JOINS):
                joined = self._joined
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._full.wait(), JOIN.total_seconds())
                if self._full.is_set() or (self._joined == joined and not self._running):
                    return
        finally:
            self._joinable = False

    def _take(self) -> dict[K, _Waiting[R]]:
        """Take items from the front, as many as one request holds."""
        batch: dict[K, _Waiting[R]] = {}
        weight = 0.0
        while self._waiting and len(batch) < self._bounds.items:
            item = next(iter(self._waiting))
            weight += self._weight(item)
            if batch and weight > self._bounds.weight:
                break
            batch[item] = self._running[item] = self._waiting.pop(item)
        if not self._is_full():
            self._full.clear()
        return batch

    async def _results(self, items: Sequence[K]) -> Mapping[K, R | Refusal]:
        try:
            return await self._send(items)
        except (ApiRefused, ForbiddenError) as error:
            if len(items) == 1:
                return {items[0]: error}
        middle = len(items) // 2
        halves = await asyncio.gather(self._results(items[:middle]), self._results(items[middle:]))
        return {**halves[0], **halves[1]}

    def _settle(self, batch: Mapping[K, _Waiting[R]], results: Mapping[K, R | Refusal]) -> None:
        self._savings.requests += 1
        self._savings.sent += len(batch)
        for future, item in self._ended(batch):
            future.set_result(results[item])

    def _fail(self, batch: Mapping[K, _Waiting[R]], error: Exception) -> None:
        for future, _ in self._ended(batch):
            future.set_exception(error)
            future.exception()  # all callers may have been cancelled meanwhile

    def _ended(self, batch: Mapping[K, _Waiting[R]]) -> "Iterable[tuple[asyncio.Future[R | Refusal], K]]":
        for item, waiting in batch.items():
            self._running.pop(item, None)
            if not waiting.future.done():
                yield waiting.future, item
