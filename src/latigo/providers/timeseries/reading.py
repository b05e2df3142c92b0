"""Reads of many tasks in few requests: items that wait at the same time share a request, equal ones are read once."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple

from latigo.domain.errors import LatigoError, Unavailable
from latigo.providers.timeseries.catalogue import items_of
from latigo.providers.timeseries.client import NOT_FOUND, ApiRefused, ForbiddenError, Params, TimeseriesClient
from latigo.providers.timeseries.points import ReadPoints, UnreadableError, read_points, write_time
from latigo.runtime.off_loop import LARGE_DOCUMENT, off_loop

MOST_ITEMS = 100  #: ids in one request, by the API
_MOST_POINTS = 40_000  #: expected in one answer: reading more would hold up the event loop
_LIMIT = 20_000  #: points of one item in one answer; the rest comes with a token
_MOST_PAGES = 1000
_POINT_BYTES = 85  #: in JSON
_FIRST_DENSITY = 0.2  #: points a second of a sensor, before any was read


class Item(NamedTuple):
    """What is read of one series: points with ``start <= time < end`` (ns)."""

    id: str
    start: int
    end: int


class Refused(NamedTuple):
    """The API does not let an id be read, or has left it out of an answer that has others."""

    reason: str
    left_out: bool = False


@dataclass(slots=True)
class Savings:
    """What sharing requests has saved since the process started: counted as reads end."""

    asked: int = 0  #: reads of one series and window that tasks asked for
    sent: int = 0  #: of them, those that were sent; the others were read for another task at the same time
    alone: int = 0  #: requests that the tasks would have sent, each for itself
    requests: int = 0  #: that were sent; further pages, and halves of what was refused, would have come in any case

    def saved_reads(self) -> int:
        """Return how many reads were not needed, because another task read the same."""
        return max(0, self.asked - self.sent)

    def saved_requests(self) -> int:
        """Return how many requests were not needed, because tasks shared them."""
        return max(0, self.alone - self.requests)


@dataclass(slots=True)
class _Waiting:
    future: "asyncio.Future[ReadPoints | Refused]"
    callers: int = field(default=1)


class SharedReads:
    """Reads of points. Safe for many coroutines at once.

    Items wait until a request is free, and go together then: the busier the API is, the fuller are the requests.

    Args:
        client: of the API.
        good: statuses of points that are used.
        params: of every request.
        requests: in flight at once.
        savings: where to count what sharing saves; a new account by default.
    """

    def __init__(
        self,
        client: TimeseriesClient,
        good: frozenset[int],
        params: Params,
        requests: int,
        savings: Savings | None = None,
    ) -> None:
        self._savings = savings or Savings()
        self._client = client
        self._good = good
        self._params = tuple(params)
        self._free = requests
        self._waiting: OrderedDict[Item, _Waiting] = OrderedDict()
        self._running: dict[Item, _Waiting] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._density = _FIRST_DENSITY

    async def read(self, items: Sequence[Item]) -> Mapping[Item, ReadPoints | Refused]:
        """Return the points of every item, or that its id is refused.

        Raises:
            Unavailable, TimedOut: there is no complete answer.
        """
        waiting = {item: self._join(item) for item in dict.fromkeys(items)}
        self._send_more()
        try:
            results = await asyncio.gather(*(asyncio.shield(each.future) for each in waiting.values()))
        finally:
            for item, each in waiting.items():
                each.callers -= 1
                if not each.callers:
                    self._waiting.pop(item, None)
        self._savings.asked += len(items)
        self._savings.alone += ceil(len(waiting) / MOST_ITEMS)
        return dict(zip(waiting, results, strict=True))

    async def close(self) -> None:
        """Cancel what is under way."""
        for request in self._requests:
            request.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)

    def _join(self, item: Item) -> _Waiting:
        waiting = self._waiting.get(item) or self._running.get(item)
        if waiting is None:
            waiting = self._waiting[item] = _Waiting(asyncio.get_running_loop().create_future())
        else:
            waiting.callers += 1
        return waiting

    def _send_more(self) -> None:
        while self._waiting and self._free:
            self._free -= 1
            request = asyncio.create_task(self._request(), name="read points")
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)

    async def _request(self) -> None:
        """Read what waits now, as one request."""
        await asyncio.sleep(0)  # tasks that begin in the same turn of the loop join in
        batch = self._take()
        try:
            if batch:
                self._settle(batch, await self._read(list(batch)))
                self._savings.requests += 1
                self._savings.sent += len(batch)
        except asyncio.CancelledError:
            self._fail(batch, Unavailable("the source is closed", downstream=self._client.downstream))
            raise
        except LatigoError as error:
            self._fail(batch, error)
        except Exception as error:  # noqa: BLE001 - a bug is the callers'
            self._fail(batch, error)
        finally:
            self._free += 1
            self._send_more()

    def _take(self) -> dict[Item, _Waiting]:
        """Take items from the front, as many as one answer should hold."""
        batch: dict[Item, _Waiting] = {}
        points = 0.0
        while self._waiting and len(batch) < MOST_ITEMS:
            item = next(iter(self._waiting))
            points += (item.end - item.start) / 1e9 * self._density
            if batch and points > _MOST_POINTS:
                break
            batch[item] = self._running[item] = self._waiting.pop(item)
        return batch

    def _settle(self, batch: Mapping[Item, _Waiting], results: Mapping[Item, ReadPoints | Refused]) -> None:
        for item, waiting in batch.items():
            self._running.pop(item, None)
            if not waiting.future.done():
                waiting.future.set_result(results[item])

    def _fail(self, batch: Mapping[Item, _Waiting], error: Exception) -> None:
        for item, waiting in batch.items():
            self._running.pop(item, None)
            if not waiting.future.done():
                waiting.future.set_exception(error)
                waiting.future.exception()  # all callers may have been cancelled meanwhile

    async def _read(self, items: Sequence[Item]) -> Mapping[Item, ReadPoints | Refused]:
        """Read items in one request, and in halves where it is refused: one bad id hides no other."""
        try:
            return await self._read_together(items)
        except ApiRefused as error:
            if len(items) == 1:
                if error.status == NOT_FOUND:
                    return {items[0]: Refused(str(error))}
                raise Unavailable(str(error), downstream=self._client.downstream, alarm=True) from error
        except ForbiddenError:
            if len(items) == 1:
                raise
        middle = len(items) // 2
        halves = await asyncio.gather(self._read(items[:middle]), self._read(items[middle:]))
        return {**halves[0], **halves[1]}

    async def _read_together(self, items: Sequence[Item]) -> Mapping[Item, ReadPoints | Refused]:
        """Send one request, and one for each further page."""
        by_id: dict[str, list[Mapping[str, Any]]] = {}
        body = [_asked(item) for item in items]
        token = ""
        for _ in range(_MOST_PAGES):
            more = [("continuationToken", token)] if token else []
            answer = await self._client.post("/query/data", body, [*self._params, *more])
            for found in items_of(answer, self._client.downstream):
                by_id.setdefault(str(found.get("id", "")).lower(), []).extend(found.get("datapoints") or ())
            token = str(answer.get("continuationToken") or "")
            if not token:
                break
        else:
            message = "Timeseries API, POST /query/data: too many pages"
            raise Unavailable(message, downstream=self._client.downstream)
        return await self._interpreted(items, by_id)

    def _points(self, points: Sequence[Mapping[str, Any]] | None, item: Item) -> ReadPoints | Refused:
        if points is None:
            return Refused("the answer leaves it out", left_out=True)
        return read_points(points, item.start, item.end, self._good)

    async def _interpreted(
        self, items: Sequence[Item], by_id: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> Mapping[Item, ReadPoints | Refused]:
        count = sum(map(len, by_id.values()))
        seconds = sum((item.end - item.start) / 1e9 for item in items)
        self._density = max(0.5 * self._density, count / seconds if seconds else 0.0, 1e-6)
        try:
            return await off_loop(
                count * _POINT_BYTES,
                LARGE_DOCUMENT,
                lambda: {item: self._points(by_id.get(item.id.lower()), item) for item in items},
            )
        except UnreadableError as error:
            message = f"Timeseries API, POST /query/data: {error}"
            raise Unavailable(message, downstream=self._client.downstream) from error


def _asked(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "startTime": write_time(item.start),
        "endTime": write_time(item.end),
        "limit": _LIMIT,
        "includeOutsidePoints": False,
    }
