"""How live work and backfill share a limited number of starts."""

from dataclasses import dataclass


@dataclass
class LaneShare:
    """Live goes first, yet backfill gets at least ``backfill`` (a fraction) of the starts whenever some waits.

    The claim of backfill does not pile up while it has nothing to do: less than one start is owed.
    """

    backfill: float = 0.05
    _owed: float = 0.0

    def choose(self, *, live: bool, backfill: bool) -> bool | None:
        """Whether the next start is a live one; None when nothing waits in either lane."""
        if not live and not backfill:
            return None
        if not backfill:
            return True
        self._owed += self.backfill
        if not live or self._owed >= 1.0 - 1e-9:
            self._owed = max(self._owed - 1.0, 0.0)
            return False
        return True
