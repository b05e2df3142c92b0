"""Outcomes of tasks and their slots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason
from latigo.domain.windows import Window

#: Codes of `SlotException.reason`: the readings allow rows that are not stored. Such a reason is a code, or begins with
#: one and a colon.
NO_FINITE_VALUES = "no_finite_values"  #: the model answered, and a row has no finite value
NOT_STORED = "not_stored"  #: a sink did not keep a row that it was given
UNSTORED = (NO_FINITE_VALUES, NOT_STORED)


class SlotState(StrEnum):
    """Outcome of one slot."""

    COVERED = "covered"  #: every row that the readings allow is stored
    SHORT = "short"  #: some rows are missing
    ABSENT = "absent"  #: no rows: no data, or the row filter leaves none
    PROVISIONAL = "provisional"  #: a row was filled past a tag's last reading, so later readings may change it


@dataclass(frozen=True, slots=True)
class SlotException:
    """Slots that ended alike, and why; never ``covered``."""

    state: SlotState
    slots: Coverage
    reason: str  #: names the first few tags, or what else is the cause
    tags: tuple[str, ...] = ()  #: those that the reason is about


class Outcome(StrEnum):
    """Outcome of a task, as the ledger, metrics and logs name it."""

    STORED = "stored"
    COPIED = "copied"
    COMPARED = "compared"
    DEFERRED = "deferred"
    RETRY = "retry"
    REJECTED = "rejected"
    CRASHED = "crashed"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class Stored:
    """Predictions are in every required sink, or there was nothing to predict.

    ``covered`` and ``exceptions`` together make up the window of the task.
    """

    outcome: ClassVar = Outcome.STORED
    covered: Coverage = field(default_factory=Coverage)
    exceptions: Sequence[SlotException] = ()
    rows: int = 0  #: rows that every required sink reported as written
    values: int = 0  #: values that the model answered for the window, finite or not
    not_finite: int = 0  #: of them, those that are not finite
    prediction_only: bool = False  #: the model turned out to answer on ``prediction`` only
    silent_since: datetime | None = None  #: from here to the end of the window there were no readings
    #: What covered slots were predicted from, by their start, for a later sweep; None: nothing is kept.
    fingerprints: Mapping[datetime, bytes] | None = None

    @classmethod
    def in_full(cls, window: Window, rows: int = 0) -> "Stored":
        """Return the usual end: the whole window is covered."""
        return cls(Coverage((window,)), rows=rows)


@dataclass(frozen=True, slots=True)
class Copied:
    """What could be had of the window is in the sink that it is copied to; coverage is as it was."""

    outcome: ClassVar = Outcome.COPIED
    held: Coverage = field(default_factory=Coverage)  #: slots of which the sink has rows now
    predicted: Coverage = field(default_factory=Coverage)  #: slots that no other sink had
    rows: int = 0  #: rows that the sink reported as written


@dataclass(frozen=True, slots=True)
class Compared:
    """The readings of a window were compared with those that it was predicted from; coverage is as it was."""

    outcome: ClassVar = Outcome.COMPARED
    moved: Coverage = field(default_factory=Coverage)  #: slots that have to be predicted again; never the whole window


@dataclass(frozen=True, slots=True)
class Deferred:
    """Something the task needs is unavailable, or its metadata is outdated; not an attempt."""

    outcome: ClassVar = Outcome.DEFERRED
    detail: str = ""
    downstream: str = ""  #: what it waits for
    retry_after: timedelta | None = None  #: as requested by the downstream
    stored_in: Sequence[str] = ()  #: sinks that have the result already
    stale_metadata: bool = False  #: the model has changed, or its revision is gone: read its metadata again
    may_arrive: bool = False  #: a write had no answer, and its sink may still execute it


@dataclass(frozen=True, slots=True)
class Retry:
    """The task failed for a reason of its own that may pass; an attempt."""

    outcome: ClassVar = Outcome.RETRY
    detail: str = ""
    retry_after: timedelta | None = None  #: as requested by the downstream
    stored_in: Sequence[str] = ()  #: sinks that have the result already
    may_arrive: bool = False  #: a write had no answer, and its sink may still execute it


@dataclass(frozen=True, slots=True)
class Rejected:
    """The task cannot work as it stands; parked."""

    outcome: ClassVar = Outcome.REJECTED
    reason: Reason
    detail: str = ""
    whole_model: bool = False  #: no window of the model can work, not only this one
    tags: tuple[str, ...] = ()  #: that it is about


@dataclass(frozen=True, slots=True)
class Crashed:
    """The task met a bug of ours; parked."""

    outcome: ClassVar = Outcome.CRASHED
    detail: str  #: ends with the traceback
    may_arrive: bool = False  #: a write had no answer, and its sink may still execute it


@dataclass(frozen=True, slots=True)
class Split:
    """The window is too much at once; planned again in smaller windows."""

    outcome: ClassVar = Outcome.SPLIT
    detail: str = ""


#: Outcome of a task, with everything that the ledger needs. ``detail`` is one sentence.
Settlement = Stored | Copied | Compared | Deferred | Retry | Rejected | Crashed | Split
