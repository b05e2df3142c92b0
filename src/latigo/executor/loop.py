"""The executor process: receive, claim, run, settle and acknowledge tasks, and stop without losing any."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from latigo.domain import outcome
from latigo.domain.circuits import System
from latigo.domain.errors import LatigoError, Reason, Rejected, Unavailable
from latigo.domain.limits import Controls
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.outcome import Compared, Copied, Crashed, Deferred, Retry, Settlement, SlotState, Split, Stored
from latigo.domain.receipt import Stage
from latigo.domain.task import Task
from latigo.executor.claimer import Claimer, latest_claims
from latigo.executor.gate import Gate
from latigo.executor.guard import WriteGuard
from latigo.executor.outcomes import settlement_of
from latigo.executor.pipeline import Pipeline
from latigo.executor.progress import Progress
from latigo.executor.settler import Settler
from latigo.executor.writes import Writes
from latigo.ledger.protocol import Claim, ClaimLost, ExecutorInfo, ExecutorLedger
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause, unless_stopped
from latigo.runtime.log import get_logger
from latigo.runtime.log_context import log_context
from latigo.task_queue.protocol import Delivery, TaskReceiver
from latigo.telemetry.metrics import Metrics

_log = get_logger(__name__)

#: Pause between reads of the circuits in the ledger, and of what people have changed at run time.
REFRESH = timedelta(seconds=2)
#: Pause between attempts while the ledger is unavailable.
LEDGER_PAUSE = timedelta(seconds=1)
#: Pause between looks for deliveries that wait: those of the look before go to other executors.
OVERDUE = timedelta(seconds=10)
#: Part of the grace that is reserved for handing back unfinished tasks.
HAND_BACK = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class ExecutorRules:
    """Lease, grace and limits of one executor, as the settings have them."""

    lease: timedelta
    renew: timedelta
    grace: timedelta
    min_share: float  #: of starts in other lanes than live


@dataclass(eq=False, slots=True)
class _ClaimedTask:
    """A task of this executor, from its claim until it is settled or handed back."""

    claim: Claim
    running: "asyncio.Task[None]"
    progress: Progress
    settling: bool = False  #: its result is in the sinks, so handing it back would only repeat the work
    lost: bool = False  #: cancelled because its lease has run out and another executor may have it


class Executor:
    """One executor process."""

    def __init__(
        self,
        *,
        info: ExecutorInfo,
        rules: ExecutorRules,
        ledger: ExecutorLedger,
        receiver: TaskReceiver,
        pipeline: Pipeline,
        describe: Callable[[ModelRef, str], Awaitable[ModelSpec]],
        gate: Gate,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._info = info
        self._rules = rules
        self._ledger = ledger
        self._receiver = receiver
        self._pipeline = pipeline
        self._describe = describe
        self._gate = gate
        self._clock = clock
        self._metrics = metrics
        self._claimer = Claimer(ledger, info.id, rules.lease)
        self._writes = Writes(ledger, rules.lease)
        self._settler = Settler(ledger, clock)
        self._claimed: dict[Claim, _ClaimedTask] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._faults: asyncio.Queue[BaseException] = asyncio.Queue()
        self._controls = Controls()
        self._receives, self._idle = asyncio.Event(), asyncio.Event()
        self._receives.set()

    @property
    def overdue(self) -> list[str]:
        """Tasks beyond their hard limit, which only happens in a process that is stuck."""
        longest = (self._pipeline.hard_limit + self._rules.grace).total_seconds()
        now = self._clock.monotonic()
        claimed = self._claimed.values()
        return [f"task-{task.claim.task_id}" for task in claimed if task.progress.seconds_in_calls(now) > longest]

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop``, then finish or hand back the claimed tasks within the grace."""
        await self._register(stop)
        try:
            async with asyncio.TaskGroup() as group:
                background = [
                    group.create_task(self._claimer.run(), name="claimer"),
                    group.create_task(self._writes.run(), name="writes"),
                    group.create_task(self._settler.run(), name="settler"),
                    group.create_task(self._renew_leases(), name="leases"),
                    group.create_task(self._refresh_circuits(), name="circuits"),
                    group.create_task(self._follow_controls(stop), name="controls"),
                    group.create_task(self._give_back_overdue(), name="overdue"),
                    group.create_task(self._raise_fault(), name="faults"),
                    # Receives until the end: once it stops, the queue delivers unfinished tasks to other executors.
                    group.create_task(self._receive(), name="receiver"),
                ]
                dispatcher = group.create_task(self._dispatch(), name="dispatcher")
                await stop.wait()
                dispatcher.cancel()
                await self._give_back_waiting()
                await self._drain()
                for task in background:
                    task.cancel()
        finally:
            await self._hand_back_rest()
            await self._deregister()

    async def _register(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._ledger.register(self._info)
            except Unavailable as error:
                _log.warning("ledger.unreachable", error=str(error))
                await pause(self._clock, LEDGER_PAUSE, stop)
            else:
                return

    async def _drain(self) -> None:
        if self._running:
            _log.info("executor.draining", count=len(self._running))
            grace = max(self._rules.grace - HAND_BACK, timedelta(0))
            await asyncio.wait(self._running, timeout=grace.total_seconds())
        await self._hand_back_rest()

    async def _hand_back_rest(self) -> None:
        """Cancel and hand back running tasks; those that are being settled may finish."""
        late = self._running - {task.running for task in self._claimed.values() if task.settling}
        for running in late:
            running.cancel()
        if late:
            _log.warning("tasks.handed_back", count=len(late))
        if self._running:
            await asyncio.wait(self._running, timeout=HAND_BACK.total_seconds())

    async def _deregister(self) -> None:
        try:
            await self._ledger.deregister(self._info.id)
        except Unavailable as error:
            _log.warning("executor.not_deregistered", error=str(error))

    async def _receive(self) -> None:
        """Receive tasks, but not while drained and idle: then the queue delivers what has not begun to others."""
        while True:
            await self._receives.wait()
            await unless_stopped(self._take_deliveries(), self._idle)

    async def _take_deliveries(self) -> None:
        async with aclosing(self._receiver.receive()) as deliveries:
            async for delivery in deliveries:
                await self._gate.offer(delivery)

    async def _give_back_waiting(self) -> None:
        """Leave what has not begun to others, where the queue can; elsewhere they have it once this one has left."""
        if self._receiver.takes_back:
            self._receiver.limit(0)
            if waiting := await self._gate.withdraw():
                await self._return(waiting)

    async def _give_back_overdue(self) -> None:
        """Leave what waits for long to others: all that may run here are occupied."""
        while True:
            await self._clock.sleep(OVERDUE)
            if self._receiver.takes_back and (waiting := await self._gate.withdraw_overdue()):
                await self._return(waiting)

    async def _return(self, waiting: Sequence[Delivery]) -> None:
        _log.info("deliveries.given_back", count=len(waiting))
        await self._receiver.give_back(waiting)

    async def _dispatch(self) -> None:
        while True:
            delivery = await self._gate.next()
            task = asyncio.create_task(self._handle(delivery), name=f"task-{delivery.task.id}")
            self._running.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # Errors of tasks are settled, so this is one of the executor itself; half a service is worse than none.
            _log.error("executor.failed", exc_info=error)
            self._faults.put_nowait(error)

    async def _raise_fault(self) -> None:
        raise await self._faults.get()

    async def _handle(self, delivery: Delivery) -> None:
        """Claim, run, settle and acknowledge one delivery; in this order nothing is lost."""
        task = delivery.task
        bound = {"task": task.id, "model": str(task.ref), "window": str(task.window), "lane": task.lane.value}
        with log_context(**bound, **({"trace": task.trace} if task.trace else {})):
            try:
                stages: dict[Stage, float] = {}
                claim = await self._claim(task, stages)
                if claim is None:
                    await self._examine(task)
                while claim is not None and not await self._run(task, claim, stages):
                    # A server that takes over may lack the newest commits, and so the claim: the task has not ended.
                    claim = await self._claim(task, stages)
                await delivery.done()
            finally:
                await self._gate.ended(delivery)

    async def _claim(self, task: Task, stages: dict[Stage, float]) -> Claim | None:
        """Claim a task, however long the ledger is unavailable: its queue would forget a delivery that is not done."""
        while True:
            try:
                with self._metrics.stage("claim", stages):
                    return await self._claimer.claim(task)
            except Unavailable as error:
                _log.warning("claim.delayed", error=str(error))
                await self._clock.sleep(LEDGER_PAUSE)

    async def _examine(self, task: Task) -> None:
        """Record a message that contradicts the ledger before it is skipped, however long the ledger is unavailable."""
        while True:
            try:
                mismatch = await self._ledger.examine(task)
            except Unavailable as error:
                _log.warning("claim.delayed", error=str(error))
                await self._clock.sleep(LEDGER_PAUSE)
                continue
            if mismatch is not None and mismatch.is_first:
                log = _log.error if mismatch.kind.shows_restore else _log.warning
                log("message.mismatched", reason=mismatch.kind.value, error=mismatch.detail)
            return

    async def _run(self, task: Task, claim: Claim, stages: dict[Stage, float]) -> bool:
        """Run a claimed task; return False if its settlement did not count."""
        running = asyncio.current_task()
        if running is None:
            raise RuntimeError("a task runs outside of the event loop")
        guard = WriteGuard(self._ledger, self._writes.begin, self._clock, claim, self._rules.lease)
        progress = Progress(task, guard, stored_in=set(claim.stored_in), recorded=claim.recorded, stages=stages)
        claimed = self._claimed[claim] = _ClaimedTask(claim, running, progress)
        started = self._clock.monotonic()
        try:
            settlement = await self._run_pipeline(claim, progress)
            counted = False
            if settlement is not None:
                claimed.settling = True
                receipt = progress.receipt(self._clock.monotonic() - started)
                with self._metrics.stage("settle", stages):
                    counted = await asyncio.shield(self._settler.settle(claim, settlement, receipt))
                self._report(task, claim, settlement, counted=counted, seconds=self._clock.monotonic() - started)
            if not counted:
                await guard.claim_lost()
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and claimed.lost and not running.uncancel():
                await guard.claim_lost()
                return (
                    True  # another executor has the task; the delivery has to be acknowledged, or it blocks the queue
                )
            del self._claimed[claim]  # or its lease would be reported as lost while it is handed back
            await asyncio.shield(self._hand_back(claim, guard))
            raise
        else:
            return counted or settlement is None
        finally:
            self._claimed.pop(claim, None)

    async def _run_pipeline(self, claim: Claim, progress: Progress) -> Settlement | None:
        """Run a task through the pipeline. Return None if its claim was lost before it began or wrote."""
        try:
            if not claim.isolated:
                return await self._pipeline.run(progress)
            async with self._gate.exclusive():
                if not await self._ledger.start_isolated(claim, self._rules.lease):
                    return None
                _log.warning("task.isolated")
                return await self._pipeline.run(progress)
        except ClaimLost:
            _log.warning("claim.lost", task=claim.task_id)
            return None
        except Exception as error:  # noqa: BLE001 - an error of a task ends that task only
            return await self._settlement_of(error, progress)

    async def _settlement_of(self, error: Exception, progress: Progress) -> Settlement:
        settlement = settlement_of(error, progress)
        match settlement:
            case Crashed():
                _log.error("task.crashed", exc_info=error)
            case outcome.Rejected(Reason.COLUMNS_REFUSED, detail) if await self._may_have_changed(progress.task):
                return Deferred(detail, stale_metadata=True)
        return settlement

    async def _may_have_changed(self, task: Task) -> bool:
        """Return whether the model may have been rebuilt within its revision, and expects other columns for that."""
        try:
            spec = await self._describe(task.ref, task.model.revision)
        except Exception as error:  # noqa: BLE001 - the task is rejected for its own reason, not for this one
            _log.warning("metadata.not_read", error=str(error))
            return isinstance(error, LatigoError) and not isinstance(error, Rejected)  # unknown until it is read again
        return spec.dataset != task.model.dataset or spec.model_offset != task.model.model_offset

    async def _hand_back(self, claim: Claim, guard: WriteGuard) -> None:
        try:
            await guard.hand_back()
        except Unavailable as error:  # its lease will expire
            _log.warning("task.not_handed_back", task=claim.task_id, error=str(error))

    def _report(self, task: Task, claim: Claim, settlement: Settlement, *, counted: bool, seconds: float) -> None:
        project, lane, ended = task.ref.project, task.lane.value, settlement.outcome.value
        self._metrics.tasks.labels(project, lane, ended).inc()
        self._metrics.task_seconds.labels(lane, ended).observe(seconds)
        rows, detail = 0, ""
        match settlement:
            case Stored(rows=rows):
                log = _log.info
                if counted:
                    self._count(task, settlement)
            case Copied(rows=rows):
                log = _log.info
            case Compared(moved=moved):
                log, detail = _log.info, f"moved: {', '.join(map(str, moved))}" if moved else ""
            case Deferred(detail):
                log = _log.info
            case Retry(detail) | outcome.Rejected(detail=detail) | Crashed(detail) | Split(detail):
                log = _log.warning
            case _:
                assert_never(settlement)
        log(
            "task.finished",
            outcome=ended,
            counted=counted,
            rows=rows,
            attempt=claim.attempts + 1,
            duration_s=round(seconds, 3),
            **({"reason": detail[:400]} if detail else {}),
        )

    def _count(self, task: Task, stored: Stored) -> None:
        project, slot = task.ref.project, timedelta(seconds=task.slot_seconds)
        slots = Counter({SlotState.COVERED: stored.covered.total // slot})
        for exception in stored.exceptions:
            slots[exception.state] += exception.slots.total // slot
        for state, count in slots.items():
            self._metrics.slots.labels(project, task.lane.value, state.value).inc(count)
        self._metrics.rows.labels(project).inc(stored.rows)
        self._metrics.values.labels(project, "finite").inc(stored.values - stored.not_finite)
        self._metrics.values.labels(project, "not_finite").inc(stored.not_finite)

    async def _renew_leases(self) -> None:
        while True:
            await self._clock.sleep(self._rules.renew)
            held = dict(self._claimed)
            try:
                await self._beat()
                if not held:
                    continue
                latest = latest_claims(held)
                renewed = await self._ledger.renew(list(latest.values()), self._rules.lease)
            except Unavailable as error:
                _log.warning("lease.not_renewed", error=str(error))
                continue
            for claim, task in held.items():
                holds = claim.task_id in renewed and claim == latest[claim.task_id]
                if not holds and self._claimed.get(claim) is task and not task.settling:
                    # Another executor may have the task by now, so its settlement would not count.
                    _log.warning("claim.lost", task=claim.task_id)
                    task.lost = True
                    task.running.cancel()

    async def _beat(self) -> None:
        limit = sum(limit.limit for limit in self._pipeline.limits.values())
        state = {"in_flight": self._gate.running, "limit": limit, "concurrency": self._concurrency}
        if not await self._ledger.heartbeat(self._info.id, **state):
            # After a long outage the scheduler may have been sooner, and have deleted what had not been seen for long.
            await self._ledger.register(self._info)
            await self._ledger.heartbeat(self._info.id, **state)

    @property
    def _concurrency(self) -> int:
        return self._controls.limits.concurrency or self._info.concurrency

    async def _follow_controls(self, stop: asyncio.Event) -> None:
        """Do what people have ordered: apply limits, start nothing while drained, and stop once idle."""
        while True:
            try:
                await self._apply(await self._ledger.controls(self._info.id))
            except Unavailable as error:
                _log.warning("controls.not_read", error=str(error))
            if self._controls.drained or stop.is_set():
                await self._give_back_waiting()
            if self._idle.is_set() and self._controls.stops:
                _log.info("executor.stopping", reason="drained")
                stop.set()
            await self._clock.sleep(REFRESH)

    async def _apply(self, controls: Controls) -> None:
        before, self._controls, limits = self._controls, controls, controls.limits
        self._pipeline.limits.set_ceiling(self._concurrency, controls.executors)
        if controls != before:
            share = self._rules.min_share if limits.backfill_share is None else limits.backfill_share
            self._receiver.limit(0 if controls.drained else self._concurrency)
            await self._gate.limit(0 if controls.drained else self._concurrency, share)
            _log.info("executor.limited", concurrency=self._gate.concurrency, min_share=share, drained=controls.drained)
        if not controls.drained:
            self._idle.clear()
            self._receives.set()
        elif not self._gate.running:
            self._receives.clear()
            self._idle.set()
        if controls != before:
            await self._beat()

    async def _refresh_circuits(self) -> None:
        circuits = self._pipeline.circuits
        while True:
            try:
                await circuits.refresh()
                if servers := self._pipeline.models.all_servers():
                    self._pipeline.limits.forget(System.MODEL_SERVER, servers)
                    await circuits.forget(System.MODEL_SERVER, servers)
            except Unavailable as error:
                _log.warning("circuits.not_read", error=str(error))
            await self._clock.sleep(REFRESH)
