"""Detects what the client library does not notice: an unreachable hub, a stuck partition, a hub created anew.

Pure; the session polls the hub and passes on what it observed.
"""

from collections.abc import Iterable
from datetime import timedelta
from enum import Enum, auto
from typing import NamedTuple

from latigo.task_queue.eventhub.partitions import Partition


class Verdict(Enum):
    """Decision about the consumer client."""

    FINE = auto()  #: nothing
    UNREACHABLE = auto()  #: the hub has not answered for long: close the client, which ends its storm of connections
    STUCK = auto()  #: it does not receive events that the hub has, or does not balance partitions: replace it
    RECREATED = auto()  #: it waits for events that will never come, until the checkpoints are reset


class Observation(NamedTuple):
    """One of our partitions.

    Args:
        partition: as the hub describes it, read after the other two were known.
        received: the newest event that we received, or its checkpoint if that is newer; -1 for none.
        is_blocked: our handler still holds an event, so that the client cannot receive another.
    """

    partition: Partition
    received: int
    is_blocked: bool


class Watchdog:
    """Judges one consumer client from outside.

    Args:
        unreachable_after: how long the hub may fail to answer.
        stuck_after: how long events may wait in the hub while nothing is received although nothing is blocked.
        unbalanced_after: how long the client may go without balancing partitions, counted from its start; what it asks
            the hub before that has no time limit of its own.
        now: the clock's monotonic time, in seconds.
    """

    def __init__(
        self, *, unreachable_after: timedelta, stuck_after: timedelta, unbalanced_after: timedelta, now: float
    ) -> None:
        self._unreachable_after = unreachable_after.total_seconds()
        self._stuck_after = stuck_after.total_seconds()
        self._unbalanced_after = unbalanced_after.total_seconds()
        self._answered_at = now
        self._behind: dict[str, tuple[int, float]] = {}  # partition: newest event received, since when

    def unanswered(self, now: float) -> Verdict:
        """Record that the hub did not answer."""
        return Verdict.UNREACHABLE if now - self._answered_at >= self._unreachable_after else Verdict.FINE

    def answered(self, observations: Iterable[Observation], balanced_at: float, now: float) -> Verdict:
        """Record an answer of the hub.

        Args:
            observations: all partitions that are ours.
            balanced_at: when the client last balanced partitions, or started.
            now: the clock's monotonic time, in seconds.
        """
        self._answered_at = now
        behind: dict[str, tuple[int, float]] = {}
        for partition, newest, is_blocked in observations:
            if partition.is_behind(newest):
                return Verdict.RECREATED
            if partition.passed(newest) < partition.last and not is_blocked:
                received, since = self._behind.get(partition.id, (newest, now))
                behind[partition.id] = (newest, since if received == newest else now)
        self._behind = behind
        is_unbalanced = now - balanced_at >= self._unbalanced_after
        return Verdict.STUCK if is_unbalanced or self.stuck(now) else Verdict.FINE

    def stuck(self, now: float) -> list[str]:
        """Return the partitions that have been behind for too long."""
        return [partition for partition, (_, since) in self._behind.items() if now - since >= self._stuck_after]
