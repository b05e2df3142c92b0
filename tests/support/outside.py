"""What people outside see of a ledger: its views, and whether they add up."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from latigo.domain.coverage import Coverage
from latigo.postgres.ranges import to_coverage
from latigo.reports.status import read_status
from latigo.wiring.ledger import connect_to
from tests.support.build import DEFAULTS
from tests.support.process import RESOLUTION

_MISSING = """
SELECT m.project, m.model, tstzmultirange(tstzrange(m.since, $1)) - c.covered
    - coalesce((SELECT range_agg(e.slot) FROM v_exceptions e WHERE e.project = m.project AND e.model = m.model), '{}')
    - coalesce((SELECT range_agg(w) FROM v_parked p, unnest(p.windows) AS w
                WHERE p.project = m.project AND p.model = m.model), '{}') AS slots
FROM v_models m JOIN v_coverage c USING (project, model)
WHERE m.state = 'active'
"""
_ROWS = """
SELECT project, model, time, count(*) AS points, count(DISTINCT (column_group, tag)) AS columns
FROM v_predictions GROUP BY project, model, time
"""


class Outside:
    """Queries of the views of one ledger. Connects for each, so that the database may be unavailable in between."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", url: str) -> None:
        self.url = url
        self._pool = pool

    async def fetch(self, sql: str, *arguments: object) -> list[dict[str, Any]]:
        async with self._pool.acquire() as connection:
            return [dict(row) for row in await connection.fetch(sql, *arguments)]

    async def value(self, sql: str, *arguments: object) -> Any:
        async with self._pool.acquire() as connection:
            return await connection.fetchval(sql, *arguments)

    async def tasks(self, state: str) -> list[dict[str, Any]]:
        """Tasks that are out in this state, or have ended with this outcome, in the order of their planning."""
        return await self.fetch("SELECT * FROM v_tasks WHERE state = $1 ORDER BY id", state)

    async def parked(self) -> list[dict[str, Any]]:
        return await self.fetch("SELECT * FROM v_parked ORDER BY model, reason")

    async def exceptions(self) -> list[dict[str, Any]]:
        return await self.fetch("SELECT * FROM v_exceptions ORDER BY model, slot")

    async def covered(self) -> dict[str, Coverage]:
        """Coverage by model."""
        return {
            row["model"]: to_coverage(row["covered"])
            for row in await self.fetch("SELECT model, covered FROM v_coverage")
        }

    async def missing(self, until: datetime) -> dict[str, Coverage]:
        """What is neither covered nor a listed exception nor parked up to ``until``, by active model."""
        return {row["model"]: to_coverage(row["slots"]) for row in await self.fetch(_MISSING, until)}

    async def is_whole(self, models: int, until: datetime) -> bool:
        """Whether so many models lack nothing up to ``until``."""
        missing = await self.missing(until)
        return len(missing) == models and not any(missing.values())

    async def status(self) -> dict[str, Any]:
        """Return the report of ``latigo status``."""
        async with connect_to(self.url, DEFAULTS) as database:
            return (await read_status(database, "test")).model_dump()

    async def assert_adds_up(self, models: int, until: datetime) -> None:
        """Nothing is missing up to ``until``, and the sink holds the rows of all covered slots, once, and no others.

        For a service that has ended, on readings without gaps: every slot has all its rows.
        """
        missing = await self.missing(until)
        assert len(missing) == models
        assert not any(missing.values()), missing
        assert await self.exceptions() == []
        rows = await self.fetch(_ROWS)
        assert all(row["points"] == row["columns"] for row in rows)
        stored = Counter((row["model"], row["time"]) for row in rows)
        covered = await self.covered()
        assert set(stored.values()) <= {1}
        wanted = {(model, time) for model in covered for time in _labels(covered[model], RESOLUTION)}
        assert set(stored) == wanted, sorted(set(stored) ^ wanted)[:5]


def _labels(coverage: Coverage, resolution: timedelta) -> list[datetime]:
    """The times of all rows that a model has in these slots."""
    return [label.start for window in coverage for label in window.slots(resolution)]


@asynccontextmanager
async def looking_at(url: str) -> AsyncIterator[Outside]:
    """Ask the ledger at this URL, migrated or not yet."""
    settings = {"application_name": "test", "timezone": "UTC"}
    async with asyncpg.create_pool(url, min_size=0, max_size=3, server_settings=settings) as pool:
        yield Outside(pool, url)
