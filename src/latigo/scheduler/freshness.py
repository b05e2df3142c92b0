"""What the scheduler keeps in the ledger for a status: counters of freshness, and sums over all slots."""

import math
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta

from latigo.domain.circuits import System
from latigo.domain.freshness import PERIOD
from latigo.ledger.freshness import Block, FreshnessLedger
from latigo.ledger.protocol import Term
from latigo.runtime.clock import Clock
from latigo.scheduler.groups import Groups
from latigo.telemetry.metrics import Metrics

#: Interval between two counts, and between two sums, which take at most `MOST_SHARE` of the time.
EVERY = timedelta(seconds=15)
MOST_SHARE = 0.02
#: Longest interval between two counts: the cause of a moment is that of the count after it.
COUNT_WITHIN = PERIOD / 5
#: Sums count as of now until the next ones should be there, and a little longer.
SUM_SLACK = timedelta(seconds=15)


class FreshnessCounter:
    """Counts while this scheduler plans, and sums up what a status shows."""

    def __init__(self, ledger: FreshnessLedger, within: timedelta | None, clock: Clock, metrics: Metrics) -> None:
        self._ledger = ledger
        self._within = within
        self._clock = clock
        self._metrics = metrics
        self._count_cost = self._sum_cost = 0.0  #: seconds
        self.forget()

    def forget(self) -> None:
        """Count and sum at once when this scheduler plans again."""
        self._next_count = self._next_sum = -math.inf

    @property
    def is_due(self) -> bool:
        """True if it is time to count."""
        return self._clock.monotonic() >= self._next_count

    async def count(self, term: Term, blocks: Collection[Block], *, plans: bool, full: bool) -> None:
        """Count until now; see `FreshnessLedger.count`."""
        began = self._clock.monotonic()
        self._next_count = began + min(_interval(self._count_cost), COUNT_WITHIN).total_seconds()
        try:
            added = await self._ledger.count(term, list(blocks), plans=plans, full=full, within=self._within)
        finally:
            self._count_cost = self._clock.monotonic() - began
        for (project, outcome), time in added.items():
            self._metrics.model_seconds.labels(project, outcome).inc(time.total_seconds())

    async def sum_slots(self, term: Term) -> None:
        """Sum over all slots, if it is time to."""
        began = self._clock.monotonic()
        if began < self._next_sum:
            return
        every = _interval(self._sum_cost)
        self._next_sum = began + every.total_seconds()
        try:
            await self._ledger.sum_slots(term, every + SUM_SLACK)
        finally:  # also of one that took too long
            self._sum_cost = self._clock.monotonic() - began


def _interval(cost: float) -> timedelta:
    """Return the interval between two runs of what takes so many seconds."""
    return max(EVERY, timedelta(seconds=cost / MOST_SHARE))


def blocks_of(groups: Groups, open_circuits: Iterable[str], downstreams: Callable[[str], Iterable[str]]) -> list[Block]:
    """Return which models open circuits keep from being planned, and the first system on their way that does. Pure.

    Args:
        groups: all of them.
        open_circuits: names of circuits.
        downstreams: what all models of a project need, besides their sources of readings.
    """
    opened = frozenset(open_circuits)
    if not opened:
        return []
    blocks = []
    for group in sorted(groups):
        needed = opened.intersection((*group.sources, *downstreams(group.project)))
        systems = {name.partition("/")[0] for name in needed}
        for system in (System.SENSORS, System.MODELS, System.SINK):
            if system in systems:
                blocks.append(Block(group.project, system, groups.models([group])))
                break
    return blocks
