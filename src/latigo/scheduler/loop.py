"""The scheduler process: hold the lease, synchronise models, plan and publish tasks."""

import asyncio
import math
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from latigo.domain.errors import LatigoError, Unavailable
from latigo.domain.lane_share import LaneShare
from latigo.domain.limits import LARGEST_OUTSTANDING, most_outstanding
from latigo.domain.sinks import RequiredSink
from latigo.domain.task import MANY_TASKS, Lane
from latigo.ledger.protocol import DOWNSTREAM, MANY_NEEDS, LeaseLost, Planned, SchedulerLedger, Term
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import off_loop
from latigo.scheduler.freshness import FreshnessCounter, blocks_of
from latigo.scheduler.groups import Group, Groups, Sources
from latigo.scheduler.lease import Lease
from latigo.scheduler.model_sync import ModelSync
from latigo.scheduler.plan import Agenda, Blockade, LastRuns, begins_run, blockade_of, in_runs
from latigo.task_queue import envelope
from latigo.task_queue.protocol import TaskSender
from latigo.telemetry.metrics import Metrics

T = TypeVar("T")

_log = get_logger(__name__)

TICK = timedelta(seconds=1)
#: An agenda that is not empty is read again after this, so that slots which become due need not wait for its end.
REREAD = timedelta(seconds=10)
#: Reading the needs takes at most this fraction of the time.
READING_SHARE = 0.1
#: Interval between searches for lost tasks, and for requests that are done.
RECOVER = timedelta(seconds=5)
#: Interval between comparisons of the clocks, expiry of old slots and maintenance of the ledger.
UPKEEP = timedelta(minutes=1)
#: Models are listed again after this when one has changed or a list is incomplete; if that does not help, after twice
#: as long each time, up to the configured interval.
RELIST = timedelta(seconds=10)
#: All lanes but live take at most this fraction of the outstanding tasks, so that there is always room for live work.
BACKGROUND_PART = 0.5
#: Tasks that are published and marked at once; all of them are in memory, and are freed in one go.
PUBLISHED_AT_ONCE = LARGEST_OUTSTANDING
#: Windows of a model's past that are predicted one after the other, while the model server has the model in memory.
LONGEST_RUN = 8


@dataclass(frozen=True, slots=True)
class SchedulerRules:
    """Intervals and limits of the scheduler."""

    holder: str
    version: str
    lease: timedelta
    renew: timedelta
    max_clock_difference: timedelta
    refresh: timedelta  #: interval between reads of the model lists
    max_catch_up: timedelta
    max_outstanding: int  #: 0: measured
    min_share: float
    history: timedelta
    sweep: Sequence[timedelta]  #: ages at which slots are compared with their readings; empty: they are not
    isolated_starts: int = 3  #: a task that is not settled after so many isolated starts is parked


def envelope_version(readable: int | None) -> int:
    """Return the newest version that every executor reads; the newest of all while there is no executor."""
    return envelope.HIGHEST if readable is None else min(max(readable, envelope.LOWEST), envelope.HIGHEST)


