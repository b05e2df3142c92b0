"""Try again what is parked or waits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from latigo.actions.record import MOST_NAMES, SQL, ids_of, record
from latigo.domain.errors import SelectionChanged
from latigo.domain.windows import iso
from latigo.postgres.database import Database
from latigo.reports.base import Report
from latigo.reports.choices import NO_READINGS


class Retried(NamedTuple):
    """What is to be tried again; None matches all."""

    project: str | None = None
    model: str | None = None
    reason: str | None = None
    sensor: str | None = None  #: what failed because of it, and slots that lack its readings
    names: Sequence[str] = ()  #: ``PROJECT`` or ``PROJECT/MODEL``, or patterns of these; none: of any model
    start: datetime | None = None  #: only whole slots that overlap ``[start, end)``; None: without a bound
    end: datetime | None = None

    def recorded(self, why: str) -> dict[str, Any]:
        """Return what the record keeps: only some of many names."""
        start, end = ("" if time is None else iso(time) for time in (self.start, self.end))
        more = {"names": [*self.names[:MOST_NAMES]], "from": start, "to": end, "why": why}
        named = dict(zip(self._fields, self[:4], strict=False))
        return named | {name: value for name, value in more.items() if value}


EVERYTHING = Retried()


class Unparked(Report):
    """A model that is no longer parked for this reason, in the time that was named."""

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
    """Return how much `retry` would try again.

    Raises:
        UnknownName: a name selects no model.
    """
    async with database.connection() as connection:
        return await _count(connection, await _parameters(connection, wanted))


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
        UnknownName: a name selects no model.
        SelectionChanged: the selection has another digest by now.
    """
    async with database.transaction() as connection:
        project, model, reason, sensor, models, start, end = chosen = await _parameters(connection, wanted)
        if expect and expect != (counted := await _count(connection, chosen)).digest:
            raise SelectionChanged(
                f"the selection has changed: its digest is {counted.digest}, not {expect}; nothing was changed, and"
                " --dry-run shows what it is now"
            )
        lacking: list[int] = []
        if sensor is not None or reason == NO_READINGS:
            lacking = [row["model_id"] for row in await connection.fetch(SQL["lock_lacking"], *chosen)]
            await connection.execute(SQL["recheck_lacking"], lacking, sensor, start, end)
            await connection.execute(SQL["end_silence"], lacking)
        parked = [Unparked(**row) for row in await connection.fetch(SQL["unpark"], *chosen)]
        woken = 0
        if sensor is None:
            await connection.execute(SQL["revive_models"], project, model, models)
            woken = len(await connection.fetch(SQL["end_waiting"], project, model, reason, models, start, end))
        result = f"{len(parked)} unparked, {woken} woken, {len(lacking)} rechecked"
        await record(connection, "retry", who, wanted.recorded(why), result)
    return RetryResult(parked, woken, len(lacking))


async def _parameters(connection: Any, wanted: Retried) -> tuple[Any, ...]:
    """Return what the statements are given."""
    models = await ids_of(connection, wanted.names) if wanted.names else None
    return *wanted[:4], models, wanted.start, wanted.end


async def _count(connection: Any, parameters: Sequence[Any]) -> RetryCount:
    return RetryCount(**await connection.fetchrow(SQL["count_retried"], *parameters))
