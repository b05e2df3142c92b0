"""How many rows the tables of the ledger have after a campaign, against how many they may have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from latigo.domain.limits import LARGEST_OUTSTANDING

_TABLES = """
SELECT relname AS name FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname
"""
#: Tasks that are out at once: half of `task_queue.max_outstanding` at its largest, since most are of the past.
_MOST_OUT = LARGEST_OUTSTANDING // 2
#: One for today and one for each day ahead, and as many for a midnight in between.
_MOST_PARTITIONS = 8
_PARTITIONS = """
SELECT parent.relname AS name, count(*) AS number
FROM pg_inherits i JOIN pg_class parent ON parent.oid = i.inhparent JOIN pg_class child ON child.oid = i.inhrelid
WHERE parent.relkind = 'p' AND child.relkind = 'r' GROUP BY 1
"""
_ENDED = "SELECT outcome, count(*) AS tasks FROM task_history GROUP BY outcome ORDER BY outcome"


@dataclass(frozen=True)
class Extent:
    """How much a campaign was."""

    models: int
    slots: int  #: that were due
    rows: int  #: that the judge has found in the sink
    newer_rows: int  #: that slots may have which became due since
    starts: int  #: of processes
    outages: int  #: of systems that Latigo depends on


def most_rows(table: str, extent: Extent) -> int:
    """Return how many rows a table may have when all processes have stopped."""
    match table:
        case "queued_task" | "queue_receiver":
            return 0
        case "task":  # planned by the scheduler when it stopped
            return 2 * extent.models
        case "task_history":  # a slot has a task of its own, and another one where an outage ended what was out
            return extent.slots + extent.slots // 10 + extent.outages * _MOST_OUT
        case "prediction":
            return extent.rows + extent.newer_rows
        case "slot_exception" | "fingerprint":
            return extent.slots
        case _:  # what there is of each model or process, and of few other things
            return 2 * extent.models + extent.starts + 100


def too_many(rows: Mapping[str, int], partitions: Mapping[str, int], extent: Extent) -> Sequence[str]:
    """Return which tables have more rows or partitions than they may, a sentence each."""
    faults = [
        f"table {table}: {count} rows, and {most} at most are right"
        for table, count in rows.items()
        if count > (most := most_rows(table, extent))
    ]
    return faults + [
        f"table {table}: {count} partitions, and {_MOST_PARTITIONS} at most are right"
        for table, count in partitions.items()
        if count > _MOST_PARTITIONS
    ]


async def count_rows(url: str) -> tuple[Mapping[str, int], Mapping[str, int], dict[str, int]]:
    """Return the rows of every table, the partitions of those that have some, and the tasks that ended by outcome."""
    connection = await asyncpg.connect(url, timeout=30)
    try:
        names = [row["name"] for row in await connection.fetch(_TABLES)]
        rows = {name: await connection.fetchval(f'SELECT count(*) FROM "{name}"') for name in names}
        partitions = {row["name"]: row["number"] for row in await connection.fetch(_PARTITIONS)}
        ended = {row["outcome"]: row["tasks"] for row in await connection.fetch(_ENDED)}
    finally:
        await connection.close()
    return rows, partitions, ended
