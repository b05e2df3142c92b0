"""The metrics that only the ledger knows, out of a status."""

from collections.abc import Sequence

from latigo.postgres.database import Database
from latigo.reports.plan import ProjectBacklog, fetch_backlog
from latigo.reports.status import Status, read_status
from latigo.telemetry.gauges import LedgerGauges, ProjectGauges


async def read_gauges(database: Database, version: str) -> LedgerGauges:
    """Read the ledger for the gauges."""
    status = await read_status(database, version)
    async with database.connection() as connection:
        return gauges_of(status, await fetch_backlog(connection))


def gauges_of(status: Status, backlog: Sequence[ProjectBacklog]) -> LedgerGauges:
    """Return the values of the gauges. Pure."""
    slots = {each.project: each.slots for each in backlog}
    return LedgerGauges(
        queue_lag={each.partition: each.lag for each in status.queue.partitions},
        projects={
            each.project: ProjectGauges(
                active=each.active,
                stale=each.stale,
                parked=each.parked,
                backlog_slots=slots.get(each.project, 0),
                oldest_coverage_s=None if each.oldest is None else (status.now - each.oldest).total_seconds(),
            )
            for each in status.projects
        },
    )
