"""A limit on the memory of readings, shared by all tasks of a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

#: Initial estimate, in bytes per tag and second: one reading a second, a time and a value of 8 bytes each.
INITIAL_DENSITY = 16.0
#: One read may take at most this fraction of the budget (1 / SHARES); a window that needs more is split.
SHARES = 4


class ByteBudget:
    """Bytes that tasks may hold while they read and resample. Waiting is first come, first served.

    The density of readings is unknown before they are read, so each read reserves what the densest source so far would
    need, and releases what it did not use.
    """

    def __init__(self, limit: int) -> None:
        self.share = limit // SHARES
        self._limit = self._free = limit
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._density = INITIAL_DENSITY

    @property
    def held(self) -> int:
        """Bytes that are reserved now."""
        return self._limit - self._free

    def estimate(self, tags: int, length: timedelta) -> int:
        """Return the bytes that a read will probably take; at most a share."""
        return min(int(tags * length.total_seconds() * self._density) + 1, self.share)

    def learn(self, nbytes: int, tags: int, length: timedelta) -> None:
        """Adjust the estimate to an observed read: up at once, down slowly."""
        observed = nbytes / max(tags * length.total_seconds(), 1.0)
        self._density = max(observed, self._density * 0.9 + observed * 0.1)

    @asynccontextmanager
    async def reserve(self, nbytes: int) -> AsyncIterator["Reservation"]:
        """Wait until ``nbytes`` are free, and hold them."""
        async with self._turn:
            while self._free < nbytes:
                self._changed.clear()
                await self._changed.wait()
            self._free -= nbytes
        reservation = Reservation(self, nbytes)
        try:
            yield reservation
        finally:
            self._release(reservation.nbytes)

    def _release(self, nbytes: int) -> None:
        self._free += nbytes
        self._changed.set()


class Reservation:
    """Bytes held by one task."""

    def __init__(self, budget: ByteBudget, nbytes: int) -> None:
        self._budget = budget
        self.nbytes = nbytes

    def shrink(self, nbytes: int) -> None:
        """Shrink the reservation to ``nbytes``; the rest is free for other tasks.

        It grows where the readings took more than was reserved, because they are in memory already.
        """
        self._budget._release(self.nbytes - nbytes)  # noqa: SLF001 - the two classes are one mechanism
        self.nbytes = nbytes
