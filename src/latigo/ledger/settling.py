"""Changes in the ledger when a task is settled. Pure; the stores write what is decided here."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason
from latigo.domain.outcome import (
    UNSTORED,
    Compared,
    Copied,
    Crashed,
    Deferred,
    Outcome,
    Rejected,
    Retry,
    Settlement,
    SlotException,
    SlotState,
    Split,
    Stored,
)
from latigo.domain.task import Lane
from latigo.domain.windows import Window
from latigo.runtime.retry import backoff

#: Time to the next recheck of an exception, after each check; after the last one it is final.
RECHECK_AFTER = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
EVER = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)  #: the driver writes it as ``infinity``

#: A deferred model is held for the first of these, doubling up to the second. The circuit does not open for one model
#: among many, and without a hold that model would be planned again at once.
FIRST_HOLD = timedelta(seconds=2)
LONGEST_HOLD = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class RetryRules:
    """Number of attempts of a failed task, and the waits between them."""

    max_attempts: int
    backoff_first: timedelta
    backoff_longest: timedelta


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claimed task and its model, as locked in the ledger."""

    id: int
    model_id: int
    window: Window
    lane: Lane
    attempts: int
    revision: str
    slot: timedelta
    silent_since: datetime | None
    deferrals: int
    now: datetime
    planned_at: datetime
    hold_until: datetime | None = None  #: of the model: nothing of it is planned until then
    unstored: bool = False  #: a slot of the window, or the one before it, lacks rows that its readings allow
    copies: bool = False  #: to a sink; the model itself waits for nothing that fails meanwhile


@dataclass(frozen=True, slots=True)
class Waiting:
    """Retry of the unchanged task."""

    not_before: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Parking:
    """End of all attempts until an operator retries the window."""

    reason: Reason
    detail: str
    window: Window | None  #: None: every window of the model
    and_before: bool = False  #: and with it whatever is missing before the window
    tags: tuple[str, ...] = ()  #: that the reason is about


@dataclass(frozen=True, slots=True)
class Verdict:
    """All changes when a task is settled, except the coverage itself."""

    outcome: Outcome
    waiting: Waiting | None = None  #: None: the task is finished
    parking: Parking | None = None
    silent_since: datetime | None = None  #: of the model, from now on
    silence: Window | None = None  #: silent slots but the newest: not retried before the data returns
    hold_until: datetime | None = None
    held_for: str = ""  #: the downstream that the hold is for, if there is one
    deferrals: int = 0
    fold: timedelta | None = None  #: longest window of the model from now on
    data_returned: bool = False  #: first success after silence
    rows_returned: bool = False  #: first rows in the sinks after slots whose rows were not stored
    prediction_only: bool = False  #: the model answers on ``prediction`` only
    stale_metadata: bool = False  #: the model's metadata has to be read again


def within(settlement: Settlement, window: Window, had: Coverage) -> Settlement:
    """Return a settlement that claims nothing outside of the window of its task.

    One that leaves a part of the window open is a bug of ours: planned again, it would end like this again at once.

    Args:
        settlement: as the executor reports it.
        window: of the task.
        had: what was covered before, of a window that is predicted again. It stays so where readings are gone since.
    """
    if not isinstance(settlement, Stored):
        return settlement
    whole = Coverage((window,))
    covered = settlement.covered & whole
    left, exceptions = whole - covered, []
    for exception in settlement.exceptions:
        left -= exception.slots
        if slots := (exception.slots & whole) - (had if _lacks_readings(exception) else Coverage()):
            exceptions.append(replace(exception, slots=slots))
    if left:
        return Crashed(f"the settlement of {window} says nothing about {', '.join(map(str, left))}")
    return replace(settlement, covered=covered, exceptions=tuple(exceptions))


def _lacks_readings(exception: SlotException) -> bool:
    return exception.state in (SlotState.SHORT, SlotState.ABSENT) and not _is_unstored(exception)


