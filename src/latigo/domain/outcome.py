"""How tasks and their slots end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from latigo.domain.coverage import Coverage
from latigo.domain.errors import Reason
from latigo.domain.windows import Window


class Outcome(StrEnum):
    """How a task ends."""

    STORED = "stored"  #: predictions are in every required sink, or there was nothing to predict
    DEFERRED = "deferred"  #: a downstream is away; not an attempt
    RETRY = "retry"  #: failed for a reason of its own that may pass
    REJECTED = "rejected"  #: cannot work as it stands; parked
    CRASHED = "crashed"  #: a bug of ours; parked
    SPLIT = "split"  #: too much at once; planned again in smaller windows


class SlotState(StrEnum):
    """How one slot ends."""

    COVERED = "covered"  #: every row that the readings allow is stored
    SHORT = "short"  #: some rows are missing
    ABSENT = "absent"  #: no rows: no data, or the row filter leaves none
    PROVISIONAL = "provisional"  #: a row was filled past a tag's last reading, so later readings may change it


@dataclass(frozen=True, slots=True)
class SlotException:
    """Slots that ended alike, and why; never ``covered``."""

    state: SlotState
    slots: Coverage
    reason: str  #: names the tags


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a task ended, slot by slot: everything that the ledger has to know.

    ``covered`` and ``exceptions`` together make up the window of a task that was ``stored``; both are empty for
    the other outcomes.
    """

    outcome: Outcome
    covered: Coverage = field(default_factory=Coverage)
    exceptions: Sequence[SlotException] = ()
    rows: int = 0  #: rows written to each sink
    detail: str = ""  #: what happened, in a sentence; holds the traceback of a crash
    reason: Reason | None = None  #: why it is parked
    whole_model: bool = False  #: park every window of the model, not this one alone
    retry_after: timedelta | None = None
    downstream: str = ""  #: what it waits for, when deferred
    stored_in: Sequence[str] = ()  #: sinks that have the result although the task as a whole has not ended well
    plain: bool = False  #: the model turned out to answer on ``prediction`` only
    stale_metadata: bool = False  #: the model has changed behind our back: read its metadata again
    silent_since: datetime | None = None  #: from here to the end of the window there were no readings

    @classmethod
    def covers(cls, window: Window, rows: int = 0) -> "Settlement":
        """The usual end: all of it."""
        return cls(Outcome.STORED, Coverage((window,)), rows=rows)
