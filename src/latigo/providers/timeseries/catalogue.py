"""Series of the API by name: their ids are looked up once and cached, misses are not."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from latigo.domain.errors import Reason, Rejected, Unavailable, describe_tags
from latigo.providers.timeseries.cache import CachedSeries, SeriesCache
from latigo.providers.timeseries.client import TimeseriesClient
from latigo.providers.timeseries.sharing import Bounds, Sharing
from latigo.runtime.in_progress import InProgress
from latigo.settings.sections.timeseries import TimeseriesServer

_PAGE = 1000
_MOST_PAGES = 100  #: 100 000 series are the most that the API lists
_CREATED_AT_ONCE = 100


class NewSeries(NamedTuple):
    """A series to be created where there is none of its name."""

    name: str
    description: str


class Inventory(NamedTuple):
    """How many series the API has."""

    total: int
    here: int | None  #: at the facility of the settings; None without one, or if it is counted by another code
    problem: str  #: what is wrong with the facility of the settings, after "the Timeseries API"; empty: nothing


class SeriesCatalogue:
    """Names, facilities and ids. Safe for many coroutines at once: what one looks up, others wait for."""

    def __init__(
        self,
        client: TimeseriesClient,
        cache: SeriesCache,
        server: TimeseriesServer,
        tasks: InProgress | None = None,
    ) -> None:
        self._client = client
        self._tasks = tasks
        self._cache = cache
        self._facility = server.facility
        self._requests = server.max_requests
        self._added: dict[str, Sharing[NewSeries, CachedSeries]] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[CachedSeries | None]] = {}

    async def find(self, names: Sequence[str], facility: str) -> Mapping[str, CachedSeries]:
        """Return the series of these names at a facility, or at any that is unambiguous; unknown ones are left out."""
        known = dict(await self._cache.get(names, facility))
        missing = [name for name in dict.fromkeys(names) if name not in known]
        found = await asyncio.gather(*(self._look_up(name, facility) for name in missing), return_exceptions=True)
        fresh = {name: series for name, series in zip(missing, found, strict=True) if isinstance(series, CachedSeries)}
        await self._cache.put(fresh, facility)  # also where others fail: the next attempt has fewer to look up
        for error in found:
            if isinstance(error, BaseException):
                raise error
        return {**known, **fresh}

    async def exists(self, name: str) -> bool:
        """Return whether there is a series of this name, at the facility in the settings or at any."""
        try:
            return name in await self.find([name], self._facility or "")
        except Rejected:  # at several facilities
            return True

    async def ping(self) -> "Inventory":
        """Count the series that there are, in all and at the facility of the settings."""
        items = items_of(await self._client.get("/facets/facility"), self._client.downstream)
        counts = {str(item.get("name")): int(item.get("count") or 0) for item in items}
        problem = ""
        if self._facility and self._facility not in counts:  # unless it is there under another of its codes
            answer = await self._client.get("/", [("facility", self._facility), ("limit", "1")])
            if not items_of(answer, self._client.downstream):
                others = f"it has series at {describe_tags(sorted(counts))}" if counts else "it has no series at all"
                problem = f"has no series at the facility {self._facility!r} of the settings; {others}"
        return Inventory(sum(counts.values()), counts.get(self._facility or ""), problem)

    async def facility_of(self, tag: str) -> str:
        """Return the facility of a model by its first tag, or the one of the settings.

        Raises:
            Rejected: ``UNKNOWN_SENSOR``: the tag is unknown, or several facilities have one of this name.
        """
        if self._facility:
            return self._facility
        series = (await self.find([tag], "")).get(tag)
        if series is None:
            raise unknown([tag], "")
        if not series.facility:
            raise Rejected(f"the Timeseries API names no facility of {tag!r}", reason=Reason.UNKNOWN_SENSOR, tags=[tag])
        return series.facility

    async def get_or_add(self, wanted: Sequence[NewSeries], facility: str) -> Mapping[str, CachedSeries]:
        """Return the series of these names, created where there are none.

        Raises:
            ApiRefused: one of them cannot be created.
        """
        known = dict(await self._cache.get([each.name for each in wanted], facility))
        missing = [each for each in wanted if each.name not in known]
        if not missing:
            return known
        fresh: dict[str, CachedSeries] = {}
        for each, series in (await self._adding(facility).ask(missing)).items():
            if isinstance(series, Exception):
                raise series
            fresh[each.name] = series
        await self._cache.put(fresh, facility)
        return known | fresh

    async def forget(self, names: Sequence[str], facility: str) -> None:
        """Look these up again the next time: their ids are refused."""
        await self._cache.drop(names, facility)

    async def names(self, pattern: str = "") -> Sequence[CachedSeries]:
        """Return every series, of the facility in the settings if there is one, or those that match a pattern."""
        params = [("limit", str(_PAGE))]
        if self._facility:
            params.append(("facility", self._facility))
        if pattern:
            params.append(("name", pattern))
        return await self._pages("/search" if pattern else "/", params)

    async def close(self) -> None:
        """Cancel what is under way."""
        for adding in self._added.values():
            await adding.close()

    def _adding(self, facility: str) -> Sharing[NewSeries, CachedSeries]:
        """Return what adds series at a facility: names there are unambiguous, so answers go by them."""
        if facility not in self._added:
            self._added[facility] = Sharing(
                lambda wanted: self._add(wanted, facility),
                lambda _: 1,
                Bounds(_CREATED_AT_ONCE, _CREATED_AT_ONCE, self._requests),
                self._client.downstream,
                tasks=self._tasks,
            )
        return self._added[facility]

    async def _add(self, wanted: Sequence[NewSeries], facility: str) -> Mapping[NewSeries, CachedSeries]:
        body = [
            {
                "name": each.name,
                "facility": facility,
                "description": each.description,
                "step": True,
                "unit": "",
                "externalId": "",
            }
            for each in wanted
        ]
        answer = await self._client.post("/getoradd", body)
        created = {series.name: series for series in map(_series, items_of(answer, self._client.downstream))}
        if lacking := [each.name for each in wanted if each.name not in created]:
            message = f"Timeseries API, POST /getoradd: the answer lacks {describe_tags(lacking)}"
            raise Unavailable(message, downstream=self._client.downstream)
        return {each: created[each.name] for each in wanted}

    async def _look_up(self, name: str, facility: str) -> CachedSeries | None:
        key = (name, facility)
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(name, facility), name=f"look up {name}")
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(asking)

    async def _ask(self, name: str, facility: str) -> CachedSeries | None:
        params = [("name", name), ("limit", str(_PAGE)), *([("facility", facility)] if facility else [])]
        # The filter is exact by what the API says, and not relied on: another's series would be a wrong number.
        alike = [series for series in await self._pages("/", params) if series.name == name]
        if len(alike) > 1:
            facilities = sorted({series.facility for series in alike})
            raise Rejected(
                f"the Timeseries API has {name!r} at several facilities: {', '.join(facilities)}; set facility",
                reason=Reason.UNKNOWN_SENSOR,
                tags=[name],
            )
        return alike[0] if alike else None

    async def _pages(self, path: str, params: Sequence[tuple[str, str]]) -> list[CachedSeries]:
        found: list[CachedSeries] = []
        token = ""
        for _ in range(_MOST_PAGES):
            more = [("continuationToken", token)] if token else []
            answer = await self._client.get(path, [*params, *more])
            found += map(_series, items_of(answer, self._client.downstream))
            token = str(answer.get("continuationToken") or "")
            if not token:
                return found
        raise Unavailable(f"Timeseries API, GET {path}: too many pages", downstream=self._client.downstream)


def unknown(tags: Sequence[str], facility: str) -> Rejected:
    """Return the error for tags that the API does not have, at a facility or, without one, at any."""
    place = f" at the facility {facility}" if facility else ""
    return Rejected(
        f"the Timeseries API does not have the tags {describe_tags(tags)}{place}",
        reason=Reason.UNKNOWN_SENSOR,
        tags=tags,
    )


def items_of(answer: Any, downstream: str) -> list[Mapping[str, Any]]:
    """Return the items of an answer.

    Raises:
        Unavailable: it has another form.
    """
    data = answer.get("data") if isinstance(answer, Mapping) else None
    items = data.get("items") if isinstance(data, Mapping) else None
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise Unavailable("Timeseries API: the answer has no data.items", downstream=downstream)
    return items


def _series(item: Mapping[str, Any]) -> CachedSeries:
    return CachedSeries(str(item.get("id", "")), str(item.get("name", "")), str(item.get("facility") or ""))
