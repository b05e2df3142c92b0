"""What people did, and what happened lately."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Listing, Report

SQL = load_statements("latigo.reports", "actions.sql")


class RecordedAction(Report):
    """What a person or Latigo did."""

    id: int
    at: datetime
    who: str  #: the name of a token, or ``user@host``
    kind: str
    reason: str
    selector: Mapping[str, Any]
    result: str
    state: str | None  #: of a request for time


class Happening(Report):
    """Something that happened, in words."""

    at: datetime
    kind: str  #: action, request, circuit, executor, list or revision
    text: str
    who: str
    project: str


async def read_actions(
    database: Database, who: str | None = None, kind: str | None = None, *, most: int = 100, skip: int = 0
) -> Listing[RecordedAction]:
    """Return what was done, the newest first, ``most`` of it (0: all) after the first ``skip``; None matches all."""
    return Listing.of(RecordedAction, await database.fetch(SQL["actions"], who, kind, most, skip), skip)


async def read_recent(database: Database, most: int = 20) -> Sequence[Happening]:
    """Return what happened lately, the newest first."""
    return [Happening(**row) for row in await database.fetch(SQL["recent"], most)]
