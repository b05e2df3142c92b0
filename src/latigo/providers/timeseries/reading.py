"""Reads of points: those of many tasks in few requests, every page of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from latigo.domain.errors import Unavailable
from latigo.providers.timeseries.catalogue import items_of
from latigo.providers.timeseries.client import NOT_FOUND, ApiRefused, ForbiddenError, Params, TimeseriesClient
from latigo.providers.timeseries.points import ReadPoints, UnreadableError, read_points, write_time
from latigo.providers.timeseries.sharing import Bounds, Savings, Sharing
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

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1e9


class Refused(NamedTuple):
    """The API does not let an id be read, or has left it out of an answer that has others."""

    reason: str
    left_out: bool = False


class SharedReads:
    """Reads of points. Safe for many coroutines at once.

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
        self._client = client
        self._good = good
        self._params = tuple(params)
        self._density = _FIRST_DENSITY
        self._sharing: Sharing[Item, ReadPoints | Refused] = Sharing(
            self._read_together,
            lambda item: item.seconds * self._density,
            Bounds(MOST_ITEMS, _MOST_POINTS, requests),
            client.downstream,
            savings,
        )

    async def read(self, items: Sequence[Item]) -> Mapping[Item, ReadPoints | Refused]:
        """Return the points of every item, or that its id is refused.

        Raises:
            Unavailable, TimedOut: there is no complete answer, or the identity may read none of them.
        """
        found: dict[Item, ReadPoints | Refused] = {}
        answers = await self._sharing.ask(items)
        reads_some = any(not isinstance(result, Exception) for result in answers.values())
        for item, result in answers.items():
            if isinstance(result, ApiRefused):
                if result.status != NOT_FOUND:
                    raise Unavailable(str(result), downstream=self._client.downstream, alarm=True) from result
                found[item] = Refused(str(result))
            elif isinstance(result, ForbiddenError) and reads_some:
                found[item] = Refused(str(result))
            elif isinstance(result, Exception):
                raise result
            else:
                found[item] = result
        return found

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._sharing.close()

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

    def _points(
        self, items: Sequence[Item], by_id: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> Mapping[Item, ReadPoints | Refused]:
        there = [item for item in items if item.id.lower() in by_id]
        read = read_points([(by_id[item.id.lower()], item.start, item.end) for item in there], self._good)
        left_out = Refused("the answer leaves it out", left_out=True)
        return {**dict.fromkeys(items, left_out), **dict(zip(there, read, strict=True))}

    async def _interpreted(
        self, items: Sequence[Item], by_id: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> Mapping[Item, ReadPoints | Refused]:
        count = sum(map(len, by_id.values()))
        seconds = sum(item.seconds for item in items)
        self._density = max(0.5 * self._density, count / seconds if seconds else 0.0, 1e-6)
        try:
            return await off_loop(
                count * _POINT_BYTES,
                LARGE_DOCUMENT,
                lambda: self._points(items, by_id),
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
