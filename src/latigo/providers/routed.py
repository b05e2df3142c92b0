"""Several sources as one: each tag is read from the first source with a pattern that matches it, else from the last."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from functools import lru_cache

from latigo.domain.circuits import System, circuit_name
from latigo.domain.series import Point, Readings
from latigo.domain.windows import Window
from latigo.providers.parts import ask_parts, own_tags, read_parts
from latigo.providers.protocols import Part, SensorSource

_KNOWN_TAGS = 200_000  #: whose source is remembered


class Routing:
    """Which source each tag is read from, by number.

    Args:
        patterns: on tag names, of each source; ``*``, ``?`` and ``[abc]`` as in the shell. Those of the last source do
            not matter, since it has every other tag.
    """

    def __init__(self, patterns: Sequence[Sequence[str]]) -> None:
        self._patterns = patterns[:-1]
        self.source_of = lru_cache(_KNOWN_TAGS)(self._source_of)

    def own(self, number: int, tags: Sequence[str]) -> list[str]:
        """Return those of the tags that are read from a source."""
        return [tag for tag in tags if self.source_of(tag) == number]

    def _source_of(self, tag: str) -> int:
        for number, patterns in enumerate(self._patterns):
            if any(fnmatchcase(tag, pattern) for pattern in patterns):
                return number
        return len(self._patterns)


class RoutedSensors:
    """Several sources as one; each call asks those that have the tags.

    Args:
        sources: in the order in which their patterns are tried; no two of them have the same circuit.
        routing: which of them has which tags.
    """

    def __init__(self, sources: Sequence[SensorSource], routing: Routing) -> None:
        self.sources = sources
        self._routing = routing

    @property
    def downstream(self) -> str:
        """The names of all sources. It is no circuit: each source has its own."""
        names = (source.downstream.removeprefix(f"{System.SENSORS}/") for source in self.sources)
        return circuit_name(System.SENSORS, "+".join(names))

    def parts(self, tags: Sequence[str]) -> Sequence[Part]:
        by_source: dict[int, list[str]] = defaultdict(list)
        for tag in tags:
            by_source[self._routing.source_of(tag)].append(tag)
        return [Part(self.sources[number], by_source[number]) for number in sorted(by_source)]

    async def ping(self) -> str:
        for source in self.sources:
            await source.ping()
        return f"{len(await self.get_sensor_list())} tags"

    async def get_sensor_list(self) -> Sequence[str]:
        """Return every tag of each source that is read from it."""
        return sorted([tag for source in self.sources for tag in await own_tags(self, source)])

    async def sensor_exists(self, name: str) -> bool:
        return await self.sources[self._routing.source_of(name)].sensor_exists(name)

    def get_native_range_specifier(self, window: Window, parameters: Mapping[str, str]) -> str:
        """Return the request to the source that has the tag; without a tag, those to all sources."""
        tag = parameters.get("tag")
        asked = self.sources if tag is None else [self.sources[self._routing.source_of(tag)]]
        return "; ".join(source.get_native_range_specifier(window, parameters) for source in asked)

    async def get_data_for_range(self, tags: Sequence[str], window: Window, *, max_bytes: int) -> Readings:
        """Return the readings of all tags, each from its source; what is read together is within ``max_bytes``."""
        return await read_parts(
            self.parts(tags),
            lambda part, share: part.source.get_data_for_range(part.tags, window, max_bytes=share),
            max_bytes,
        )

    async def get_last_before(
        self, tags: Sequence[str], time: datetime, not_older_than: datetime
    ) -> Mapping[str, Point]:
        return await ask_parts(
            self.parts(tags), lambda part: part.source.get_last_before(part.tags, time, not_older_than)
        )
