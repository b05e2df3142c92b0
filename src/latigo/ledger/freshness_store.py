"""Counters of freshness and sums over all slots, in PostgreSQL."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from latigo.domain.circuits import System
from latigo.domain.freshness import KEPT, PERIOD, Group, Service, StaleModel, TaskPlace, count_time, stale_models
from latigo.ledger.freshness import Block
from latigo.ledger.protocol import Term
from latigo.ledger.shared import planning, read_clock
from latigo.postgres.arrays import columns
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements

SQL = load_statements("latigo.ledger", "sql/freshness.sql")


class PostgresFreshnessLedger:
    """`FreshnessLedger` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(
        self, term: Term, blocks: Sequence[Block], *, plans: bool, full: bool, within: timedelta | None
    ) -> Mapping[tuple[str, str], timedelta]:
        async with planning(self._database, term) as connection:
            tally = await connection.fetchrow(SQL["tally"])
            start, end = tally["counted_until"], tally["at"]
            start = end if start is None else max(start, end - KEPT)
            if start > end:
                return {}
            known = await connection.fetchrow(SQL["service"])
            service = Service(
                plans=plans and end - start <= PERIOD,
                queue_reachable=known["queue_reachable"],
                executors=known["executors"],
                saturated=known["saturated"] or full,
            )
            groups = await read_groups(connection, within, blocks)
            await connection.execute(SQL["counted"], end, stale_models(groups, service))
            # A month that is counted at once takes a while.
            spent = await asyncio.to_thread(count_time, groups, service, start, end)
            rows = ((*key, time) for key, time in sorted(spent.items()))
            if spent:
                await connection.execute(SQL["add"], *columns(rows))
            await connection.execute(SQL["trim"], end - KEPT - PERIOD)
            await connection.execute(SQL["delete_empty_totals"])
        return _without_periods(spent)

    async def sum_slots(self, term: Term, valid_for: timedelta) -> None:
        # Read without a lock: with a hundred thousand models it takes seconds.
        async with self._database.snapshot() as connection:
            now = await read_clock(connection)
            totals = await connection.fetch(SQL["slot_totals"])
        async with planning(self._database, term) as connection:
            await connection.execute(SQL["forget_totals"])
            if totals:
                await connection.execute(SQL["keep_totals"], *columns(tuple(row) for row in totals))
            await connection.execute(SQL["summed"], now, valid_for)


async def read_groups(connection: Any, within: timedelta | None, blocks: Sequence[Block] = ()) -> Sequence[Group]:
    """Return the models that count, by project and what is known of why they are stale; ``within`` is the objective."""
    return [_group(row) for row in await connection.fetch(SQL["groups"], within, *_blocked(blocks))]


def _blocked(blocks: Iterable[Block]) -> tuple[list[str], list[str], list[int], list[str]]:
    """Return the arrays of blocked projects and their systems, and of blocked models and theirs; each of them once."""
    projects: dict[str, str] = {}
    models: dict[int, str] = {}
    for block in blocks:
        if block.models is None:
            projects[block.project] = block.system
        else:
            models |= dict.fromkeys(block.models, block.system)
    return list(projects), list(projects.values()), list(models), list(models.values())


def _group(row: Any) -> Group:
    if not row["stale"]:
        return Group(row["project"], row["models"])
    stale = StaleModel(
        slot_missing=row["slot_missing"],
        parked=row["parked"],
        blocked=_system(row["blocked"]),
        failed=_system(row["failed"]),
        task=TaskPlace(row["task"]),
    )
    return Group(row["project"], row["models"], stale, row["since"])


def _system(name: str | None) -> System | None:
    """Return the kind of system of this name; None for others, such as the ledger."""
    return System(name) if name in set(System) else None


def _without_periods(
    spent: Mapping[tuple[datetime, str, str], timedelta],
) -> Mapping[tuple[str, str], timedelta]:
    totals: dict[tuple[str, str], timedelta] = defaultdict(timedelta)
    for (_, project, outcome), time in spent.items():
        totals[project, outcome] += time
    return totals
