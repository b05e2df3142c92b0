"""The only module that reads time; ruff (TID251) and a test hold it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_LOOK_AGAIN = timedelta(seconds=30)


class Clock(Protocol):
    """Time as it passes. Loops ask it and hand the answer on; what they call takes times as arguments."""

    def now(self) -> datetime:
        """The time of day, in UTC; may be set back."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back. For durations."""

    async def sleep(self, duration: timedelta) -> None:
        """Return after ``duration``; let others run once where it is zero or less."""

    async def sleep_until(self, time: datetime) -> None:
        """Return once ``now()`` has reached ``time``."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    async def sleep(self, duration: timedelta) -> None:
        """Return after ``duration``."""
        await asyncio.sleep(max(duration.total_seconds(), 0.0))

    async def sleep_until(self, time: datetime) -> None:
        """Return once ``now()`` has reached ``time``.

        Sleeps in pieces: a machine whose clock is set forward, or that was suspended, does not oversleep by hours.
        """
        while (left := time - self.now()) > timedelta(0):
            await self.sleep(min(left, _LOOK_AGAIN))
        await asyncio.sleep(0)
