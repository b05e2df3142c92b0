"""Heartbeat of the event loop."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause


class Heartbeat:
    """Beats as long as the event loop runs.

    Args:
        clock: measures the beats.
        every: time between two beats.
        stuck_after: without a beat for so long, the loop counts as stuck.
        on_lag: called with the seconds by which each beat was late.
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
        """Time since the last beat."""
        return timedelta(seconds=self._clock.monotonic() - self._last)

    @property
    def stuck(self) -> bool:
        """Whether the loop has been blocked for too long."""
        return self.age > self._stuck_after

    async def run(self, stop: asyncio.Event) -> None:
        """Beat until ``stop``."""
        self._last = self._clock.monotonic()
        while not await pause(self._clock, self._every, stop):
            self._on_lag(max((self.age - self._every).total_seconds(), 0.0))
            self._last = self._clock.monotonic()
