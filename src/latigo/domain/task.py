"""Tasks: one window of one model, with everything an executor needs."""

from dataclasses import dataclass
from enum import StrEnum

from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.windows import Window


class Lane(StrEnum):
    """Why a window is predicted; fixed when it is planned."""

    LIVE = "live"  #: holds the model's newest due slot
    BACKFILL = "backfill"  #: history and catch-up
    REPAIR = "repair"  #: asked for: what a sink has lost
    MANUAL = "manual"  #: asked for: once more

    @property
    def is_live(self) -> bool:
        """Whether it goes first; all other lanes count as backfill in every limit."""
        return self is Lane.LIVE


@dataclass(frozen=True, slots=True)
class Task:
    """One window of one model.

    ``id`` names it in the ledger; ``slot`` is the length into which it is settled. ``trace`` carries the
    W3C ``traceparent`` of the planning that made it. ``probe`` marks the one task that may go to a downstream whose
    circuit is open.
    """

    id: int
    epoch: int
    model: ModelSpec
    window: Window
    slot_seconds: int
    lane: Lane
    trace: str = ""
    probe: bool = False

    @property
    def ref(self) -> ModelRef:
        """The model it is for."""
        return self.model.ref
