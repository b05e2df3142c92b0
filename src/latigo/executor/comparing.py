"""What a slot was predicted from, against what it would be predicted from now. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from latigo.dataset.build import Dataset
from latigo.dataset.fingerprint import fingerprint_of, has_moved, making_of
from latigo.domain.coverage import Coverage
from latigo.domain.outcome import SlotState
from latigo.domain.task import Task
from latigo.domain.windows import Window


@dataclass(frozen=True, slots=True)
class Comparison:
    """For how long fingerprints of slots are kept, and when a slot has moved."""

    keep: timedelta | None = None  #: since the end of a slot; None: none are kept
    tolerance: float = 1e-6  #: see `latigo.dataset.fingerprint.has_moved`

    def keeps(self, window: Window, now: datetime) -> bool:
        """Return whether a sweep may read some of a window again."""
        return self.keep is not None and now - window.end < self.keep

    def fingerprints(self, task: Task, dataset: Dataset, covered: Coverage) -> Mapping[datetime, bytes]:
        """Return the fingerprints of covered slots, by their start."""
        making, length = making_of(task.model), timedelta(seconds=task.slot_seconds)
        slots = (slot for window in covered for slot in window.slots(length))
        return {slot.start: fingerprint_of(task.model, making, dataset, slot) for slot in slots}

    def moved(self, task: Task, dataset: Dataset, recorded: Mapping[datetime, bytes]) -> Coverage:
        """Return the slots that have to be predicted again.

        Not those that would not be covered now: readings that are gone are no reason to replace a prediction. Nor those
        of which nothing is recorded.
        """
        making, length = making_of(task.model), timedelta(seconds=task.slot_seconds)
        return Coverage.of(
            slot
            for slot in task.window.slots(length)
            if slot.start in recorded
            and dataset.outcome(slot).state is SlotState.COVERED
            and has_moved(recorded[slot.start], fingerprint_of(task.model, making, dataset, slot), self.tolerance)
        )
