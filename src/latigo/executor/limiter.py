"""How many calls a model server gets at once: as many as it can use, and a few more so that it is never idle."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from latigo.domain.errors import CircuitOpen, Unavailable
from latigo.runtime.clock import Clock

FIRST_LIMIT = 2.0
LOWEST_LIMIT = 1.0
#: Calls that may wait at the server, times the root of the limit. A server of unknown size is kept busy as long as one
#: waits there. More would be in each other's way: a Gordo worker runs all that it gets in threads, and with 8 of them
#: it answers less than with 2. The root, since what many workers leave waiting varies more.
FEWEST_QUEUED, MOST_QUEUED = 0.7, 1.1
#: Part of the limit that is kept when the server refuses or times out.
BACK_OFF = 0.7
#: Answers in a window, at least, and per call of the limit: models differ, and the mean of a few says little.
FEWEST_SAMPLES, SAMPLES_PER_CALL = 16, 2
#: Once in so many windows the limit is a third for one of them: a server that is always full never shows its best time.
LOOK_EVERY, LOOK_PART = 40, 1 / 3
#: Weight of the newest look, once there have been several.
NEWEST_LOOK = 0.25
#: A server answers less when it answers less than this part of what it did while it was looked at.
LESS = 0.97


class AdaptiveLimit:
    """The working limit of one model server, by the method of TCP Vegas.

    A server that is not full answers in its best time. What an answer takes longer than that, it has waited for, so
    ``limit * (1 - best / mean)`` calls are waiting. The limit grows while too few wait and shrinks when too many do,
    once in a window of answers. The best time is the mean over windows in which the limit is lowered to look, and not
    the lowest mean of all, which would be that of the fastest models and leave a large server idle. A server that
    answers less under the whole limit than under that of the look (one Gordo worker, whose threads are in each other's
    way) gets less until the next look. What an answer took to a call that began under another limit is not counted
    where the limit was lowered in between.
    """

    def __init__(self, ceiling: int, clock: Clock) -> None:
        self._clock = clock
        self._ceiling = float(ceiling)
        self._limit = min(FIRST_LIMIT, self._ceiling)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._samples: list[float] = []
        self._best: float | None = None
        self._was_full = False
        self._windows = LOOK_EVERY - 1  # the first look comes after the first window
        self._looks = False  # the limit is lowered for now
        self._looked = 0  # how often
        self._best_at = self.limit  # the limit under which the best time was taken
        self._grow_from = 0  # not before this window
        self._turn = 0  # rises whenever it is lowered or restored

    @property
    def limit(self) -> int:
        """Calls that may be under way now."""
        return max(int(self._limit * LOOK_PART), 1) if self._looks else int(self._limit)

    @property
    def _lowest(self) -> float:
        return min(LOWEST_LIMIT, self._ceiling)

    @property
    def in_flight(self) -> int:
        """Calls that are under way."""
        return self._in_flight

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """One call; waits for its turn first, in order."""
        await self._enter()
        started, turn = self._clock.monotonic(), self._turn
        try:
            yield
        except CircuitOpen:  # says nothing about how much the server can take
            raise
        except Unavailable:
            self._refused()
            raise
        else:
            if turn == self._turn:
                self._answered(self._clock.monotonic() - started)
        finally:
            self._in_flight -= 1
            self._admit()

    async def _enter(self) -> None:
        if not self._waiting and self._in_flight < self.limit:
            self._in_flight += 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # admitted and cancelled at the same moment
                    self._in_flight -= 1
                    self._admit()
                elif turn in self._waiting:  # `_admit` may have passed over it since it was cancelled
                    self._waiting.remove(turn)
                raise
        self._was_full |= self._in_flight >= self.limit

    def _admit(self) -> None:
        while self._waiting and self._in_flight < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)

    def _answered(self, seconds: float) -> None:
        self._samples.append(seconds)
        if len(self._samples) < max(self.limit * (1 if self._looks else SAMPLES_PER_CALL), FEWEST_SAMPLES):
            return
        mean = sum(self._samples) / len(self._samples)
        self._samples.clear()
        self._windows += 1
        if self._best is None:  # stands in until the first look
            self._best = mean
        if self._looks:
            self._looked, self._best_at = self._looked + 1, self.limit
            self._best += (mean - self._best) * max(1 / self._looked, NEWEST_LOOK)
        if self._looks or self._windows % LOOK_EVERY == 0:
            self._looks, self._turn, self._was_full = not self._looks, self._turn + 1, False
            return
        queued = self._limit * (1 - self._best / mean) if mean else 0.0
        if self._best_at < self.limit and self.limit * self._best < LESS * self._best_at * mean:
            self._limit = max(self._limit - 1, self._lowest)
            self._grow_from = self._windows + LOOK_EVERY
        elif queued < FEWEST_QUEUED * math.sqrt(self._limit) and self._was_full and self._windows >= self._grow_from:
            self._limit = min(self._limit + 1, self._ceiling)
        elif queued > MOST_QUEUED * math.sqrt(self._limit):
            self._limit = max(self._limit - 1, self._lowest)
        self._was_full = False

    def _refused(self) -> None:
        self._limit = max(self._limit * BACK_OFF, self._lowest)
        self._samples.clear()
