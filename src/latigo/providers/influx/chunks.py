"""Division of a read into requests; pure.

The density of readings is not known before they are read. A request for too much costs the server its work and us the
memory, so a read is divided into chunks by the density that earlier ones had.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

#: Until readings were read, a sensor is estimated to have one a second.
_DENSEST: Final = 1e-9  #: readings of a sensor a nanosecond
_DECAY: Final = 0.9  #: weight of the estimate after a read that had fewer readings


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some sensors over ``start <= time < end`` (ns)."""

    names: tuple[str, ...]
    start: int
    end: int

    @property
    def length(self) -> int:
        """Length in ns."""
        return self.end - self.start

    def halves(self) -> "Sequence[Chunk]":
        """Return halves by sensors, or by time if there is one sensor; nothing if it cannot be divided."""
        if len(self.names) > 1:
            return self.divided(len(self.names) // 2)
        middle = self.start + self.length // 2
        if middle == self.start:
            return ()
        return replace(self, end=middle), replace(self, start=middle)

    def divided(self, first: int) -> "Sequence[Chunk]":
        """Return the first ``first`` sensors, and the others if there are any."""
        if first >= len(self.names):
            return (self,)
        return replace(self, names=self.names[:first]), replace(self, names=self.names[first:])


class Pace:
    """Size of requests, and the estimated density of readings.

    Args:
        readings: maximum in one request.
        statements: maximum in one request.
    """

    def __init__(self, readings: int, statements: int) -> None:
        self._readings = readings
        self.statements = statements
        self._density = _DENSEST

    @property
    def readings(self) -> int:
        """Number of readings in one request."""
        return self._readings

    def limit(self, rows: int) -> bool:
        """Record that the server returns at most ``rows`` complete rows. Return True if that is a new limit."""
        before = self._readings
        self._readings = max(1, min(rows, before))
        self.statements = min(self._readings, self.statements)
        return self._readings < before

    def take(self, chunk: Chunk) -> Sequence[Chunk]:
        """Return the chunk for the next request, then the rest, in order of time for each sensor."""
        each = chunk.length * self._density
        fitting = int(self._readings / each) if each * self.statements > self._readings else self.statements
        if fitting:
            return chunk.divided(fitting)
        one, *others = chunk.divided(1)
        first, *later = one.halves() or (one,)
        if first is one:
            return (one, *others)
        return (*self.take(first), *later, *others)

    def record(self, chunk: Chunk, rows: int) -> None:
        """Update the density by a chunk with so many readings: at once if it rises, slowly if it falls."""
        seen = rows / (len(chunk.names) * chunk.length)
        self._density = max(seen, self._density * _DECAY + seen * (1 - _DECAY))
