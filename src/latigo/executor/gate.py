"""The order in which deliveries start: bounded waiting, bounded concurrency, fair among lanes and projects."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from latigo.domain.lane_share import LaneShare
from latigo.domain.model import ModelRef
from latigo.domain.task import Lane, Task
from latigo.runtime.in_progress import InProgress
from latigo.task_queue.protocol import Delivery

#: Deliveries that wait per concurrent start: so many live ones, and as many of all other lanes. More would only
#: withhold work from other replicas.
ROOM = 4


class Gate:
    """Starts deliveries: at most ``concurrency`` at once, live ones first, without starving the other lanes.

    No project has more than half of the starts while others wait. A model runs once at a time, but for two windows of
    its past: the second one is read while the first is predicted. A delivery that needs exclusive execution waits until
    nothing else runs, and nothing is started until it has ended.

    Args:
        concurrency: deliveries at once.
        share: of the lanes.
        tasks: where to count deliveries from when they are offered until they have ended; a new count by default.
    """

    def __init__(self, concurrency: int, share: LaneShare, tasks: InProgress | None = None) -> None:
        self._concurrency = concurrency
        self._share = share
        self._tasks = tasks or InProgress()
        self._lanes: dict[Lane, deque[Delivery]] = {lane: deque() for lane in Lane}
        self._waiting: Counter[str] = Counter()  #: deliveries that have not been started, by project
        self._running: Counter[str] = Counter()
        self._models: dict[ModelRef, list[Lane]] = {}  #: lanes of the deliveries that run, by model
        self._overdue: set[Delivery] = set()  #: that have waited since the last call of `withdraw_overdue` or longer
        self._active = 0
        self._exclusive = asyncio.Lock()
        self._changed = asyncio.Condition()

    @property
    def concurrency(self) -> int:
        """Number of deliveries that may run at once."""
        return self._concurrency

    async def limit(self, concurrency: int, min_share: float) -> None:
        """Change the limits from now on; with a concurrency of 0, nothing is started, and what runs goes on."""
        async with self._changed:
            self._concurrency, self._share.min_share = concurrency, min_share
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """Number of deliveries that have not been started."""
        return sum(map(len, self._lanes.values()))

    @property
    def running(self) -> int:
        """Number of deliveries that were started and have not ended."""
        return self._running.total()

    async def offer(self, delivery: Delivery) -> None:
        """Add a delivery; wait while too many are waiting. One whose wait is cancelled is added all the same."""
        self._tasks.begin()
        is_added, is_live = False, delivery.task.lane.is_live
        try:
            async with self._changed:
                try:
                    await self._changed.wait_for(lambda: self._has_room(live=is_live))
                finally:
                    self._lanes[delivery.task.lane].append(delivery)
                    self._waiting[delivery.task.ref.project] += 1
                    is_added = True
                    self._changed.notify_all()
        except BaseException:
            if not is_added:
                self._tasks.end()
            raise

    def waiting_of(self, *, live: bool) -> int:
        """Return the number of deliveries that have not been started: live ones, or those of all other lanes."""
        return sum(len(queue) for lane, queue in self._lanes.items() if lane.is_live is live)

    def _has_room(self, *, live: bool) -> bool:
        return self.waiting_of(live=live) < ROOM * max(self._concurrency, 1)

    async def withdraw(self) -> Sequence[Delivery]:
        """Remove and return all deliveries that have not been started."""
        async with self._changed:
            return self._remove([delivery for queue in self._lanes.values() for delivery in queue])

    async def withdraw_overdue(self) -> Sequence[Delivery]:
        """Remove and return the deliveries that were waiting at the last call already."""
        async with self._changed:
            waiting = [delivery for queue in self._lanes.values() for delivery in queue]
            overdue = self._remove([delivery for delivery in waiting if delivery in self._overdue])
            self._overdue = set(waiting).difference(overdue)
            return overdue

    def _remove(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        for delivery in deliveries:
            self._dequeue(delivery)
            self._tasks.end()
        self._changed.notify_all()
        return deliveries

    def _dequeue(self, delivery: Delivery) -> None:
        project = delivery.task.ref.project
        self._lanes[delivery.task.lane].remove(delivery)
        self._waiting[project] -= 1
        if not self._waiting[project]:
            del self._waiting[project]

    async def next(self) -> Delivery:
        """Return the next delivery to start, as soon as one may."""
        async with self._changed:
            while True:
                if delivery := self._choose():
                    self._running[delivery.task.ref.project] += 1
                    self._models.setdefault(delivery.task.ref, []).append(delivery.task.lane)
                    self._active += 1
                    self._changed.notify_all()
                    return delivery
                await self._changed.wait()

    async def ended(self, delivery: Delivery) -> None:
        """Record that a started delivery has ended, for whatever reason."""
        async with self._changed:
            project = delivery.task.ref.project
            self._running[project] -= 1
            if not self._running[project]:
                del self._running[project]
            lanes = self._models[delivery.task.ref]
            lanes.remove(delivery.task.lane)
            if not lanes:
                del self._models[delivery.task.ref]
            self._active -= 1
            self._changed.notify_all()
        self._tasks.end()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Wait until a started delivery is the only one that is active, and keep it so."""
        await self._pause()
        try:
            async with self._exclusive:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._active == 0)
                    self._active += 1
                try:
                    yield
                finally:
                    async with self._changed:
                        self._active -= 1
        finally:
            async with self._changed:
                self._active += 1  # `ended` subtracts it again
                self._changed.notify_all()

    async def _pause(self) -> None:
        async with self._changed:
            self._active -= 1
            self._changed.notify_all()

    def _may_join(self, task: Task) -> bool:
        """Return whether a task may run at the same time as those of its model that run already."""
        lanes = self._models.get(task.ref)
        if lanes is None:
            return True
        both_fill = lanes == [task.lane] and task.lane in {Lane.BACKFILL, Lane.MANUAL}
        return both_fill and all(delivery.task.ref != task.ref for delivery in self._lanes[Lane.LIVE])

    def _choose(self) -> Delivery | None:
        if self.running >= self._concurrency or self._exclusive.locked():
            return None
        full = {project for project in self._waiting if self._running[project] >= max(self._concurrency // 2, 1)}
        barred = full if len(self._waiting) > 1 else set()
        ready: dict[Lane, Delivery] = {}
        for lane, queue in self._lanes.items():
            for delivery in queue:
                if delivery.task.ref.project not in barred and self._may_join(delivery.task):
                    ready[lane] = delivery
                    break
        chosen = self._share.choose(ready)
        if chosen is None:
            return None
        self._dequeue(ready[chosen])
        return ready[chosen]
