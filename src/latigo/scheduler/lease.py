"""The planner's lease, as the process that holds it sees it."""

import asyncio
import math
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from latigo.ledger.protocol import LeaseLost, Term
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause

_T = TypeVar("_T")


class Lease:
    """The right of this process to plan; by its own clock it ends no later than by the ledger's."""

    def __init__(self, clock: Clock) -> None:
        self.term: Term | None = None
        self._clock = clock
        self._ends: float | None = None
        self._lost = asyncio.Event()

    def hold(self, term: Term, ends: float) -> None:
        """Record that the lease was acquired or renewed.

        Args:
            term: as the ledger returned it.
            ends: when the lease ends, by the monotonic clock.
        """
        self.term, self._ends = term, ends
        self._lost.clear()

    def lose(self) -> None:
        """Record that the lease was lost, and stop what runs under `guard`."""
        self.term = None
        self._lost.set()

    async def guard(self, work: Awaitable[_T]) -> _T:
        """Run what the ledger does not check for as long as the lease lasts.

        Nothing is checked before the first `hold`: then the caller is responsible for the term.

        Raises:
            LeaseLost: the lease was lost or has run out; an unknown part of the work was done.
        """
        if self._ends is None:
            return await work
        try:
            async with asyncio.timeout(None) as limit:
                ending = asyncio.create_task(self._expire(limit, self.term))
                try:
                    # In this task, so that nothing else runs between the end of the work and what follows it.
                    return await work
                finally:
                    ending.cancel()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise LeaseLost("the lease ended while tasks were being published") from error

    async def _expire(self, limit: asyncio.Timeout, term: Term | None) -> None:
        while term is not None and term == self.term and (left := self._left()) > timedelta(0):
            await pause(self._clock, left, self._lost)
        limit.reschedule(-math.inf)  # now

    def _left(self) -> timedelta:
        return timedelta(seconds=(self._ends or 0.0) - self._clock.monotonic())
