"""Adaptive limit on concurrent calls of a model server: as many as it can use, and a few more to keep it busy."""

import asyncio
import math
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from latigo.domain.circuits import System
from latigo.domain.errors import CircuitOpen, Unavailable
from latigo.domain.model import ModelRef
from latigo.executor.turns import Turn, Turns
from latigo.runtime.clock import Clock

#: That a Gordo worker keeps in memory by default.
MODELS_KEPT = 2
FIRST_LIMIT = 2.0
LOWEST_LIMIT = 1.0
#: Calls that may wait at the server, times the square root of the limit. One waiting call keeps a server of unknown
#: size busy. More would slow each other down: a Gordo worker runs every call in a thread, and answers fewer with 8
#: threads than with 2. The square root, because the number of waiting calls varies more with more workers.
FEWEST_QUEUED, MOST_QUEUED = 0.7, 1.1
#: Factor of the limit after a refusal or a time-out.
BACK_OFF = 0.7
#: Answers in a measurement: at least so many, and so many per call of the limit. Models differ, so the mean of a few is
#: not significant.
FEWEST_SAMPLES, SAMPLES_PER_CALL = 16, 2
#: In one of so many windows the limit is a third: a server that is always full never shows its best time.
PROBE_EVERY, PROBE_PART = 40, 1 / 3
#: Weight of the newest probe, once there have been several.
NEWEST_PROBE = 0.25
#: The throughput has fallen if it is less than this fraction of the throughput in the probe.
FALLEN = 0.97


class AdaptiveLimit:
    """The working limit of one model server, by the method of TCP Vegas.

    A server that is not full answers in its best time. The rest of a response time is waiting, so
    ``limit * (1 - best / mean)`` calls are waiting. The limit grows while too few wait and shrinks when too many do,
    once per window of answers. The best time is the mean over probes: windows in which the limit is lowered, as in the
    ProbeRTT phase of TCP BBR. The lowest mean of all would be that of the fastest models and leave a large server idle.
    A server whose throughput under the full limit is lower than in the probe (one Gordo worker, whose threads slow each
    other down) gets a lower limit until the next probe. A response time counts only if the limit was neither lowered
    nor restored during the call.
    """

    def __init__(self, ceiling: int, clock: Clock, kept: int = MODELS_KEPT) -> None:
        self._clock = clock
        self._ceiling = float(ceiling)
        self._limit = min(FIRST_LIMIT, self._ceiling)
        self._in_flight = 0
        self._turns = Turns(kept)
        self._samples: list[float] = []
        self._best: float | None = None
        self._was_full = False
        self._windows = PROBE_EVERY - 1  # the first probe comes after the first window
        self._probing = False  # the limit is lowered for now
        self._probes = 0
        self._best_at = self.limit  # the limit at which the best time was measured
        self._grow_from = 0  # the first window in which the limit may grow again
        self._phase = 0  # changes whenever the limit is lowered or restored

    @property
    def limit(self) -> int:
        """Number of calls that may be in progress now."""
        return max(int(self._limit * PROBE_PART), 1) if self._probing else int(self._limit)

    def set_ceiling(self, ceiling: int) -> None:
        """Change the most that the limit may grow to."""
        self._ceiling = float(ceiling)
        self._limit = min(self._limit, self._ceiling)
        self._admit()

    @property
    def _lowest(self) -> float:
        return min(LOWEST_LIMIT, self._ceiling)

    @property
    def in_flight(self) -> int:
        """Number of calls in progress."""
        return self._in_flight

    @asynccontextmanager
    async def call(self, model: ModelRef | None = None, *, live: bool = False) -> AsyncIterator[None]:
        """Run one call, of a model and for live work or not; wait for its turn first, see `Turns`."""
        await self._enter(model, live=live)
        started, phase = self._clock.monotonic(), self._phase
        try:
            yield
        except CircuitOpen:  # unrelated to the capacity of the server
            raise
        except Unavailable:
            self._refused()
            raise
        else:
            if phase == self._phase:
                self._answered(self._clock.monotonic() - started)
        finally:
            self._leave(model)

    async def _enter(self, model: ModelRef | None, *, live: bool) -> None:
        turn = Turn(model, asyncio.get_running_loop().create_future(), live)
        self._turns.add(turn)
        self._admit()
        if not turn.begins.done():
            try:
                await turn.begins
            except asyncio.CancelledError:
                if turn.begins.done() and not turn.begins.cancelled():  # admitted and cancelled at the same moment
                    self._leave(model)
                else:
                    self._turns.withdraw(turn)
                raise
        self._was_full |= self._in_flight >= self.limit

    def _leave(self, model: ModelRef | None) -> None:
        self._in_flight -= 1
        self._turns.ended(model)
        self._admit()

    def _admit(self) -> None:
        while self._in_flight < self.limit and (turn := self._turns.take()):
            self._in_flight += 1
            turn.begins.set_result(None)

    def _answered(self, seconds: float) -> None:
        self._samples.append(seconds)
        if len(self._samples) < max(self.limit * (1 if self._probing else SAMPLES_PER_CALL), FEWEST_SAMPLES):
            return
        mean = sum(self._samples) / len(self._samples)
        self._samples.clear()
        self._windows += 1
        if self._best is None:  # provisional, until the first probe
            self._best = mean
        if self._probing:
            self._probes, self._best_at = self._probes + 1, self.limit
            self._best += (mean - self._best) * max(1 / self._probes, NEWEST_PROBE)
        if self._probing or self._windows % PROBE_EVERY == 0:
            self._probing, self._phase, self._was_full = not self._probing, self._phase + 1, False
            return
        queued = self._limit * (1 - self._best / mean) if mean else 0.0
        if self._best_at < self.limit and self.limit * self._best < FALLEN * self._best_at * mean:
            self._limit = max(self._limit - 1, self._lowest)
            self._grow_from = self._windows + PROBE_EVERY
        elif queued < FEWEST_QUEUED * math.sqrt(self._limit) and self._was_full and self._windows >= self._grow_from:
            self._limit = min(self._limit + 1, self._ceiling)
        elif queued > MOST_QUEUED * math.sqrt(self._limit):
            self._limit = max(self._limit - 1, self._lowest)
        self._was_full = False

    def _refused(self) -> None:
        self._limit = max(self._limit * BACK_OFF, self._lowest)
        self._samples.clear()


