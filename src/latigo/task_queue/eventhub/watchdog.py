"""What the client library does not notice by itself: the hub is away, a partition is stuck, the hub is another one.

Pure; the receiver asks the hub from time to time and tells what it saw.
"""

from collections.abc import Iterable
from datetime import timedelta
from enum import Enum, auto
from typing import NamedTuple

from latigo.task_queue.eventhub.partitions import Partition


class Verdict(Enum):
    """What to do with the consumer client."""

    FINE = auto()  #: leave it alone
    AWAY = auto()  #: the hub has not answered for long: close it, which ends its storm of connections
    STUCK = auto()  #: the hub has events that it does not receive, or it shares no partitions out: make a new one
    RECREATED = auto()  #: it waits for events that will never come, until the checkpoints are reset


class Sighting(NamedTuple):
    """One of our partitions.

    Args:
        partition: as the hub tells, after the other two were known.
        received: the newest event that we received, or its checkpoint if that is newer; -1 for none.
        is_held: an event is in the hands of our handler, so that nothing more can be received.
    """

    partition: Partition
    received: int
    is_held: bool


class Watchdog:
    """Judges one consumer client by what is seen from outside.

    Args:
        away_after: the hub may fail to answer for so long.
        stuck_after: events may wait in the hub for so long while nothing is received and nothing hinders it.
        unbalanced_after: the client may leave ownership alone for so long, from its beginning on; what it asks the hub
            before that has no time limit of its own.
        now: the clock's monotonic time, in seconds.
    """

    def __init__(
        self, *, away_after: timedelta, stuck_after: timedelta, unbalanced_after: timedelta, now: float
    ) -> None:
        self._away_after = away_after.total_seconds()
        self._stuck_after = stuck_after.total_seconds()
        self._unbalanced_after = unbalanced_after.total_seconds()
        self._answered_at = now
        self._behind: dict[str, tuple[int, float]] = {}  # partition: what was received then, since when

    def failed(self, now: float) -> Verdict:
        """The hub did not answer."""
        return Verdict.AWAY if now - self._answered_at >= self._away_after else Verdict.FINE

    def saw(self, sightings: Iterable[Sighting], balanced_at: float, now: float) -> Verdict:
        """The hub answered, for all partitions that are ours; when the client looked at who owns what, or began."""
        self._answered_at = now
        behind: dict[str, tuple[int, float]] = {}
        for seen in sightings:
            name = seen.partition.id
            if seen.partition.is_behind(seen.received):
                return Verdict.RECREATED
            if seen.partition.passed(seen.received) < seen.partition.last and not seen.is_held:
                received, since = self._behind.get(name, (seen.received, now))
                behind[name] = (seen.received, since if received == seen.received else now)
        self._behind = behind
        is_unbalanced = now - balanced_at >= self._unbalanced_after
        return Verdict.STUCK if is_unbalanced or self.stuck(now) else Verdict.FINE

    def stuck(self, now: float) -> list[str]:
        """The partitions that have been behind for too long."""
        return [partition for partition, (_, since) in self._behind.items() if now - since >= self._stuck_after]
