"""Which times the parts of a file have: a few ranges for each, so that a wild time fills no gap; pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from latigo.domain.series import Times

MIN_TIME, MAX_TIME = -(2**63), 2**63 - 1  #: bounds of a range with unknown times
_MOST_RANGES = 8  #: of one part
_WIDE = 64  #: times the usual step from time to time: where ranges are divided


class Range(NamedTuple):
    """First and last time of some rows (ns, both inclusive)."""

    first: int
    last: int
    rows: int


def unknown(rows: int) -> tuple[Range, ...]:
    """Return the ranges of rows that may have any time."""
    return (Range(MIN_TIME, MAX_TIME, rows),)


def ranges_of(first: Times, last: Times) -> tuple[Range, ...]:
    """Return the ranges of the times of a part, in time order.

    The one with most rows is kept apart from all others, which have the largest gaps between them.

    Args:
        first: time of each row, the earlier one where there are two that it may have.
        last: the later one.
    """
    if not len(first):
        return ()
    is_one_time = first is last
    if (first[1:] < first[:-1]).any():
        order = np.argsort(first, kind="stable")
        first, last = first[order], last[order]
    unsigned = first.view(np.uint64)  # a step may be longer than the greatest time
    steps = unsigned[1:] - unsigned[:-1]
    bounds = [0, *_cuts(steps), len(first)]
    return tuple(
        Range(int(first[low]), int(first[high - 1] if is_one_time else last[low:high].max()), high - low)
        for low, high in pairwise(bounds)
    )


def _cuts(steps: npt.NDArray[np.uint64]) -> list[int]:
    """Return the rows, in time order, at which ranges begin, apart from the first one."""
    widest = int(steps.max(initial=0))
    usual = widest // _WIDE
    if not widest or 2 * int(np.count_nonzero(steps > usual)) >= len(steps):
        return []  # most steps are not much smaller than the widest one
    rising = steps[steps > 0]
    usual = int(np.median(rising))
    if widest // _WIDE <= usual:
        return []
    cuts = np.flatnonzero(steps // _WIDE > usual) + 1
    if len(cuts) < _MOST_RANGES:
        every: list[int] = cuts.tolist()
        return every
    bounds = np.concatenate([[0], cuts, [len(steps) + 1]])
    main = int(np.argmax(np.diff(bounds)))
    widths = steps[cuts - 1].copy()
    widths[max(main - 1, 0) : main + 1] = np.iinfo(np.uint64).max
    kept: list[int] = np.sort(cuts[np.argsort(widths)[1 - _MOST_RANGES :]]).tolist()
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """The ranges of all parts of a file, in the order of the parts; arrays of shape (ranges,)."""

    firsts: Times = field(default_factory=lambda: np.empty(0, np.int64))
    lasts: Times = field(default_factory=lambda: np.empty(0, np.int64))
    counts: Times = field(default_factory=lambda: np.empty(0, np.int64))  #: of rows
    owners: Times = field(default_factory=lambda: np.empty(0, np.int64))  #: numbers of the parts

    @classmethod
    def of(cls, parts: Iterable[Sequence[Range]]) -> "Ranges":
        flat = [(*each, number) for number, part in enumerate(parts) for each in part]
        return cls(*np.array(flat, np.int64).reshape(-1, 4).T)

    @property
    def are_known(self) -> bool:
        """Return whether any time is known."""
        return bool(((self.firsts > MIN_TIME) | (self.lasts < MAX_TIME)).any())

    def within(self, start: int, end: int) -> dict[int, tuple[int, int]]:
        """Return the parts that may have rows with ``start <= t < end``, with the bounds of their ranges there."""
        found: dict[int, tuple[int, int]] = {}
        for number in np.flatnonzero((self.lasts >= start) & (self.firsts < end)).tolist():
            owner, first, last = int(self.owners[number]), int(self.firsts[number]), int(self.lasts[number])
            before = found.get(owner, (first, last))
            found[owner] = min(before[0], first), max(before[1], last)
        return found
