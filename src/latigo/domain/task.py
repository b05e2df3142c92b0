"""Tasks: one window of one model, with everything that an executor needs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.windows import Window

#: Tasks that are worth a thread: to read or to write as many takes several milliseconds.
MANY_TASKS: Final = 500


class Lane(StrEnum):
    """Why a window is predicted; fixed when it is planned."""

    LIVE = "live"  #: contains the newest due slot of the model
    BACKFILL = "backfill"  #: history, and gaps before the newest one
    REPAIR = "repair"  #: what a sink has lost, or an overtaken executor may have written over
    MANUAL = "manual"  #: requested: predict again

    @property
    def is_live(self) -> bool:
        """True for the lane that goes first; all others count as backfill in every limit."""
        return self is Lane.LIVE


@dataclass(frozen=True, slots=True)
class LedgerIdentity:
    """The identity of a ledger, whose ``incarnation`` rises when the ledger is restored from a backup."""

    id: UUID
    incarnation: int


@dataclass(frozen=True, slots=True)
class Task:
    """One window of one model.

    ``id`` identifies it in the ledger; it is settled in slots of ``slot_seconds``. ``trace`` is the W3C ``traceparent``
    of the planning round that created it. A ``probe`` may call a downstream whose circuit is open. ``ledger`` planned
    the task; None: its message is of a version that does not name the ledger. With ``copy_to``, the name of a sink's
    circuit, what other sinks have of the window is copied to that one, and only what none has is predicted.
    """

    id: int
    epoch: int
    model: ModelSpec
    window: Window
    slot_seconds: int
    lane: Lane
    trace: str = ""
    probe: bool = False
    ledger: LedgerIdentity | None = None
    copy_to: str = ""

    @property
    def ref(self) -> ModelRef:
        """The model to predict."""
        return self.model.ref
