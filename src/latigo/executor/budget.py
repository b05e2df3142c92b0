"""A bound on the memory that readings take, shared by all tasks of a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

#: What a tag is believed to take before any was read: one reading a second, a time and a value of 8 bytes each.
DENSEST = 16.0
#: No single read may take more than this part of the budget; a window that does is split.
SHARES = 4


class ByteBudget:
    """Bytes that tasks hold while they read and resample. Waiting is first come, first served.

    Nobody knows how dense readings are before they are read, so each read reserves what the densest source so far would
    need, and gives back what it did not use.
    """

    def __init__(self, limit: int) -> None:
        self.share = limit // SHARES
        self._limit = self._free = limit
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._density = DENSEST

    @property
    def held(self) -> int:
        """Bytes that tasks hold now."""
        return self._limit - self._free

    def estimate(self, tags: int, length: timedelta) -> int:
        """Bytes that a read will probably take; at most a share."""
        return min(int(tags * length.total_seconds() * self._density) + 1, self.share)

    def learn(self, nbytes: int, tags: int, length: timedelta) -> None:
        """Remember how dense readings really are: up at once, down slowly."""
        seen = nbytes / max(tags * length.total_seconds(), 1.0)
        self._density = max(seen, self._density * 0.9 + seen * 0.1)

    @asynccontextmanager
    async def reserve(self, nbytes: int) -> AsyncIterator["Reservation"]:
        """Wait until so many bytes are free, and hold them."""
        async with self._turn:
            while self._free < nbytes:
                self._changed.clear()
                await self._changed.wait()
            self._free -= nbytes
        reservation = Reservation(self, nbytes)
        try:
            yield reservation
        finally:
            self._give_back(reservation.nbytes)

    def _give_back(self, nbytes: int) -> None:
        self._free += nbytes
        self._changed.set()


class Reservation:
    """Bytes that one task holds."""

    def __init__(self, budget: ByteBudget, nbytes: int) -> None:
        self._budget = budget
        self.nbytes = nbytes

    def used(self, nbytes: int) -> None:
        """It turned out to be so many; the rest is free for others.

        More than was reserved is taken as a fact: the readings are in memory already.
        """
        self._budget._give_back(self.nbytes - nbytes)  # noqa: SLF001 - the two are one thing
        self.nbytes = nbytes
