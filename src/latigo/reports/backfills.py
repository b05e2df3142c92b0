"""Requests for stretches of time: what one would do, and how far they are."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from latigo.domain.errors import UnknownName
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.base import Listing, Report
from latigo.reports.choices import BackfillKind, BackfillState

SQL = load_statements("latigo.reports", "backfills.sql")
MOST_BACKFILLS = 100
MOST_MODELS = 1000


class LeftOut(Report):
    """Slots that were asked for and are not predicted, for one reason."""

    reason: str
    models: int
    slots: int


class BackfillPreview(Report):
    """What a request would do, in whole slots."""

    kind: BackfillKind
    start: datetime
    end: datetime
    models: int  #: of which something is wanted
    slots: int
    windows: int  #: contiguous stretches of time that can be predicted now
    calls: int  #: of the model server, that they cost
    seconds: float | None  #: that they take by what tasks took lately; None: nothing is known
    left_out: Sequence[LeftOut]
    digest: str  #: of the models and the time that were asked for
    sink: str | None = None  #: that it is copied to
    copied: int | None = None  #: of the slots, those that another sink has, as far as the ledger knows
    predicted: int | None = None  #: of the slots, those that no other sink has
    backfill_paused: bool = False  #: nothing of it is predicted before that is resumed


class Backfill(Report):
    """A request, and what is left of it."""

    id: int
    kind: BackfillKind
    state: BackfillState
    note: str  #: why it is in this state
    who: str
    at: datetime
    why: str
    start: datetime
    end: datetime
    selector: Mapping[str, Any]
    models: int  #: of which something was wanted
    slots: int  #: that were wanted
    models_left: int
    slots_left: int
    slots_parked: int  #: of those that are left: they failed, and are not tried again by themselves
    windows_failed: int  #: since it was last resumed
    tasks: int  #: that are out now
    at_most: int | None
    stop_after: int | None
    digest: str
    ended_at: datetime | None
    sink: str | None = None  #: that it copies to
    backfill_paused: bool = False  #: it is active, and waits because all of backfill is paused

    @property
    def share_done(self) -> float:
        """Return how much of it is done, from 0 to 1."""
        return 1 - self.slots_left / self.slots if self.slots else 1.0


class BackfillModel(Report):
    """What is left of a request for one model."""

    project: str
    model: str
    slots: int
    slots_left: int
    slots_parked: int
    parked_as: str | None  #: the reasons


async def read_backfills(
    database: Database, *, state: BackfillState | None = None, most: int = MOST_BACKFILLS, skip: int = 0
) -> Listing[Backfill]:
    """Return the newest requests, ``most`` of them (0: all) after the first ``skip``."""
    return Listing.of(Backfill, await database.fetch(SQL["backfills"], None, state, most, skip), skip)


async def read_backfill(database: Database, number: int) -> Backfill:
    """Return one request.

    Raises:
        UnknownName: there is none of this number.
    """
    for backfill in Listing.of(Backfill, await database.fetch(SQL["backfills"], number, None, 1, 0)):
        return backfill
    raise no_backfill(number)


async def read_backfill_models(
    database: Database, number: int, most: int = MOST_MODELS, skip: int = 0
) -> Listing[BackfillModel]:
    """Return the models of a request, those with most left first, ``most`` (0: all) after the first ``skip``."""
    return Listing.of(BackfillModel, await database.fetch(SQL["backfill_models"], number, most, skip), skip)


def no_backfill(number: int) -> UnknownName:
    """Return the error for a number that no request has."""
    return UnknownName(f"there is no request {number}; latigo backfills list shows all")
