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
    unstored = {project.project: 0 for project in status.projects}
    for models in status.unstored:
        unstored[models.project] += models.models
    slots = {project.project: project.slots for project in backlog}
    return LedgerGauges(
        queue_lag={partition.partition: partition.lag for partition in status.queue.partitions},
        projects={
            project.project: ProjectGauges(
                active=project.active,
                stale=project.stale,
                parked=project.parked,
                backlog_slots=slots.get(project.project, 0),
                oldest_coverage_s=None if project.oldest is None else (status.now - project.oldest).total_seconds(),
            )
            for project in status.projects
        },
        unstored=unstored,
    )
