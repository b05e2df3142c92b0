"""A clock that stands still until it is moved."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

_SETTLE = 20  # turns of the event loop in which whatever was woken comes to rest or sleeps again


class ManualClock:
    """Nobody waits: ``advance`` wakes sleepers at their times, in their order."""

    def __init__(self, now: datetime = datetime(2024, 1, 1, tzinfo=UTC)) -> None:
        self._now = now
        self._passed = timedelta(0)
        self._order = count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._passed.total_seconds()

    async def sleep(self, duration: timedelta) -> None:
        await self.sleep_until(self._now + duration)

    async def sleep_until(self, time: datetime) -> None:
        if time <= self._now:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (time, next(self._order), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many are asleep."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    async def advance(self, duration: timedelta) -> None:
        """Let ``duration`` pass; every sleeper sees its own time, and may sleep again within it."""
        target = self._now + duration
        await _let_others_run()
        while self._sleepers and self._sleepers[0][0] <= target:
            time, _, woken = heapq.heappop(self._sleepers)
            self._move_to(max(time, self._now))
            if not woken.done():  # cancelled sleepers stay in the heap
                woken.set_result(None)
                await _let_others_run()
        self._move_to(max(target, self._now))

    def jump(self, duration: timedelta) -> None:
        """Let time pass without anybody noticing, as when something blocks the event loop."""
        self._move_to(self._now + duration)

    def _move_to(self, time: datetime) -> None:
        self._passed += time - self._now
        self._now = time


async def _let_others_run() -> None:
    """Return once all wait for something, which the loop of asyncio itself shows, or after so many turns."""
    # Private to asyncio, but a fifth of the turns is enough where it is there, and unit tests make thousands of them.
    ready = getattr(asyncio.get_running_loop(), "_ready", (None,))
    for _ in range(_SETTLE):
        await asyncio.sleep(0)
        if not ready:
            return
