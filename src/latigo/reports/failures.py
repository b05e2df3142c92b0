"""Failures: what is parked, waits for another attempt, lacks rows or readings, and messages that are no task."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.advice import advice_for
from latigo.reports.base import Listing, Names, Report, likes
from latigo.reports.choices import FailureGrouping, FailureOrder, FailureState

SQL = load_statements("latigo.reports", "failures.sql")
MOST_FAILURES = 1000


class FailureFilter(NamedTuple):
    """Which failures are wanted; None matches all."""

    project: Names = None
    model: Names = None
    reason: str | None = None
    sensor: str | None = None  #: one of the tags that a failure is about
    state: FailureState | None = None
    dismissed: bool = False  #: those that are dismissed, or all others

    @property
    def parameters(self) -> Sequence[object]:
        """What the statements are given."""
        return likes(self.project), likes(self.model), *self[2:]


ALL = FailureFilter()


class Failure(Report):
    """One failure, with its cause."""

    project: str
    model: str  #: of a message, where in the queue it was
    state: str  #: parked, waiting, excepted, silent or message
    reason: str
    detail: str
    since: datetime  #: of excepted and silent slots: the begin of the first one
    revision: str
    first: datetime | None  #: begin of the time that it is about; None: all of it
    last: datetime | None  #: its end
    next_attempt: datetime | None
    attempts: int  #: of excepted slots: rechecks so far
    tags: Sequence[str]  #: that it is about, the first 100 of them
    dismissed_by: str = ""  #: empty: it is not
    dismissed_at: datetime | None = None
    note: str = ""  #: why it is dismissed


class FailureGroup(Report):
    """Failures that have a cause, a sensor or a project in common."""

    name: str  #: the reason, tag or project
    models: int
    failures: int  #: a model may have several
    since: datetime  #: of the oldest
    newest: datetime
    next_attempt: datetime | None
    reasons: Sequence[str]
    states: Sequence[str]
    projects: Sequence[str]
    example: str  #: detail of the newest
    latigo_does: str  #: about the first reason
    you_can_do: str


async def read_failures(
    database: Database,
    wanted: FailureFilter = ALL,
    *,
    order: FailureOrder = "name",
    most: int = MOST_FAILURES,
    skip: int = 0,
) -> Listing[Failure]:
    """Return failures, ``most`` of them (0: all) after the first ``skip``.

    Silent models are among them only where sensor, reason or state ask for them.
    """
    async with database.connection() as connection:
        return Listing.of(Failure, await connection.fetch(SQL["failures"], *wanted.parameters, order, most, skip), skip)


async def count_dismissed_failures(database: Database, wanted: FailureFilter = ALL) -> int:
    """Return how many failures are dismissed, of those that are wanted."""
    async with database.connection() as connection:
        return int((await connection.fetchrow(SQL["count_dismissed"], *wanted.parameters[:5]))["failures"])


async def read_failure_groups(
    database: Database,
    by: FailureGrouping,
    wanted: FailureFilter = ALL,
    *,
    most: int = MOST_FAILURES,
    skip: int = 0,
) -> Listing[FailureGroup]:
    """Return failures by what they have in common, silent models among them; parked ones first, then of most models."""
    async with database.connection() as connection:
        rows = await connection.fetch(SQL["failure_groups"], *wanted.parameters, by, most, skip)
    return Listing.of(FailureGroup, [_with_advice(row) for row in rows], skip)


def _with_advice(row: Any) -> dict[str, Any]:
    advice = advice_for(row["reasons"][0])
    return {**row, "latigo_does": advice.latigo, "you_can_do": advice.person}
