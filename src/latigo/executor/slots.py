"""The state of each slot of a window after its prediction. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from latigo.dataset.build import Dataset, SlotOutcome
from latigo.domain.coverage import Coverage
from latigo.domain.outcome import NO_FINITE_VALUES, NOT_STORED, SlotException, SlotState
from latigo.domain.series import Times
from latigo.domain.windows import Window, to_ns

TOO_FEW_ROWS = "too few rows before it for the model"


@dataclass(frozen=True, slots=True)
class Slots:
    """Outcomes of the slots of a window; coverage and exceptions together make up the window."""

    covered: Coverage
    exceptions: tuple[SlotException, ...]
    silent_since: datetime | None  #: start of the last slots, up to the end of the window, that have no readings


def classify(
    window: Window,
    slot: timedelta,
    dataset: Dataset,
    predicted: Times,
    *,
    finite: Times | None = None,
    stored: Times | None = None,
    withheld_by: Sequence[str] = (),
) -> Slots:
    """Compare the rows that the readings allow with the stored rows, slot by slot.

    Args:
        window: a whole number of slots.
        slot: length of a slot.
        dataset: X, and why labels are missing from it.
        predicted: labels with a prediction, ascending (ns).
        finite: those of them with a finite value; None: all.
        stored: those of the finite ones that count as stored; None: all.
        withheld_by: the sinks that left out some of the finite ones.
    """
    finite = predicted if finite is None else finite
    labels = _Labels(predicted, finite, finite if stored is None else stored, withheld_by)
    covered: list[Window] = []
    others: dict[tuple[SlotState, str, tuple[str, ...]], list[Window]] = defaultdict(list)
    silent_since: datetime | None = None
    for part in window.slots(slot):
        outcome = _outcome(part, dataset, labels)
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


class _Labels(NamedTuple):
    predicted: Times
    finite: Times
    stored: Times
    withheld_by: Sequence[str]


def _outcome(slot: Window, dataset: Dataset, labels: _Labels) -> SlotOutcome:
    outcome = dataset.outcome(slot)
    stored = _count(labels.stored, slot)
    if stored >= outcome.rows:
        return outcome
    finite, predicted = _count(labels.finite, slot), _count(labels.predicted, slot)
    if finite < predicted:
        reason = NO_FINITE_VALUES
    elif stored < finite:
        reason = f"{NOT_STORED}: {', '.join(labels.withheld_by)}"
    else:
        reason = TOO_FEW_ROWS
    return SlotOutcome(SlotState.SHORT if stored else SlotState.ABSENT, reason)


def _count(labels: Times, slot: Window) -> int:
    first, end = labels.searchsorted((to_ns(slot.start), to_ns(slot.end)))
    return int(end - first)
