"""The state of each slot of a window after its prediction. Pure."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from latigo.dataset.build import Dataset, Emptiness
from latigo.domain.coverage import Coverage
from latigo.domain.errors import describe_tags
from latigo.domain.outcome import SlotException, SlotState
from latigo.domain.series import Times
from latigo.domain.windows import Window, to_ns

FILTERED = "the row filter leaves no rows"
TOO_FEW_ROWS = "too few rows before it for the model"


@dataclass(frozen=True, slots=True)
class Slots:
    """How the slots of a window ended; coverage and exceptions together make up the window."""

    covered: Coverage
    exceptions: tuple[SlotException, ...]
    silent_since: datetime | None  #: start of the last slots, up to the end of the window, that have no readings


def classify(window: Window, slot: timedelta, dataset: Dataset, predicted: Times) -> Slots:
    """Compare the rows that the readings allow with the predicted rows, slot by slot.

    Args:
        window: a whole number of slots.
        slot: length of a slot.
        dataset: X, and why labels are missing from it.
        predicted: labels with a prediction, ascending (ns).
    """
    covered: list[Window] = []
    others: dict[tuple[SlotState, str], list[Window]] = defaultdict(list)
    silent_since: datetime | None = None
    for part in window.slots(slot):
        state, reason, silent = _classify_slot(part, dataset, predicted)
        if state is SlotState.COVERED:
            covered.append(part)
        else:
            others[state, reason].append(part)
        if not silent:
            silent_since = None
        elif silent_since is None:
            silent_since = part.start
    exceptions = tuple(SlotException(state, Coverage.of(slots), reason) for (state, reason), slots in others.items())
    return Slots(Coverage.of(covered), exceptions, silent_since)


def _classify_slot(slot: Window, dataset: Dataset, predicted: Times) -> tuple[SlotState, str, bool]:
    allowed, done = _count(dataset.x.times, slot), _count(predicted, slot)
    lacking = dataset.missing.tags_in(slot)
    if not done:
        if dataset.emptiness is Emptiness.NO_READINGS:
            return SlotState.ABSENT, dataset.empty_because, True
        if allowed:
            return SlotState.ABSENT, TOO_FEW_ROWS, False
        if _count(dataset.filtered, slot):
            return SlotState.ABSENT, FILTERED, False
        return SlotState.ABSENT, f"no data: {describe_tags(lacking)}", True
    if done < allowed:
        return SlotState.SHORT, TOO_FEW_ROWS, False
    if lacking:
        return SlotState.SHORT, f"no data in a part of it: {describe_tags(lacking)}", False
    if _provisional(slot, dataset):
        tags = describe_tags(dataset.carried_in(slot))
        return SlotState.PROVISIONAL, f"carried on past the last reading: {tags}", False
    return SlotState.COVERED, "", False


def _count(times: Times, slot: Window) -> int:
    low, high = np.searchsorted(times, (to_ns(slot.start), to_ns(slot.end)))
    return int(high - low)


def _provisional(slot: Window, dataset: Dataset) -> bool:
    """Return whether later readings may change a row of the slot, or restore one that the filter dropped."""
    bounds = (to_ns(slot.start), to_ns(slot.end))
    kept, dropped = np.searchsorted(dataset.x.times, bounds), np.searchsorted(dataset.filtered, bounds)
    return bool(
        dataset.provisional[kept[0] : kept[1]].any() or dataset.filtered_provisional[dropped[0] : dropped[1]].any()
    )
