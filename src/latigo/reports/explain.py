"""One moment of one model: whether there is a prediction, how it came about, or why there is none."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from latigo.domain.model import ModelRef
from latigo.domain.names import unknown_name
from latigo.domain.outcome import Outcome, SlotState
from latigo.postgres.database import Database
from latigo.postgres.statements import load_statements
from latigo.reports.advice import advice_for
from latigo.reports.base import Report
from latigo.reports.limits import BackfillPause
from latigo.reports.receipts import ReceiptReport, receipt_report

SQL = load_statements("latigo.reports", "explain.sql")
#: Receipts of one moment that are shown; there is one for each task that had it.
MOST_RECEIPTS = 20

MomentState = Literal[
    "covered",  # predictions are in every sink that was required when they were written: see sinks
    "parked",
    "short",
    "provisional",
    "absent",
    "in_task",
    "expired",
    "not_predicted",  # the model is not active: see model_state
    "not_due",
    "before_beginning",
    "missing",  # a gap that is planned in its turn, or that a request wants
]


class ExceptedSlot(Report):
    """A slot without all its rows."""

    state: Literal["short", "provisional", "absent"]
    reason: str
    tags: Sequence[str]
    rechecks: int  #: so far
    next_check: datetime | None  #: None: when the model's readings return, or never


class ParkedSlot(Report):
    """Why it is not tried any more."""

    revision: str
    reason: str
    detail: str
    since: datetime
    tags: Sequence[str]
    latigo_does: str
    you_can_do: str


class Dismissed(Report):
    """A failure of the model that is no alarm, as long as its model has this revision."""

    revision: str
    reason: str
    who: str
    at: datetime
    note: str


class OpenTask(Report):
    """A task of the model that is not settled."""

    task: int
    lane: str
    state: str  #: planned, published, claimed or waiting
    place: str  #: of a published task: the queue that it is in, and the partition where the queue has any
    start: datetime
    end: datetime
    attempts: int  #: that failed so far
    planned_at: datetime
    published_at: datetime | None
    claimed_at: datetime | None
    worker: str | None
    lease_until: datetime | None
    not_before: datetime | None  #: of a waiting task: its next attempt
    detail: str  #: why the last attempt failed
    probe: bool
    request: int | None
    paused_by: Sequence[str]  #: of a waiting task: all that is paused, so that it is not tried again
    has_it: bool  #: its window contains the moment


class PauseInForce(Report):
    """A pause of the model or its project."""

    of_model: bool
    who: str
    at: datetime
    reason: str


class OpenCircuit(Report):
    """A downstream that tasks of the model may wait for."""

    downstream: str
    reason: str
    opened_at: datetime


class WantedBy(Report):
    """A request for time that wants the moment."""

    request: int
    kind: str
    sink: str | None  #: that it is copied to
    state: str
    note: str
    who: str
    at: datetime
    is_full: bool = False  #: as many tasks of it are out as may be


class LackingSink(Report):
    """A required sink that does not have the moment, although it is stored."""

    sink: str  #: the name of its circuit
    lost: bool  #: it could not be had any more


class Gap(Report):
    """Where a gap stands among what is planned."""

    newer_slots: int  #: missing slots of the model that are planned before it
    live: bool  #: a window from it to the newest due slot is planned as live
    live_out: bool  #: the model has a live task out; it may have one
    other_out: bool  #: the same for all other lanes together


class Explanation(Report):
    """What the ledger knows about one moment of one model."""

    project: str
    model: str
    at: datetime
    now: datetime
    state: MomentState
    model_state: str  #: active, paused, disabled, unregistered, missing, retired or unusable
    missing_since: datetime | None = None  #: of a missing or retired model, where it is known
    revision: str
    slot_start: datetime
    slot_end: datetime
    due_at: datetime  #: end of the slot plus the model's delay
    since: datetime  #: the beginning of what is predicted
    first_seen: datetime
    covered: bool
    expired: bool
    history: timedelta  #: how long receipts are kept
    receipt: ReceiptReport | None  #: of the last window with the moment that was settled, however it ended
    earlier: Sequence[ReceiptReport]  #: those before it, the newest first
    receipts: int  #: all of them
    exception: ExceptedSlot | None
    parked: Sequence[ParkedSlot]
    tasks: Sequence[OpenTask]  #: of the model, at most 100; those with this moment first
    pauses: Sequence[PauseInForce]
    dismissed: Sequence[Dismissed] = ()  #: of what is the matter at this moment
    backfill_paused: BackfillPause | None = None
    unregistered_by: str  #: who took the model off the roster, if it was a person
    unregistered_at: datetime | None
    silent_since: datetime | None
    held_until: datetime | None
    held_for: str  #: the downstream that the model is held for; empty: none
    listing_error: str  #: why the models of the project cannot be listed; empty: they can
    quarantined_since: datetime | None  #: of the project's model list
    circuits: Sequence[OpenCircuit]
    requests: Sequence[WantedBy]
    sinks: Sequence[LackingSink] = ()
    repair_due_at: datetime | None  #: from when on it is repeated, because an older write may have replaced it
    gap: Gap | None  #: None: it is no gap that can be planned
    planner: bool  #: a scheduler plans
    executors: int
    drained_executors: int = 0  #: of them, those that start no tasks
    outstanding: int
    partial: bool = False  #: it is stored from when slots had another length, and its slot is not covered as a whole


async def read_explanation(database: Database, ref: ModelRef, at: datetime, history: timedelta) -> Explanation:
    """Return what the ledger knows about one moment of one model.

    Args:
        database: the ledger's.
        ref: the model.
        at: the moment; the slot that contains it is explained.
        history: how long the ledger keeps receipts.

    Raises:
        UnknownName: the ledger does not know the model.
    """
    async with database.snapshot() as connection:
        moment = await connection.fetchrow(SQL["moment"], *ref, at)
        if moment is None:
            raise unknown_name("model", str(ref), [])
        id_, project = moment["model_id"], ref.project
        exceptions = await connection.fetch(SQL["exceptions"], id_, at)
        parked = await connection.fetch(SQL["parked"], id_, at)
        tasks = await connection.fetch(SQL["tasks"], id_, at)
        receipts = await connection.fetch(SQL["receipts"], id_, at, MOST_RECEIPTS)
        pauses = await connection.fetch(SQL["pauses"], *ref)
        dismissals = await connection.fetch(SQL["dismissals"], id_)
        backfill = await connection.fetchrow(SQL["backfill_paused"])
        unregistered = await connection.fetchrow(SQL["unregistered"], *ref)
        listing = await connection.fetchrow(SQL["project"], project)
        circuits = await connection.fetch(SQL["circuits"], f"gordo/{project}")
        repair = await connection.fetchrow(SQL["repair"], id_, at)
        requests = await connection.fetch(SQL["requests"], id_, at)
        sinks = await connection.fetch(SQL["sinks"], id_, at)
        gap = await connection.fetchrow(SQL["gap"], id_, at)
        workers = await connection.fetchrow(SQL["workers"])
    settled = [receipt_report(row) for row in receipts]
    open_tasks = [OpenTask(**row) for row in tasks]
    return Explanation(
        project=project,
        model=ref.name,
        at=at,
        now=moment["now"],
        state=_state(
            moment, exceptions, parked, open_tasks, at, requested=any(row["kind"] != "copy" for row in requests)
        ),
        model_state=moment["known_state"],
        missing_since=moment["missing_since"] if moment["state"] == "gone" else None,
        revision=moment["revision"],
        slot_start=moment["start"],
        slot_end=moment["end"],
        due_at=moment["due_at"],
        since=moment["since"],
        first_seen=moment["first_seen"],
        covered=moment["covered"],
        partial=moment["partial"],
        expired=moment["expired"],
        history=history,
        receipt=settled[0] if settled else None,
        earlier=settled[1:],
        receipts=receipts[0]["total"] if receipts else 0,
        exception=ExceptedSlot(**exceptions[0]) if exceptions else None,
        parked=[_parked(row) for row in parked],
        tasks=open_tasks,
        pauses=[PauseInForce(**row) for row in pauses],
        dismissed=[Dismissed(**row) for row in dismissals if _concerns(row, moment, parked, exceptions, open_tasks)],
        backfill_paused=BackfillPause(**backfill) if backfill else None,
        unregistered_by=unregistered["who"] if unregistered else "",
        unregistered_at=unregistered["at"] if unregistered else None,
        silent_since=moment["silent_since"],
        held_until=moment["held_until"],
        held_for=moment["held_for"],
        listing_error=listing["error"] if listing else "",
        quarantined_since=listing["quarantined_since"] if listing else None,
        circuits=[OpenCircuit(**row) for row in circuits],
        requests=[WantedBy(**row) for row in requests],
        sinks=[LackingSink(**row) for row in sinks],
        repair_due_at=repair["due_at"],
        gap=Gap(newer_slots=gap["newer"], live=gap["live"], live_out=gap["live_out"], other_out=gap["back_out"])
        if gap and gap["is_gap"]
        else None,
        **dict(workers),
    )


def made_by(moment: Explanation) -> ReceiptReport | None:
    """Return the receipt of the last task that wrote predictions of a moment, as far as receipts are kept.

    A copy to a sink is none, unless nothing else is known: what it copied had been predicted before.
    """
    wrote = [each for each in (moment.receipt, *moment.earlier) if each and (each.rows or each.covered)]
    return next((each for each in wrote if each.outcome != Outcome.COPIED), next(iter(wrote), None))


def _concerns(
    dismissal: Any, moment: Any, parked: Sequence[Any], exceptions: Sequence[Any], tasks: Sequence[OpenTask]
) -> bool:
    """Return whether what is dismissed is the matter at this moment."""
    failing = {(row["revision"], row["reason"]) for row in parked}
    reasons = {row["reason"].partition(":")[0] for row in exceptions}
    if any(row["state"] == SlotState.ABSENT for row in exceptions) and moment["silent_since"] is not None:
        reasons.add("no_readings")
    if any(task.has_it and task.state == "waiting" for task in tasks):
        reasons.add("retry")
    return (dismissal["revision"], dismissal["reason"]) in failing | {(moment["revision"], each) for each in reasons}


def _parked(row: Any) -> ParkedSlot:
    advice = advice_for(row["reason"])
    return ParkedSlot(**row, latigo_does=advice.latigo, you_can_do=advice.person)


def _state(
    moment: Any,
    exceptions: Sequence[Any],
    parked: Sequence[Any],
    tasks: Sequence[OpenTask],
    at: datetime,
    *,
    requested: bool,
) -> MomentState:
    """Return the one thing that is to be said first about a moment; what else is true of it follows."""
    state: MomentState
    if moment["covered"]:
        state = "covered"
    elif parked:
        state = "parked"
    elif exceptions:
        state = exceptions[0]["state"]
    elif any(task.has_it for task in tasks):
        state = "in_task"
    elif moment["expired"] and not requested:
        state = "expired"
    elif moment["state"] != "active":
        state = "not_predicted"
    elif at < moment["since"] and not requested:  # whatever else is the matter, Latigo would not predict it by itself
        state = "before_beginning"
    elif moment["paused"]:
        state = "not_predicted"
    elif moment["due_at"] > moment["now"]:
        state = "not_due"
    else:
        state = "missing"
    return state