def new_trace() -> str:
    """Return a W3C ``traceparent`` for the tasks of one round of planning; executors continue it."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


class Scheduler:
    """One scheduler process: plans while it holds the lease, is standby otherwise."""

    def __init__(
        self,
        *,
        rules: SchedulerRules,
        ledger: SchedulerLedger,
        sync: ModelSync,
        sender: TaskSender,
        sinks: Sequence[RequiredSink] = (),
        downstreams: Callable[[str], Iterable[str]],
        sources: Sources,
        freshness: FreshnessCounter,
        projects: Callable[[], Awaitable[Iterable[str]]],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._rules = rules
        self._ledger = ledger
        self._sync = sync
        self._sender = sender
        self._sinks = sinks
        self._downstreams = downstreams
        self._sources = sources
        self._freshness = freshness
        self._projects = projects
        self._clock = clock
        self._metrics = metrics
        self._share = LaneShare(rules.min_share)
        self._lease = Lease(clock)
        self._clocks_agree = True
        self._agenda = Agenda()
        self._next_listing = 0.0
        self._relist = RELIST
        self._stale_seen = False
        self._read_at, self._read_cost = -math.inf, 0.0
        self._next_recover = 0.0
        self._next_upkeep = 0.0
        self._full = False
        self._run = 1.0  #: windows in a run, on average
        self._last_runs = LastRuns()

    @property
    def plans(self) -> bool:
        """True while this scheduler holds the lease and may use it."""
        return self._lease.term is not None and self._clocks_agree

    async def run(self, stop: asyncio.Event) -> None:
        """Plan or be standby until ``stop``; then release the lease, so that another scheduler takes over at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._hold_lease, self._rules.renew, stop), name="lease")
            group.create_task(self._repeat(self._plan_if_leading, TICK, stop), name="planner")
            group.create_task(self._repeat(self._list_if_leading, TICK, stop), name="models")
        if self._lease.term is not None:
            try:
                await self._ledger.release_lease(self._lease.term)
            except LatigoError as error:
                _log.warning("lease.not_released", error=str(error))

    async def _repeat(self, work: Callable[[], Awaitable[None]], every: timedelta, stop: asyncio.Event) -> None:
        """Repeat ``work``. Unavailable systems are waited for; a bug ends the role and with it the process."""
        while not stop.is_set():
            try:
                await work()
            except LeaseLost as error:
                self._lose(str(error))
            except Unavailable as error:
                log = _log.error if error.alarm else _log.warning
                log("scheduler.delayed", error=str(error))
                if error.alarm and error.downstream == DOWNSTREAM:
                    # What an operator repairs may not be what it was: a database that was created anew, for example.
                    self._lose("the ledger needs an operator")
            except LatigoError as error:
                _log.warning("scheduler.delayed", error=str(error))
            await pause(self._clock, every, stop)

    async def _hold_lease(self) -> None:
        requested = self._clock.monotonic()
        try:
            term = await self._ledger.acquire_lease(self._rules.holder, self._rules.lease)
        except LatigoError:
            # Unknown whether the lease is still held; every planning transaction checks it in the ledger anyway.
            self._lose("the ledger is unavailable")
            raise
        if term is None:
            self._lose("another scheduler holds the lease")
            return
        if self._lease.term != term:
            _log.info("planner.elected", holder=term.holder, term=term.number)
            await self._ledger.forgive_crashes(self._rules.version)
            for sink in await self._ledger.require_sinks(term, self._sinks) if self._sinks else ():
                _log.warning("sink.joined", downstream=sink)
            self._read_at, self._next_upkeep, self._next_listing, self._relist = -math.inf, 0.0, 0.0, RELIST
            self._freshness.forget()
        self._lease.hold(term, requested + self._rules.lease.total_seconds())

    def _lose(self, reason: str) -> None:
        if self._lease.term is not None:
            _log.warning("lease.lost", reason=reason)
        self._lease.lose()

    async def _list_if_leading(self) -> None:
        if self._lease.term is None or self._clock.monotonic() < self._next_listing:
            return
        refresh = self._rules.refresh
        wait = min(self._relist, refresh)
        self._relist = min(self._relist * 2, refresh)
        try:
            if await self._sync.run_once(lambda: self._lease.term is not None):
                wait, self._relist, self._stale_seen = refresh, RELIST, False
        finally:
            self._next_listing = self._clock.monotonic() + wait.total_seconds()

    async def _plan_if_leading(self) -> None:
        term = self._lease.term
        if term is None:
            await self._on_agenda(Agenda.clear)  # another scheduler plans
            return
        await self._maintain(term)
        if self._clocks_agree:
            with self._metrics.planning():
                await self.plan_once(term)

    async def _maintain(self, term: Term) -> None:
        now = self._clock.monotonic()
        if now >= self._next_upkeep:
            self._next_upkeep = now + UPKEEP.total_seconds()
            await self._compare_clocks()
            await self._ledger.maintain(history=self._rules.history)
            for ref, slots in (await self._ledger.expire(term, self._rules.max_catch_up)).items():
                self._metrics.slots.labels(ref.project, Lane.BACKFILL.value, "expired").inc(slots)
                _log.warning("slots.expired", model=str(ref), count=slots)
            if self._rules.sweep:
                await self._ledger.begin_sweep(term, self._rules.sweep)
            else:  # every time: executors may be set otherwise, and keep fingerprints that nothing compares
                await self._ledger.end_sweeps(term)
        if now >= self._next_recover:
            self._next_recover = now + RECOVER.total_seconds()
            recovered = await self._ledger.recover(
                term,
                self._sender.channel,
                held=self._sender.held,
                isolated_starts=self._rules.isolated_starts,
                version=self._rules.version,
            )
            if any(recovered.values()):
                _log.warning("tasks.recovered", **recovered)
            for change in await self._ledger.tend_requests(term):
                log = _log.warning if change.state == "paused" else _log.info
                log("request.changed", request=change.id, kind=change.kind, state=change.state, reason=change.note)
        await self._count_freshness(term)

    async def _count_freshness(self, term: Term) -> None:
        if self._freshness.is_due:
            circuits = await self._open_circuits()
            groups = await self._sources.groups(self._ledger, await self._projects(), circuits) if circuits else None
            blocks = blocks_of(groups, circuits, self._downstreams) if groups else []
            await self._freshness.count(term, blocks, plans=self._clocks_agree, full=self._full)
        await self._freshness.sum_slots(term)

    async def _compare_clocks(self) -> None:
        skew = await self._ledger.clock_skew(self._clock.now())
        agree = abs(skew) <= self._rules.max_clock_difference
        if agree != self._clocks_agree:
            log = _log.info if agree else _log.error
            log("clocks.compared", difference_s=round(skew.total_seconds(), 1), planning=agree)
        self._clocks_agree = agree

    async def plan_once(self, term: Term) -> int:
        """Plan as many tasks as there is room for, and publish them. Return how many were published."""
        out = await self._ledger.outstanding()
        if (
            out.stale_metadata and not self._stale_seen
        ):  # tasks of such models are deferred until it has been read again
            self._next_listing = min(self._next_listing, self._clock.monotonic() + RELIST.total_seconds())
        self._stale_seen = out.stale_metadata
        for lane, tasks in out.lanes.items():
            self._metrics.tasks_outstanding.labels(lane.value).set(tasks)
        limits = out.limits
        configured = self._rules.max_outstanding if limits.outstanding is None else limits.outstanding
        most = most_outstanding(configured, out.settled)
        self._share.min_share = self._rules.min_share if limits.backfill_share is None else limits.backfill_share
        room = most - out.total
        self._full = room <= 0
        groups, blockade = await self._blockade()
        if room > 0 and out.waiting and await self._wake_waiting(term, groups, blockade, room):
            out = await self._ledger.outstanding()  # requests have less room as well
            room = most - out.total
        if room > 0:
            await self._read_needs()
            await self._plan_probes(term, groups, blockade)
            if blockade.blocked:
                await self._on_agenda(
                    lambda agenda: agenda.drop(lambda need: groups.of(need.model_id, need.project) in blockade.blocked)
                )
            room_in_background = 0 if limits.backfill_paused else int(most * BACKGROUND_PART) - out.background
            if planned := await self._take(room, room_in_background, out.room):
                trace = new_trace()
                traced = await off_loop(
                    len(planned), MANY_TASKS, lambda: [replace(task, trace=trace) for task in planned]
                )
                count = await self._ledger.plan(term, traced)
                self._last_runs.record(traced)
                _log.debug("tasks.planned", count=count, trace=trace)
        return await self._publish(term, most, out.readable)

    async def _take(self, room: int, room_in_background: int, room_of_requests: Mapping[int, int]) -> list[Planned]:
        """Take the next tasks from the agenda, those of backfill and of requests in runs."""
        agenda = self._agenda
        firsts = await self._on_agenda(
            lambda agenda: agenda.take(room, room_in_background, self._share, room_of_requests, self._run)
        )
        filling = [task for task in firsts if begins_run(task)]
        if not filling:
            return firsts
        most = min(room_in_background, LONGEST_RUN) - 1
        continued = await self._ledger.continued(filling, self._rules.max_catch_up, most)
        self._run = 1 + sum(map(len, continued.values())) / len(filling)
        tasks = await off_loop(
            len(firsts), MANY_TASKS, lambda: in_runs(firsts, continued, room, room_in_background, room_of_requests)
        )
        begun = {(task.model_id, task.lane) for task in tasks}
        agenda.put_back([first for first in firsts if (first.model_id, first.lane) not in begun])
        return tasks

    async def _on_agenda(self, work: Callable[[Agenda], T]) -> T:
        """Return the result of work on the agenda, which only planning changes."""
        return await off_loop(len(self._agenda), MANY_NEEDS, lambda: work(self._agenda))

    async def _blockade(self) -> tuple[Groups, Blockade]:
        circuits = await self._open_circuits()
        self._metrics.circuits_open.set(len(circuits))
        if not circuits:
            return Groups((), ()), Blockade()
        groups = await self._sources.groups(self._ledger, await self._projects(), circuits)
        probing = frozenset(groups.of(id_, project) for id_, project in (await self._ledger.probing()).items())
        return groups, blockade_of(groups, circuits, self._downstreams, probing)

    async def _open_circuits(self) -> Mapping[str, bool]:
        """Return for each open circuit whether a probe is due."""
        return {circuit.downstream: circuit.probe_due for circuit in await self._ledger.circuits()}

    async def _wake_waiting(self, term: Term, groups: Groups, blockade: Blockade, most: int) -> int:
        models = groups.models(blockade.blocked)
        blocked = sorted({group.project for group in blockade.blocked}) if models is None else []
        return await self._ledger.wake_waiting(term, blocked=blocked, blocked_models=models or (), most=most)

    async def _read_needs(self) -> None:
        """Read the agenda again when it is empty or old, but within `READING_SHARE`."""
        now = self._clock.monotonic()
        too_soon = now < self._read_at + self._read_cost / READING_SHARE
        if too_soon or (self._agenda and now < self._read_at + REREAD.total_seconds()):
            return
        await self._on_agenda(Agenda.clear)
        needs = await self._ledger.needs(self._rules.max_catch_up)
        self._agenda = await off_loop(len(needs), MANY_NEEDS, lambda: Agenda.of(needs, self._last_runs))
        self._read_at, self._read_cost = now, self._clock.monotonic() - now

    async def _plan_probes(self, term: Term, groups: Groups, blockade: Blockade) -> None:
        probed: set[str] = set()
        for group, circuits in blockade.probes.items():
            if probed.isdisjoint(circuits) and await self._plan_probe(term, groups, group, circuits):
                _log.info("probe.planned", project=group.project, circuits=circuits)
                probed.update(circuits)

    async def _plan_probe(self, term: Term, groups: Groups, group: Group, circuits: Sequence[str]) -> bool:
        """Plan one task of a blocked group as a probe. Return whether there was any."""
        probe = await self._on_agenda(
            lambda agenda: agenda.take_probe(lambda need: groups.of(need.model_id, need.project) == group)
        )
        if probe and await self._ledger.plan(term, [probe], probes=circuits):
            return True
        # A small group may have nothing but tasks that wait for this circuit.
        return await self._ledger.wake_probe(term, group.project, circuits, models=groups.models([group]))

    async def _publish(self, term: Term, most: int, readable: int | None) -> int:
        """Publish committed tasks that are not marked as published, part by part, as far as the queue takes them."""
        published = 0
        while published < most:
            part = min(most - published, PUBLISHED_AT_ONCE)
            count = await self._publish_part(term, part, readable)
            published += count
            if count < part:
                break
        return published

    async def _publish_part(self, term: Term, most: int, readable: int | None) -> int:
        tasks = await self._ledger.unpublished(term, most)
        if not tasks:
            return 0
        # Only planning transactions check in the ledger that one scheduler plans; this is between two of them.
        places = await self._lease.guard(self._sender.publish(tasks, envelope_version(readable)))
        await self._ledger.mark_published(term, places)
        planned = Counter((task.ref.project, task.lane.value) for task in tasks if task.id in places)
        for labels, count in planned.items():
            self._metrics.tasks_planned.labels(*labels).inc(count)
        return len(places)
