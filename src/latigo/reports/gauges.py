"""The metrics that only the ledger knows, out of a status."""

from latigo.postgres.database import Database
from latigo.reports.status import Status, read_status
from latigo.telemetry.gauges import LedgerGauges, ProjectGauges


async def read_gauges(database: Database, version: str) -> LedgerGauges:
    """Read the ledger for the gauges."""
    return gauges_of(await read_status(database, version))


def gauges_of(status: Status) -> LedgerGauges:
    """Return the values of the gauges. Pure."""
    unstored = {project.project: 0 for project in status.projects}
    for models in status.unstored:
        unstored[models.project] += models.models
    return LedgerGauges(
        state=status.state,
        queue_lag={partition.partition: partition.lag for partition in status.queue.partitions},
        projects={
            project.project: ProjectGauges(
                active=project.active,
                stale=project.stale,
                parked=project.parked,
                backlog_slots=project.backlog_slots,
                oldest_coverage_s=None if project.oldest is None else (status.now - project.oldest).total_seconds(),
            )
            for project in status.projects
        },
        unstored=unstored,
    )
