"""How much is asked for at once; pure.

Nobody knows how dense readings are before they are read. A request that asks for too much costs the server its work and
us the memory, so a read is cut into pieces by what earlier ones have shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

#: Before any was read, each sensor is believed to have a reading a second.
_DENSEST: Final = 1e-9  #: readings of a sensor a nanosecond
_FORGETS: Final = 0.9  #: what is left of a belief after a read that has shown less


@dataclass(frozen=True, slots=True)
class Piece:
    """Some sensors over ``start <= time < end`` (ns)."""

    names: tuple[str, ...]
    start: int
    end: int

    @property
    def length(self) -> int:
        """In ns."""
        return self.end - self.start

    def halves(self) -> "Sequence[Piece]":
        """Half of the sensors each, or half of the time if there is one; nothing if it cannot be halved."""
        if len(self.names) > 1:
            return self.divided(len(self.names) // 2)
        middle = self.start + self.length // 2
        if middle == self.start:
            return ()
        return replace(self, end=middle), replace(self, start=middle)

    def divided(self, first: int) -> "Sequence[Piece]":
        """The first so many sensors, and the others if there are any."""
        if first >= len(self.names):
            return (self,)
        return replace(self, names=self.names[:first]), replace(self, names=self.names[first:])


class Pace:
    """How many readings one request asks for, and how dense they are believed to be.

    Args:
        readings: most of them in one request.
        statements: most of them in one request.
    """

    def __init__(self, readings: int, statements: int) -> None:
        self._readings = readings
        self.statements = statements
        self._density = _DENSEST

    @property
    def readings(self) -> int:
        """How many readings one request asks for."""
        return self._readings

    def limit(self, rows: int) -> bool:
        """The server gives no more rows than these, whole; whether that is news."""
        before = self._readings
        self._readings = max(1, min(rows, before))
        self.statements = min(self._readings, self.statements)
        return self._readings < before

    def take(self, piece: Piece) -> Sequence[Piece]:
        """What to ask for now, and what is left for later, in order of time for each sensor."""
        each = piece.length * self._density
        fitting = int(self._readings / each) if each * self.statements > self._readings else self.statements
        if fitting:
            return piece.divided(fitting)
        one, *others = piece.divided(1)
        first, *later = one.halves() or (one,)
        if first is one:
            return (one, *others)
        return (*self.take(first), *later, *others)

    def saw(self, piece: Piece, rows: int) -> None:
        """A piece turned out to hold so many readings: believed at once if they are more, slowly if less."""
        seen = rows / (len(piece.names) * piece.length)
        self._density = max(seen, self._density * _FORGETS + seen * (1 - _FORGETS))
