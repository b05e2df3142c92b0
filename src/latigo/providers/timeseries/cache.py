"""Ids of series by name and facility: in memory, and in the ledger's database, so that they survive a restart."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from latigo.domain.errors import LatigoError
from latigo.postgres.arrays import columns
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger

SQL = load_statements("latigo.providers.timeseries", "cache.sql")

#: A series may be renamed or removed; its id never becomes another's.
KEPT = timedelta(days=1)
_MOST_IN_MEMORY = 500_000

_log = get_logger(__name__)


class CachedSeries(NamedTuple):
    """A series of the API."""

    id: str
    name: str
    facility: str  #: as the API shows it


class SeriesCache:
    """What was found in the last day. Misses are not kept: a new series is found at once.

    Args:
        base_url: of the API, since another one has other ids.
        clock: for the age of entries.
        database: the ledger's; None: memory alone.
    """

    def __init__(self, base_url: str, clock: Clock, database: Database | None = None) -> None:
        self._base_url = base_url
        self._clock = clock
        self._database = database
        self._entries: OrderedDict[tuple[str, str], tuple[float, CachedSeries]] = OrderedDict()

    async def get(self, names: Sequence[str], facility: str) -> Mapping[str, CachedSeries]:
        """Return those of these names that are known."""
        now = self._clock.monotonic()
        known: dict[str, CachedSeries] = {}
        for name in names:
            entry = self._entries.get((facility, name))
            if entry is not None and entry[0] > now:
                known[name] = entry[1]
        missing = [name for name in names if name not in known]
        if missing and self._database is not None:
            known |= await self._load(missing, facility, now)
        return known

    async def put(self, found: Mapping[str, CachedSeries], facility: str) -> None:
        """Keep these; a database that is unavailable is not waited for."""
        until = self._clock.monotonic() + KEPT.total_seconds()
        for name, series in found.items():
            self._keep(facility, name, until, series)
        if found and self._database is not None:
            rows = [(name, *_stored(series)) for name, series in found.items()]
            try:
                await self._database.execute(SQL["keep"], self._base_url, facility, *columns(rows))
                await self._database.execute(SQL["drop_old"], KEPT)
            except LatigoError as error:
                _log.debug("series.not_kept", error=str(error))

    async def drop(self, names: Sequence[str], facility: str) -> None:
        """Forget these."""
        for name in names:
            self._entries.pop((facility, name), None)
        if self._database is not None:
            try:
                await self._database.execute(SQL["drop"], self._base_url, facility, list(names))
            except LatigoError as error:
                _log.debug("series.not_kept", error=str(error))

    async def _load(self, names: Sequence[str], facility: str, now: float) -> dict[str, CachedSeries]:
        assert self._database is not None  # noqa: S101 - the caller's check
        try:
            rows = await self._database.fetch(SQL["load"], self._base_url, facility, list(names), KEPT)
        except LatigoError as error:
            _log.debug("series.not_kept", error=str(error))
            return {}
        found: dict[str, CachedSeries] = {}
        for row in rows:
            found[row["name"]] = series = CachedSeries(row["id"], row["series_name"], row["series_facility"])
            self._keep(facility, row["name"], now + row["left"].total_seconds(), series)
        return found

    def _keep(self, facility: str, name: str, until: float, series: CachedSeries) -> None:
        self._entries[facility, name] = (until, series)
        self._entries.move_to_end((facility, name))
        if len(self._entries) > _MOST_IN_MEMORY:
            self._entries.popitem(last=False)


def _stored(series: CachedSeries) -> tuple[str, str, str]:
    return series.id, series.name, series.facility
