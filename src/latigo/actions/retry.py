"""Try again what is parked or waits."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from latigo.actions.record import SQL, record
from latigo.domain.errors import SelectionChanged
from latigo.postgres.database import Database
from latigo.reports.base import Report
from latigo.reports.choices import NO_READINGS


class Retried(NamedTuple):
    """What is to be tried again; None matches all."""

    project: str | None = None
    model: str | None = None
    reason: str | None = None
    sensor: str | None = None  #: what failed because of it, and slots that lack its readings


EVERYTHING = Retried()


class Unparked(Report):
    """A model that is no longer parked for this reason."""

    project: str
    model: str
    reason: str


class RetryResult(NamedTuple):
    """What a retry has changed."""

    unparked: Sequence[Unparked]
    woken: int  #: tasks that waited for another attempt
    rechecked: int  #: models with slots that lack readings


class RetryCount(Report):
    """How much a retry tries again."""

    windows: int  #: parked
    waiting: int  #: tasks that wait for another attempt
    rechecked: int  #: models with slots that lack readings
    models: int  #: all of these
    digest: str  #: of the models and their causes: another one when the selection is another


async def count_retried(database: Database, wanted: Retried = EVERYTHING) -> RetryCount:
    """Return how much `retry` would try again."""
    async with database.connection() as connection:
        return await _count(connection, wanted)


async def retry(
    database: Database, who: str, wanted: Retried = EVERYTHING, *, why: str = "", expect: str = ""
) -> RetryResult:
    """Unpark what is parked, and end the back-off of what waits.

    With a sensor, or ``no_readings`` as the reason, slots that lack readings are rechecked now.

    Args:
        database: the ledger's.
        who: ``user@host``, for the record.
        wanted: what to try again.
        why: for the record.
        expect: the digest of what was counted before; empty: whatever there is.

    Raises:
        SelectionChanged: the selection has another digest by now.
    """
    async with database.transaction() as connection:
        if expect and expect != (counted := await _count(connection, wanted)).digest:
            raise SelectionChanged(
                f"the selection has changed: its digest is {counted.digest}, not {expect}; nothing was changed, and"
                " --dry-run shows what it is now"
            )
        lacking: list[int] = []
        if wanted.sensor is not None or wanted.reason == NO_READINGS:
            lacking = [row["model_id"] for row in await connection.fetch(SQL["lock_lacking"], *wanted)]
            await connection.execute(SQL["recheck_lacking"], lacking, wanted.sensor)
            await connection.execute(SQL["end_silence"], lacking)
        parked = [Unparked(**row) for row in await connection.fetch(SQL["unpark"], *wanted)]
        woken = 0
        if wanted.sensor is None:
            await connection.execute(SQL["revive_models"], wanted.project, wanted.model)
            woken = len(await connection.fetch(SQL["end_waiting"], *wanted[:3]))
        result = f"{len(parked)} unparked, {woken} woken, {len(lacking)} rechecked"
        await record(connection, "retry", who, {**wanted._asdict(), **({"why": why} if why else {})}, result)
    return RetryResult(parked, woken, len(lacking))


async def _count(connection: Any, wanted: Retried) -> RetryCount:
    return RetryCount(**await connection.fetchrow(SQL["count_retried"], *wanted))
