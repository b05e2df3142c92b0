"""The state of each slot of a window after its prediction. Pure."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from latigo.dataset.build import Dataset, SlotOutcome
from latigo.domain.coverage import Coverage
from latigo.domain.outcome import SlotException, SlotState
from latigo.domain.series import Times
from latigo.domain.windows import Window, to_ns

TOO_FEW_ROWS = "too few rows before it for the model"


@dataclass(frozen=True, slots=True)
class Slots:
    """Outcomes of the slots of a window; coverage and exceptions together make up the window."""

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
    others: dict[tuple[SlotState, str, tuple[str, ...]], list[Window]] = defaultdict(list)
    silent_since: datetime | None = None
    for part in window.slots(slot):
        outcome = _outcome(part, dataset, predicted)
        if outcome.state is SlotState.COVERED:
            covered.append(part)
        else:
            others[outcome.state, outcome.reason, outcome.tags].append(part)
        if not outcome.silent:
            silent_since = None
        elif silent_since is None:
            silent_since = part.start
    exceptions = tuple(
        SlotException(state, Coverage.of(slots), reason, tags) for (state, reason, tags), slots in others.items()
    )
    return Slots(Coverage.of(covered), exceptions, silent_since)


def _outcome(slot: Window, dataset: Dataset, predicted: Times) -> SlotOutcome:
    outcome = dataset.outcome(slot)
    first, end = np.searchsorted(predicted, (to_ns(slot.start), to_ns(slot.end)))
    if end - first < outcome.rows:
        return SlotOutcome(SlotState.SHORT if end > first else SlotState.ABSENT, TOO_FEW_ROWS)
    return outcome
