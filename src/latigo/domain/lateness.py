"""How late readings arrive after the time that they are about. Pure, but for the account of one process."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

#: Upper bounds by which lateness is counted; what is later counts as the last one.
BOUNDS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        *(5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 420, 600, 720, 900, 1200, 1500, 1800, 2700, 3600),
        *(5400, 7200, 10800, 14400, 21600, 28800, 43200, 86400),
    )
)


class Observed(NamedTuple):
    """The readings of the newest slot of a model, as one source had them when they were read."""

    source: str
    late: timedelta  #: a delay at which the slot would have been complete; at least the one at which it was read
    complete: bool  #: every sensor that reports had reported until the end of the slot


class Kind(NamedTuple):
    """What is counted together."""

    source: str
    bound: timedelta  #: one of `BOUNDS`
    complete: bool


class LatenessCounts:
    """Newest slots that one process has read, by how late their readings were."""

    def __init__(self) -> None:
        self._slots: Counter[Kind] = Counter()

    def add(self, observed: Iterable[Observed]) -> None:
        """Count what was observed of one slot, an entry for each source."""
        for one in observed:
            self._slots[Kind(one.source, bound_of(one.late), one.complete)] += 1

    def take(self) -> Mapping[Kind, int]:
        """Return what was counted since it was taken last."""
        taken, self._slots = self._slots, Counter()
        return taken

    def put_back(self, counts: Mapping[Kind, int]) -> None:
        """Count again what was taken and could not be recorded."""
        self._slots.update(counts)


def bound_of(late: timedelta) -> timedelta:
    """Return the smallest bound that is not below, or the last one."""
    return BOUNDS[min(bisect_left(BOUNDS, late), len(BOUNDS) - 1)]


def delay_for(slots: Mapping[timedelta, int], share: float) -> timedelta | None:
    """Return the smallest bound at which at least ``share`` of the slots are complete; None without any slot."""
    total, so_far = sum(slots.values()), 0
    for bound in sorted(slots):
        so_far += slots[bound]
        if so_far >= share * total:
            return bound
    return None
