"""How far a partition has been worked off. Pure."""

from collections import deque
from typing import NamedTuple


class Position(NamedTuple):
    """An event's place in its partition: the number that is compared, the text by which the hub finds it again."""

    sequence: int
    offset: str


class Offsets:
    """Events of one partition, begun in order and finished in any order, for as long as the partition is ours.

    The watermark is the last event before which (itself included) nothing is unfinished: what may be checkpointed.
    Once the partition is lost there is none any more, since somebody else counts on.

    Args:
        most: begun events behind the watermark at which `is_full` asks to stop; after a crash as many are repeated.
    """

    def __init__(self, most: int) -> None:
        self.lost = False
        self._most = most
        self._highest = -1
        self._watermark: Position | None = None
        self._open: deque[Position] = deque()  # begun, from the first unfinished one on
        self._unfinished: set[int] = set()

    @property
    def highest(self) -> int:
        """The sequence number of the last event that was begun; -1 before the first."""
        return self._highest

    @property
    def watermark(self) -> Position | None:
        """The last event that may be checkpointed, if there is one."""
        return None if self.lost else self._watermark

    @property
    def unfinished(self) -> int:
        """How many events were begun and not finished."""
        return len(self._unfinished)

    @property
    def is_full(self) -> bool:
        """Whether so many events stand behind the watermark that no more should be begun."""
        return len(self._open) >= self._most

    def is_repeat(self, sequence: int) -> bool:
        """Whether this event, or a later one, was begun before: the hub repeats events after a reconnect."""
        return sequence <= self._highest

    def begin(self, position: Position) -> None:
        """Note that an event is being worked on.

        Raises:
            ValueError: it is a repeat.
        """
        if self.is_repeat(position.sequence):
            raise ValueError(f"event {position.sequence} comes after {self._highest}")
        self._highest = position.sequence
        self._open.append(position)
        self._unfinished.add(position.sequence)

    def finish(self, sequence: int) -> None:
        """Note that nothing more needs to be done for an event. Doing it twice changes nothing."""
        self._unfinished.discard(sequence)
        while self._open and self._open[0].sequence not in self._unfinished:
            self._watermark = self._open.popleft()
