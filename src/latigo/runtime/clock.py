"""The only module that reads time; ruff (TID251) and a test hold it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_LONGEST_SLEEP = timedelta(seconds=30)


class Clock(Protocol):
    """Source of time. Loops read it and pass times on; the functions that they call take times as arguments."""

    def now(self) -> datetime:
        """Return the time of day, in UTC; may be set back."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment; never goes back. For durations."""

    async def sleep(self, duration: timedelta) -> None:
        """Return after ``duration``; yield to other tasks once where it is zero or less."""

    async def sleep_until(self, time: datetime) -> None:
        """Return once ``now()`` has reached ``time``."""


class SystemClock:
    """Clock of this machine."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since an arbitrary moment; never goes back."""
        return time.monotonic()

    async def sleep(self, duration: timedelta) -> None:
        """Return after ``duration``."""
        await asyncio.sleep(max(duration.total_seconds(), 0.0))

    async def sleep_until(self, time: datetime) -> None:
        """Return once ``now()`` has reached ``time``.

        Sleeps in steps: a machine whose clock is set forward, or that was suspended, does not oversleep by hours.
        """
        while (left := time - self.now()) > timedelta(0):
            await self.sleep(min(left, _LONGEST_SLEEP))
        await asyncio.sleep(0)
