"""Open circuits: downstreams that are not used for now."""

from collections.abc import Sequence
from datetime import datetime

from latigo.postgres.database import Database
from latigo.reports.base import Report
from latigo.reports.snapshot import SQL


class CircuitStatus(Report):
    """One open circuit."""

    downstream: str
    reason: str
    alarm: bool  #: waiting does not help
    opened_at: datetime
    probe_at: datetime  #: a task may probe from then on
    held_models: int  #: whose tasks were deferred for it


async def read_open_circuits(database: Database) -> Sequence[CircuitStatus]:
    """Return the open circuits, by name."""
    return [CircuitStatus(**row) for row in await database.fetch(SQL["open_circuits"])]
