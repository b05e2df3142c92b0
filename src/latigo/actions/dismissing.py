"""Dismiss failures that are known, so that they are no alarm until the model has another revision."""

from typing import Any, NamedTuple

from latigo.actions.record import SQL, record
from latigo.domain.errors import SelectionChanged
from latigo.postgres.database import Database
from latigo.reports.base import Report


class Failing(NamedTuple):
    """Failures that something is done about; None matches all."""

    project: str | None = None
    model: str | None = None
    reason: str | None = None
    sensor: str | None = None  #: that they are about


class DismissalCount(Report):
    """How much is dismissed, or no longer."""

    failures: int  #: models and reasons
    models: int
    digest: str  #: of the models, their revisions and reasons


async def count_dismissed(database: Database, wanted: Failing, *, undo: bool = False) -> DismissalCount:
    """Return how much `dismiss` would dismiss, or `undo_dismissal` would end."""
    async with database.connection() as connection:
        return await _count(connection, wanted, undo=undo)


async def dismiss(
    database: Database, who: str, wanted: Failing, note: str, *, expect: str = "", undo: bool = False
) -> DismissalCount:
    """Dismiss the failures that there are now; they are tried as before, and listed apart.

    Args:
        database: the ledger's.
        who: ``user@host``.
        wanted: which.
        note: why.
        expect: the digest of what was counted before; empty: whatever there is.
        undo: end their dismissal instead.

    Raises:
        SelectionChanged: the selection has another digest by now.
    """
    async with database.transaction() as connection:
        counted = await _count(connection, wanted, undo=undo)
        if expect and expect != counted.digest:
            raise SelectionChanged(
                f"the selection has changed: its digest is {counted.digest}, not {expect}; nothing was changed, and"
                " --dry-run shows what it is now"
            )
        if undo:
            await connection.execute(SQL["end_dismissals"], *wanted)
        else:
            await connection.execute(SQL["dismiss"], *wanted, who, note)
        kind = "failures_undo_dismissal" if undo else "failures_dismiss"
        await record(connection, kind, who, {**wanted._asdict(), "note": note}, f"{counted.failures} failures")
    return counted


async def _count(connection: Any, wanted: Failing, *, undo: bool) -> DismissalCount:
    statement = SQL["select_dismissed"] if undo else SQL["select_failures"]
    return DismissalCount(**await connection.fetchrow(statement, *wanted))