def decide(task: Claimed, settlement: Settlement, rules: RetryRules, random: Callable[[], float]) -> Verdict:
    """Return what a settlement changes, by the rules of the task life cycle."""
    match settlement:
        case Stored():
            return _stored(task, settlement)
        case Copied():
            return Verdict(Outcome.COPIED, silent_since=task.silent_since)
        case Compared():
            return Verdict(Outcome.COMPARED, silent_since=task.silent_since)
        case Deferred():
            return _deferred(task, settlement, random)
        case Retry():
            return _retry(task, settlement, rules, random)
        case Rejected(reason, detail, whole_model, tags):
            # A sensor that the source does not have now is missing from every window; the newest slots go on trying.
            before = reason is Reason.UNKNOWN_SENSOR and not whole_model
            window = None if whole_model else task.window
            return _parked(task, settlement.outcome, Parking(reason, detail, window, before, tags))
        case Crashed(detail):
            return _parked(task, settlement.outcome, Parking(Reason.CRASHED, detail, task.window))
        case Split():
            slots = max(task.window.length // task.slot // 2, 1)
            return Verdict(Outcome.SPLIT, silent_since=task.silent_since, fold=slots * task.slot)
        case _:
            assert_never(settlement)


def _stored(task: Claimed, settlement: Stored) -> Verdict:
    known, noticed = task.silent_since, settlement.silent_since
    newest = task.window.end - task.slot
    verdict = Verdict(
        Outcome.STORED,
        silent_since=known,
        prediction_only=settlement.prediction_only,
        rows_returned=task.lane.is_live and task.unstored and newest in settlement.covered,
    )
    if not task.lane.is_live or (known is not None and task.window.end < known):
        return verdict  # the window is too old to show that the model is silent now
    if noticed is not None:
        since = min(noticed, known or noticed)
        return replace(verdict, silent_since=since, silence=Window(since, newest) if since < newest else None)
    if known is None or task.window.end == known:
        return verdict
    return replace(verdict, silent_since=None, data_returned=True)


def _deferred(task: Claimed, settlement: Deferred, random: Callable[[], float]) -> Verdict:
    # What was out before the model was held, such as the rest of its run, has met the same outage and counts no more.
    same = task.hold_until is not None and task.planned_at < task.hold_until
    deferrals = max(task.deferrals, 1) if same else task.deferrals + 1
    pause = backoff(deferrals, FIRST_HOLD, LONGEST_HOLD, random)
    until = task.now + max(pause, settlement.retry_after or timedelta(0))
    verdict = Verdict(
        Outcome.DEFERRED,
        silent_since=task.silent_since,
        deferrals=deferrals,
        stale_metadata=settlement.stale_metadata,
    )
    if task.attempts or settlement.stored_in or task.copies:
        # It keeps its row, with its attempts and sinks; all others are planned anew, folded with slots that became due.
        return replace(verdict, waiting=Waiting(until, task.attempts))
    return replace(verdict, hold_until=max(until, task.hold_until or until), held_for=settlement.downstream)


def _retry(task: Claimed, settlement: Retry, rules: RetryRules, random: Callable[[], float]) -> Verdict:
    attempts = task.attempts + 1
    if attempts >= rules.max_attempts:
        detail = f"{attempts} attempts, the last one: {settlement.detail}"
        return _parked(task, Outcome.REJECTED, Parking(Reason.ATTEMPTS, detail, task.window))
    pause = backoff(attempts, rules.backoff_first, rules.backoff_longest, random)
    until = task.now + max(pause, settlement.retry_after or timedelta(0))
    return Verdict(Outcome.RETRY, waiting=Waiting(until, attempts), silent_since=task.silent_since)


def _parked(task: Claimed, outcome: Outcome, parking: Parking) -> Verdict:
    return Verdict(outcome, parking=parking, silent_since=task.silent_since)


@dataclass(frozen=True, slots=True)
class Exceptions:
    """Slots of one model that ended alike and are rechecked at the same time."""

    state: SlotState
    reason: str
    checks: int  #: rechecks so far
    recheck_at: datetime
    slots: Coverage
    tags: tuple[str, ...] = ()  #: that the reason is about


def revise(
    known: Sequence[Exceptions],
    window: Window | None,
    exceptions: Sequence[SlotException],
    now: datetime,
    *,
    reopen: bool = False,
    silence: Window | None = None,
    since: datetime = EVER,
) -> list[Exceptions]:
    """Return the exceptions of a model after ``window`` was settled with ``exceptions``.

    Args:
        known: the exceptions before.
        window: what was settled, if anything; exceptions in it are replaced, and a slot that is an exception again has
            been rechecked once more.
        exceptions: those of the settlement.
        now: time of the settlement.
        reopen: make all other exceptions due now, because the model's data has returned.
        silence: slots that are not rechecked before the data returns; so those that ended alike stay one row.
        since: where the model's time begins. What a request has tried before it is not planned by itself, and so is not
            rechecked.
    """
    settled = Coverage((window,)) if window else Coverage()
    revised: list[Exceptions] = []
    for row in known:
        left = row.slots - settled
        if left:
            revised.append(replace(row, recheck_at=now if reopen else row.recheck_at, slots=left))
    for new in exceptions:
        first_time = new.slots
        for row in known:
            again = new.slots & row.slots
            if again:
                first_time = first_time - again
                revised.append(_exception(new, row.checks + 1, again, now))
        if first_time:
            revised.append(_exception(new, 0, first_time, now))
    unchecked = Coverage.of([*([silence] if silence else []), *([Window(EVER, since)] if since > EVER else [])])
    if unchecked:
        revised = [part for row in revised for part in _without_recheck(row, unchecked)]
    merged: dict[tuple[SlotState, str, int, datetime], Exceptions] = {}
    for row in revised:
        key = (row.state, row.reason, row.checks, row.recheck_at)
        if alike := merged.get(key):
            tags = tuple(dict.fromkeys((*alike.tags, *row.tags)))
            merged[key] = replace(alike, slots=alike.slots | row.slots, tags=tags)
        else:
            merged[key] = row
    return list(merged.values())


def reopen_unstored(known: Sequence[Exceptions], until: datetime, now: datetime) -> list[Exceptions]:
    """Make the slots due that lead up to ``until`` without a gap and lack rows that their readings allow.

    What ended them has passed, so that they are rechecked together. A slot is reopened once, however often a model
    changes between good answers and bad ones.
    """
    lacking = Coverage.of(slot for row in known if _is_unstored(row) for slot in row.slots)
    reopened = Coverage(tuple(window for window in lacking if window.start < until <= window.end))
    rows: list[Exceptions] = []
    for row in known:
        due = row.slots & reopened if _is_unstored(row) else Coverage()
        rows += [replace(row, recheck_at=now, slots=due)] if due else []
        rows += [replace(row, slots=left)] if (left := row.slots - due) else []
    return rows


def _is_unstored(row: Exceptions | SlotException) -> bool:
    return row.reason.partition(":")[0] in UNSTORED


def _without_recheck(row: Exceptions, unchecked: Coverage) -> Iterator[Exceptions]:
    if final := row.slots & unchecked:
        yield replace(row, recheck_at=NEVER, slots=final)
    if others := row.slots - unchecked:
        yield replace(row, slots=others)


def _exception(ended: SlotException, checks: int, slots: Coverage, now: datetime) -> Exceptions:
    checks = min(checks, len(RECHECK_AFTER))
    recheck_at = now + RECHECK_AFTER[checks] if checks < len(RECHECK_AFTER) else NEVER
    return Exceptions(ended.state, ended.reason, checks, recheck_at, slots, ended.tags)
