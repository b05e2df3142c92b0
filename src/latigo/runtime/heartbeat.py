"""Heartbeat of the event loop."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause


class Heartbeat:
    """Heartbeat of the event loop: late while the loop is blocked.

    Args:
        clock: measures the heartbeats.
        every: time between two heartbeats.
        stuck_after: without a heartbeat for so long, the loop counts as stuck.
        on_lag: called with the seconds by which each heartbeat was late.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        every: timedelta = timedelta(seconds=1),
        stuck_after: timedelta = timedelta(seconds=30),
        on_lag: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._every = every
        self._stuck_after = stuck_after
        self._on_lag = on_lag
        self._last = clock.monotonic()

    @property
    def age(self) -> timedelta:
        """Time since the last heartbeat."""
        return timedelta(seconds=self._clock.monotonic() - self._last)

    @property
    def stuck(self) -> bool:
        """True if the loop has been blocked for too long."""
        return self.age > self._stuck_after

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until ``stop``."""
        self._last = self._clock.monotonic()
        while not await pause(self._clock, self._every, stop):
            self._on_lag(max((self.age - self._every).total_seconds(), 0.0))
            self._last = self._clock.monotonic()
