"""Writes of points: those of many tasks in few requests of bounded size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from latigo.providers.timeseries.client import TOO_LARGE, ApiRefused, TimeseriesClient
from latigo.providers.timeseries.points import GOOD
from latigo.providers.timeseries.sharing import Bounds, Sharing
from latigo.runtime.in_progress import InProgress
from latigo.runtime.off_loop import off_loop

MOST_SERIES = 100  #: in one request
_MOST_POINTS = 10_000  #: in one request
_MANY_POINTS = 2_000  #: of which writing a request takes a millisecond, and several requests begin at once


class WrittenPoints(NamedTuple):
    """Points of one series, both as they stand in JSON; many series share their times."""

    times: Sequence[bytes]
    values: Sequence[bytes]


@dataclass(slots=True, eq=False)
class Part:
    """Points of one series; no two parts are equal, since each is of a task of its own."""

    name: str
    id: str
    times: Sequence[bytes]
    values: Sequence[bytes]

    def between(self, begin: int, end: int) -> "Part":
        return Part(self.name, self.id, self.times[begin:end], self.values[begin:end])


class SharedWrites:
    """Writes of points. Safe for many coroutines at once.

    Args:
        client: of the API.
        requests: in flight at once.
        tasks: those that may join a request; none by default.
    """

    def __init__(self, client: TimeseriesClient, requests: int, tasks: InProgress | None = None) -> None:
        self._client = client
        self._sharing: Sharing[Part, None] = Sharing(
            self._post,
            lambda part: len(part.values),
            Bounds(MOST_SERIES, _MOST_POINTS, requests),
            client.downstream,
            tasks=tasks,
        )

    async def write(self, series: Mapping[str, tuple[str, WrittenPoints]]) -> Mapping[str, ApiRefused]:
        """Write points, by name of series with its id; return why those are refused that are.

        Raises:
            Unavailable, TimedOut: there is no complete answer, or the identity may not write.
        """
        refused: dict[str, ApiRefused] = {}
        for part, result in (await self._sharing.ask(list(_parts(series)))).items():
            if isinstance(result, ApiRefused):
                refused[part.name] = result
            elif result is not None:
                raise result
        return refused

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._sharing.close()

    async def _post(self, parts: Sequence[Part]) -> Mapping[Part, None]:
        """Send one request; more where the API finds a single part too large."""
        points = sum(len(part.values) for part in parts)
        content = await off_loop(points, _MANY_POINTS, lambda: written(parts))
        try:
            await self._client.post_json("/data", content)
        except ApiRefused as error:
            count = len(parts[0].values)
            if len(parts) > 1 or count == 1 or not _is_too_large(error):
                raise
            for half in (parts[0].between(0, count // 2), parts[0].between(count // 2, count)):
                await self._post([half])
        return dict.fromkeys(parts)


def _parts(series: Mapping[str, tuple[str, WrittenPoints]]) -> Iterator[Part]:
    for name, (identifier, points) in series.items():
        part = Part(name, identifier, *points)
        if len(points.values) <= _MOST_POINTS:
            yield part
        else:
            yield from (part.between(at, at + _MOST_POINTS) for at in range(0, len(points.values), _MOST_POINTS))


def written(parts: Sequence[Part]) -> bytes:
    """Return the body of a request. Series that share their times are written by one form."""
    forms: dict[int, bytes] = {}
    items = []
    for part in parts:
        form = forms.get(id(part.times))
        if form is None:
            form = forms[id(part.times)] = _form(part.times)
        items.append(form % (orjson.dumps(part.id), *part.values))
    return b'{"items":[%b]}' % b",".join(items)


def _form(times: Sequence[bytes]) -> bytes:
    """Return an item with ``%b`` in the place of its id and of each value."""
    points = b",".join(b'{"time":%b,"value":%%b,"status":%d}' % (time, GOOD) for time in times)
    return b'{"id":%%b,"datapoints":[%b]}' % points


def _is_too_large(error: ApiRefused) -> bool:
    return error.status == TOO_LARGE or (error.status == 400 and "large" in str(error).lower())
