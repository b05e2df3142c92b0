"""Progress within a partition. Pure."""

from collections import deque
from typing import NamedTuple


class Position(NamedTuple):
    """Position of an event in its partition: the number to compare, and the text by which the hub finds it."""

    sequence: int
    offset: str


class Offsets:
    """Events of one partition, begun in order and finished in any order, for as long as the partition is ours.

    The watermark is the last event up to which all are finished: it may be checkpointed. A lost partition has none,
    since another process continues from its own.

    Args:
        max_behind: events begun behind the watermark at which `is_full` is true; after a crash as many are repeated.
    """

    def __init__(self, max_behind: int) -> None:
        self.lost = False
        self._max_behind = max_behind
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
        """Number of events begun and not finished."""
        return len(self._unfinished)

    @property
    def is_full(self) -> bool:
        """True if no further event should be begun before the watermark moves."""
        return len(self._open) >= self._max_behind

    def is_repeat(self, sequence: int) -> bool:
        """Return whether this event or a later one was begun before: the hub repeats events after a reconnect."""
        return sequence <= self._highest

    def begin(self, position: Position) -> None:
        """Record that an event is in progress.

        Raises:
            ValueError: the event is a repeat.
        """
        if self.is_repeat(position.sequence):
            raise ValueError(f"event {position.sequence} comes after {self._highest}")
        self._highest = position.sequence
        self._open.append(position)
        self._unfinished.add(position.sequence)

    def finish(self, sequence: int) -> None:
        """Record that an event is finished. A second call changes nothing."""
        self._unfinished.discard(sequence)
        while self._open and self._open[0].sequence not in self._unfinished:
            self._watermark = self._open.popleft()
