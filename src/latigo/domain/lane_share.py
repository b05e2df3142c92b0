"""Sharing of a limited number of starts between live work and the other lanes."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from latigo.domain.task import Lane


@dataclass
class LaneShare:
    """Live goes first, yet the other lanes together get at least ``min_share`` of the starts while one of them waits.

    They take turns among each other. Their share does not accumulate while they have nothing to do: less than one
    start is owed.
    """

    min_share: float
    _owed: float = 0.0
    _turns: deque[Lane] = field(default_factory=lambda: deque(lane for lane in Lane if not lane.is_live))

    def choose(self, waiting: Collection[Lane]) -> Lane | None:
        """Return the lane of the next start, out of those in which something waits; None if there is none."""
        other = next((lane for lane in self._turns if lane in waiting), None)
        if other is None:
            return Lane.LIVE if Lane.LIVE in waiting else None
        self._owed += self.min_share
        if Lane.LIVE in waiting and self._owed < 1.0 - 1e-9:
            return Lane.LIVE
        self._owed = max(self._owed - 1.0, 0.0)
        self._turns.remove(other)
        self._turns.append(other)
        return other

    def spend(self, starts: float) -> None:
        """Count what a lane other than live has started at once, besides the start that was chosen.

        Live work that waits makes up for it; where none waits, the others go on.
        """
        self._owed -= starts
