"""Requests that tasks share: items that wait at the same time go together, and equal ones once."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from math import ceil
from typing import Generic, TypeVar

from latigo.domain.errors import LatigoError, TooLarge, Unavailable
from latigo.providers.timeseries.client import ApiRefused, ForbiddenError
from latigo.runtime.in_progress import InProgress

#: Tasks come to a call one by one. A request that is not full is sent as soon as every task in progress waits here, or
#: when no item has joined it for this long and no other is under way, and after so many times of it anyway.
JOIN, MOST_JOINS = timedelta(milliseconds=200), 10
#: Items that are sent one by one where a request and both halves of it are forbidden. If none of them is let through,
#: it is the identity that has no right, and no more is sent.
PROBES = 8

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


@dataclass(slots=True, eq=False)
class _Call(Generic[K, R]):
    """A caller that waits for the results of its items."""

    left: int  #: items without a result
    done: "asyncio.Future[None]"
    results: dict[K, R | Refusal] = field(default_factory=dict)

    def settle(self, item: K, result: R | Refusal) -> None:
        self.results[item] = result
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Sharing(Generic[K, R]):
    """Sends items in as few requests as they fill. Safe for many coroutines at once.

    A request that is refused or too large is sent again in halves, so that one bad item fails no other.

    Args:
        send: sends items in one request, and returns the result of each; raises for all of them.
        weight: of an item.
        bounds: of requests.
        downstream: name of the circuit.
        tasks: those that may join; none by default, so that nothing waits for them.
        others_pass: returns whether something else is let through where all items of a request are forbidden; by
            default nothing is known of others.
        savings: where to count; a new account by default.
    """

    def __init__(
        self,
        send: Callable[[Sequence[K]], Awaitable[Mapping[K, R]]],
        weight: Callable[[K], float],
        bounds: Bounds,
        downstream: str,
        *,
        tasks: InProgress | None = None,
        others_pass: Callable[[], Awaitable[bool]] | None = None,
        savings: Savings | None = None,
    ) -> None:
        self._send = send
        self._weight = weight
        self._bounds = bounds
        self._downstream = downstream
        self._tasks = tasks or InProgress()
        self._others_pass = others_pass or _unknown
        self._savings = savings or Savings()
        self._free = bounds.requests
        self._ready = asyncio.Event()
        self._joinable = False  #: a request waits for more items
        self._joined = 0  #: items, ever
        self._callers = 0  #: that wait
        self._waiting: dict[K, list[_Call[K, R]]] = {}
        self._running: dict[K, list[_Call[K, R]]] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._tasks.on_end(self._see)

    async def ask(self, items: Sequence[K]) -> Mapping[K, R | Refusal]:
        """Return the result of every item, or why it is refused.

        Raises:
            Unavailable, TimedOut: there is no complete answer.
        """
        different = dict.fromkeys(items)
        if not different:
            return {}
        call: _Call[K, R] = _Call(len(different), asyncio.get_running_loop().create_future())
        for item in different:
            self._join(item, call)
        self._callers += 1
        self._see()
        self._send_more()
        try:
            await call.done
        finally:  # a caller that is cancelled cancels no other, and no request that is under way
            self._callers -= 1
            if call.left:
                self._withdraw(call, different)
            self._savings.asked += len(items)
            self._savings.alone += ceil(len(different) / self._bounds.items)
        return {item: call.results[item] for item in different}

    async def close(self) -> None:
        """Cancel what is under way."""
        for request in self._requests:
            request.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)

    def _join(self, item: K, call: _Call[K, R]) -> None:
        calls = self._waiting.get(item) or self._running.get(item)
        if calls is None:
            self._joined += 1
            self._waiting[item] = [call]
        else:
            calls.append(call)

    def _withdraw(self, call: _Call[K, R], items: Mapping[K, None]) -> None:
        for item in items:
            calls = self._waiting.get(item)
            if calls is not None and call in calls:
                calls.remove(call)
                if not calls:
                    del self._waiting[item]

    def _is_full(self) -> bool:
        bounds = self._bounds
        return len(self._waiting) >= bounds.items or sum(map(self._weight, self._waiting)) >= bounds.weight

    def _is_ready(self) -> bool:
        """Return whether the next request is full, or every task in progress waits here, so that no other can join."""
        return self._callers >= self._tasks.count or self._is_full()

    def _see(self) -> None:
        if self._joinable and self._is_ready():
            self._ready.set()

    def _send_more(self) -> None:
        if self._waiting and self._free and not self._joinable:
            self._free -= 1
            self._joinable = True
            request = asyncio.create_task(self._request(), name="shared request")
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)

    async def _request(self) -> None:
        """Send what waits, as one request, when it is full or others had time to join."""
        batch: dict[K, list[_Call[K, R]]] = {}
        try:
            await self._until_ready()
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

    async def _until_ready(self) -> None:
        """Wait until the next request is ready, or no item has joined it for a while."""
        try:
            for _ in range(MOST_JOINS):
                joined = self._joined
                if await self._is_ready_within(JOIN) or (self._joined == joined and not self._running):
                    return
        finally:
            self._joinable = False

    async def _is_ready_within(self, limit: timedelta) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit.total_seconds()):
                while not self._is_ready():
                    self._ready.clear()
                    await self._ready.wait()
        return self._is_ready()

    def _take(self) -> dict[K, list[_Call[K, R]]]:
        """Take items from the front, as many as one request holds."""
        batch: dict[K, list[_Call[K, R]]] = {}
        weight = 0.0
        for item, calls in islice(self._waiting.items(), self._bounds.items):
            weight += self._weight(item)
            if batch and weight > self._bounds.weight:
                break
            batch[item] = calls
        if len(batch) == len(self._waiting):
            self._waiting = {}
        else:
            for item in batch:
                del self._waiting[item]
        self._running.update(batch)
        return batch

    async def _results(self, items: Sequence[K]) -> Mapping[K, R | Refusal]:
        """Send items; those that are refused together again in parts, until it is known which of them are.

        Raises:
            ForbiddenError: of all of them, and of all others as far as it is known.
        """
        results = await self._parts(items, await self._try(items), all_of_them=True)
        if (error := _all_forbidden(results)) and not await self._others_pass():
            raise error
        return results

    async def _try(self, items: Sequence[K]) -> Mapping[K, R | Refusal] | Refusal | TooLarge:
        try:
            return await self._send(items)
        except (ApiRefused, ForbiddenError, TooLarge) as error:
            if len(items) > 1:
                return error
            if isinstance(error, TooLarge):
                raise
            return {items[0]: error}

    async def _parts(
        self, items: Sequence[K], tried: Mapping[K, R | Refusal] | Refusal | TooLarge, *, all_of_them: bool = False
    ) -> Mapping[K, R | Refusal]:
        """Return the results of items that were sent together, from those of their halves where they were refused."""
        if isinstance(tried, Mapping):
            return tried
        middle = len(items) // 2
        halves = items[:middle], items[middle:]
        again = await asyncio.gather(*map(self._try, halves))
        if (
            all_of_them
            and (error := _all_forbidden(tried))
            and all(map(_all_forbidden, again))
            and not await self._others_pass()
            and not await self._some_pass(items)
        ):
            raise error
        results = await asyncio.gather(*map(self._parts, halves, again))
        return {**results[0], **results[1]}

    async def _some_pass(self, items: Sequence[K]) -> bool:
        """Return whether one of these items may be let through by itself; of many, some are tried."""
        if len(items) <= PROBES:
            return True
        tried = await asyncio.gather(*(self._try([item]) for item in random.sample(items, PROBES)))
        return not all(_all_forbidden(each) for each in tried)

    def _settle(self, batch: Mapping[K, list[_Call[K, R]]], results: Mapping[K, R | Refusal]) -> None:
        self._savings.requests += 1
        self._savings.sent += len(batch)
        for item, calls in batch.items():
            self._running.pop(item, None)
            result = results[item]
            for call in calls:
                call.settle(item, result)

    def _fail(self, batch: Mapping[K, list[_Call[K, R]]], error: Exception) -> None:
        for item, calls in batch.items():
            self._running.pop(item, None)
            for call in calls:
                call.fail(error)


def _all_forbidden(tried: Mapping[K, R | Refusal] | Refusal | TooLarge) -> ForbiddenError | None:
    """Return the first error if every item was forbidden, together or each for itself."""
    results = list(tried.values()) if isinstance(tried, Mapping) else [tried]
    errors = [result for result in results if isinstance(result, ForbiddenError)]
    return errors[0] if errors and len(errors) == len(results) else None


async def _unknown() -> bool:
    return False
