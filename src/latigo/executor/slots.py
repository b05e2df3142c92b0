"""How the slots of a window ended, once its predictions are there. Pure."""

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
    """Slot by slot how a window ended; together they make up the window."""

    covered: Coverage
    exceptions: tuple[SlotException, ...]
    silent_since: datetime | None  #: from here to the end of the window there are no readings


def classify(window: Window, slot: timedelta, dataset: Dataset, predicted: Times) -> Slots:
    """Compare the rows that the readings allow with those that were predicted, slot by slot.

    Args:
        window: whole slots.
        slot: the length of one.
        dataset: X and what became of the labels that are not in it.
        predicted: the labels that have a prediction, in order (ns).
    """
    covered: list[Window] = []
    found: dict[tuple[SlotState, str], list[Window]] = defaultdict(list)
    silent_since: datetime | None = None
    for each in window.slots(slot):
        outcome = _outcome(each, dataset, predicted)
        if outcome.state is SlotState.COVERED:
            covered.append(each)
        else:
            found[outcome.state, outcome.reason].append(each)
        if not outcome.silent:
            silent_since = None
        elif silent_since is None:
            silent_since = each.start
    exceptions = tuple(SlotException(state, Coverage.of(slots), reason) for (state, reason), slots in found.items())
    return Slots(Coverage.of(covered), exceptions, silent_since)


def _outcome(slot: Window, dataset: Dataset, predicted: Times) -> SlotOutcome:
    outcome = dataset.outcome(slot)
    first, end = np.searchsorted(predicted, (to_ns(slot.start), to_ns(slot.end)))
    if end - first < outcome.rows:
        return SlotOutcome(SlotState.SHORT if end > first else SlotState.ABSENT, TOO_FEW_ROWS)
    return outcome
