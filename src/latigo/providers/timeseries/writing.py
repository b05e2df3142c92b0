"""Writes of points: those of many tasks in few requests of bounded size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latigo.providers.timeseries.client import TOO_LARGE, ApiRefused, TimeseriesClient
from latigo.providers.timeseries.sharing import Bounds, Sharing

_MOST_SERIES = 100  #: in one request
_MOST_POINTS = 10_000  #: in one request

WrittenPoint = Mapping[str, Any]  #: as the API takes it


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Points of one series; no two parts are equal, since each is of a task of its own."""

    name: str
    id: str
    points: Sequence[WrittenPoint]

    def halves(self) -> tuple["_Part", "_Part"]:
        middle = len(self.points) // 2
        return _Part(self.name, self.id, self.points[:middle]), _Part(self.name, self.id, self.points[middle:])


class SharedWrites:
    """Writes of points. Safe for many coroutines at once.

    Args:
        client: of the API.
        requests: in flight at once.
    """

    def __init__(self, client: TimeseriesClient, requests: int) -> None:
        self._client = client
        self._sharing: Sharing[_Part, None] = Sharing(
            self._post, lambda part: len(part.points), Bounds(_MOST_SERIES, _MOST_POINTS, requests), client.downstream
        )

    async def write(self, series: Mapping[str, tuple[str, Sequence[WrittenPoint]]]) -> Mapping[str, ApiRefused]:
        """Write points, by name of series with its id; return why those are refused that are.

        Raises:
            Unavailable, TimedOut: there is no complete answer, or the identity may not write.
        """
        parts = [
            _Part(name, identifier, points[begin : begin + _MOST_POINTS])
            for name, (identifier, points) in series.items()
            for begin in range(0, len(points), _MOST_POINTS)
        ]
        refused: dict[str, ApiRefused] = {}
        for part, result in (await self._sharing.ask(parts)).items():
            if isinstance(result, ApiRefused):
                refused[part.name] = result
            elif result is not None:
                raise result
        return refused

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._sharing.close()

    async def _post(self, parts: Sequence[_Part]) -> Mapping[_Part, None]:
        """Send one request; more where the API finds a single part too large."""
        items = [{"id": part.id, "datapoints": part.points} for part in parts]
        try:
            await self._client.post("/data", {"items": items})
        except ApiRefused as error:
            if len(parts) > 1 or len(parts[0].points) == 1 or not _is_too_large(error):
                raise
            for half in parts[0].halves():
                await self._post([half])
        return dict.fromkeys(parts)


def _is_too_large(error: ApiRefused) -> bool:
    return error.status == TOO_LARGE or (error.status == 400 and "large" in str(error).lower())
