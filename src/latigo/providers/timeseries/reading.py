"""Reads of points: those of many tasks in few requests, every page of them."""

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple

import orjson

from latigo.domain.errors import Unavailable
from latigo.providers.timeseries.client import NOT_FOUND, ApiRefused, ForbiddenError, Params, TimeseriesClient
from latigo.providers.timeseries.pages import Page, read_page
from latigo.providers.timeseries.points import (
    Part,
    ReadPoints,
    UnreadableError,
    good_points,
    parts_of,
    write_time,
)
from latigo.providers.timeseries.sharing import Bounds, Savings, Sharing
from latigo.runtime.in_progress import InProgress

MOST_ITEMS = 100  #: ids in one request, by the API
_MOST_POINTS = 60_000  #: expected in one answer, 5 MB: what `latigo.runtime.documents` reads of any form
_LIMIT = 20_000  #: points of one item in one answer; the rest comes with a token
_MOST_PAGES = 1000
_FIRST_DENSITY = 0.1  #: points a second of a sensor, before any was read
_A_SECOND = 10**9


class Item(NamedTuple):
    """What is read of one series: points with ``start <= time < end`` (ns)."""

    id: str
    start: int
    end: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1e9


class Refused(NamedTuple):
    """The API does not let an id be read, or has left it out of an answer that has others."""

    reason: str
    left_out: bool = False


_LEFT_OUT = Refused("the answer leaves it out", left_out=True)


class SharedReads:
    """Reads of points. Safe for many coroutines at once.

    Args:
        client: of the API.
        good: statuses of points that are used.
        params: of every request.
        requests: in flight at once.
        tasks: those that may join a request; none by default.
        savings: where to count what sharing saves; a new account by default.
    """

    def __init__(
        self,
        client: TimeseriesClient,
        good: frozenset[int],
        params: Params,
        requests: int,
        *,
        tasks: InProgress | None = None,
        savings: Savings | None = None,
    ) -> None:
        self._client = client
        self._good = good
        self._params = tuple(params)
        self._density = _FIRST_DENSITY
        self._readable: Item | None = None  #: the last that was read
        self._sharing: Sharing[Item, ReadPoints | Refused] = Sharing(
            self._read_together,
            lambda item: item.seconds * self._density,
            Bounds(MOST_ITEMS, _MOST_POINTS, requests),
            client.downstream,
            tasks=tasks,
            others_pass=self._others_pass,
            savings=savings,
        )

    async def read(self, items: Sequence[Item]) -> Mapping[Item, ReadPoints | Refused]:
        """Return the points of every item, or that its id is refused.

        Raises:
            Unavailable, TimedOut: there is no complete answer, or the identity may read nothing at all.
        """
        found: dict[Item, ReadPoints | Refused] = {}
        for item, result in (await self._sharing.ask(items)).items():
            if isinstance(result, ApiRefused) and result.status != NOT_FOUND:
                raise Unavailable(str(result), downstream=self._client.downstream, alarm=True) from result
            found[item] = Refused(str(result)) if isinstance(result, Exception) else result
        return found

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._sharing.close()

    async def _read_together(self, items: Sequence[Item]) -> Mapping[Item, ReadPoints | Refused]:
        """Read items in one request, and one for each further page."""
        by_id = await self._pages(items)
        count = sum(part.place.stop - part.place.start for parts in by_id.values() for part in parts)
        seconds = sum(item.seconds for item in items)
        self._density = max(0.5 * self._density, count / seconds if seconds else 0.0, 1e-6)
        found = {item: self._points(item, by_id) for item in items}
        self._readable = next((item for item in items if isinstance(found[item], ReadPoints)), self._readable)
        return found

    async def _pages(self, items: Sequence[Item]) -> Mapping[str, Sequence[Part]]:
        """Return the points of an answer, by id in lower case; what it leaves out is not there."""
        by_id: dict[str, list[Part]] = {}
        content, token = asked(items), ""
        try:
            for _ in range(_MOST_PAGES):
                params = [*self._params, ("continuationToken", token)] if token else self._params
                page: Page = await self._client.post_json("/query/data", content, params, read_page)
                parts = iter(parts_of(page.points, list(chain.from_iterable(page.places.values())), self._good))
                for identifier, places in page.places.items():
                    by_id.setdefault(identifier, []).extend(islice(parts, len(places)))
                token = page.token
                if not token:
                    return by_id
        except UnreadableError as error:
            message = f"Timeseries API, POST /query/data: {error}"
            raise Unavailable(message, downstream=self._client.downstream) from error
        raise Unavailable("Timeseries API, POST /query/data: too many pages", downstream=self._client.downstream)

    def _points(self, item: Item, by_id: Mapping[str, Sequence[Part]]) -> ReadPoints | Refused:
        points = by_id.get(item.id.lower())
        if not points:
            return _LEFT_OUT
        return good_points(points, self._good, item.start, item.end)

    async def _others_pass(self) -> bool:
        """Return whether what was read last may still be read."""
        known = self._readable
        if known is None:
            return False
        try:
            if known.id.lower() in await self._pages([known._replace(end=known.start + _A_SECOND)]):
                return True
        except (ApiRefused, ForbiddenError):
            pass
        if self._readable is known:
            self._readable = None
        return False


def asked(items: Sequence[Item]) -> bytes:
    """Return the body of a request; most items have the same window."""
    windows = {window: _asked_window(*window) for window in {(item.start, item.end) for item in items}}
    return b"[%b]" % b",".join(b'{"id":%b,%b}' % (orjson.dumps(item.id), windows[item[1:]]) for item in items)


def _asked_window(start: int, end: int) -> bytes:
    window = {"startTime": write_time(start), "endTime": write_time(end)}
    return orjson.dumps({**window, "limit": _LIMIT, "includeOutsidePoints": False})[1:-1]
