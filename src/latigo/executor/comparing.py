"""What a slot was predicted from, against what it would be predicted from now. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from latigo.dataset.build import Buckets, Dataset
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

    def fingerprints(self, task: Task, buckets: Buckets) -> Mapping[datetime, bytes]:
        """Return the fingerprints of all slots of a task, by their start."""
        making, slots = making_of(task.model), task.window.slots(timedelta(seconds=task.slot_seconds))
        return {slot.start: fingerprint_of(task.model, making, buckets, slot) for slot in slots}

    def moved(
        self, task: Task, dataset: Dataset, recorded: Mapping[datetime, bytes], now: Mapping[datetime, bytes]
    ) -> Coverage:
        """Return the slots that have to be predicted again.

        Not those that would not be covered now: readings that are gone are no reason to replace a prediction. Nor those
        of which nothing is recorded.

        Args:
            task: that compares them.
            dataset: of its window.
            recorded: fingerprints of what its slots were predicted from.
            now: fingerprints of what they would be predicted from.
        """
        return Coverage.of(
            slot
            for slot in task.window.slots(timedelta(seconds=task.slot_seconds))
            if slot.start in recorded
            and dataset.outcome(slot).state is SlotState.COVERED
            and has_moved(recorded[slot.start], now[slot.start], self.tolerance)
        )