class ProjectLimits(dict[str, AdaptiveLimit]):
    """The working limit of each project, or of each server where several share the models; created on first use.

    Where the workers of a server are known, its calls are no more than the models that they keep in memory, divided
    among the executors: a model has one call at a time, so no model displaces another that is at work.

    Args:
        ceiling: calls of this executor.
        clock: the machine's.
        kept: models that a worker keeps in memory.
        workers: of a server; 0: unknown.
    """

    def __init__(self, ceiling: int, clock: Clock, kept: int = MODELS_KEPT, workers: int = 0) -> None:
        super().__init__()
        self._kept = kept
        self._workers = workers
        self._executors = 1
        self._ceiling = ceiling
        self._clock = clock

    @property
    def ceiling(self) -> int:
        """The most calls of one server at once."""
        if not self._workers:
            return self._ceiling
        return min(self._ceiling, max(self._workers * self._kept // self._executors, 1))

    def __missing__(self, project: str) -> AdaptiveLimit:
        self[project] = limit = AdaptiveLimit(self.ceiling, self._clock, self._kept)
        return limit

    def forget(self, system: System, names: Collection[str]) -> None:
        """Forget the limits of a system that has none but these downstreams any more."""
        for name in [name for name in self if name.startswith(f"{system}/") and name not in names]:
            del self[name]

    def set_ceiling(self, ceiling: int, executors: int = 1) -> None:
        """Change the calls of this executor at once, and with how many executors in all it shares the servers."""
        self._ceiling, self._executors = ceiling, max(executors, 1)
        for limit in self.values():
            limit.set_ceiling(self.ceiling)
