"""The metrics that only the ledger knows, out of a status."""

from latigo.reports.status import Status
from latigo.telemetry.gauges import LedgerGauges, ProjectGauges


def gauges_of(status: Status) -> LedgerGauges:
    """Return the values of the gauges. Pure."""
    achieved = {project.project: project for project in status.freshness.projects}
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
                fresh_share=fresh.share if (fresh := achieved.get(project.project)) else None,
                budget_left=fresh.budget_left if fresh else None,
            )
            for project in status.projects
        },
        unstored=unstored,
        stale={project.project: project.stale_by_cause for project in status.freshness.projects},
        needed=status.rates.needed_slots_per_second,
        possible=status.rates.possible_slots_per_second,
        backlog_s=status.backlog.seconds if status.backlog.calls else 0.0,
    )
