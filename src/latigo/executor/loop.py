"""The long-lived part of the executor: receive, claim, run, settle, acknowledge; and stop without losing anything."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

import structlog
from structlog.contextvars import bound_contextvars

from latigo.domain import outcome
from latigo.domain.errors import LatigoError, Reason, Rejected, Unavailable
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.outcome import Crashed, Deferred, Retry, Settlement, SlotState, Split, Stored
from latigo.domain.task import Task
from latigo.executor.gate import Gate
from latigo.executor.outcomes import settlement_of
from latigo.executor.pipeline import Pipeline, Progress
from latigo.executor.settler import Settler
from latigo.ledger.protocol import Claim, ExecutorInfo, ExecutorLedger
from latigo.runtime.clock import Clock
from latigo.runtime.lifecycle import pause
from latigo.task_queue.protocol import Delivery, TaskReceiver
from latigo.telemetry.metrics import Metrics

_log = structlog.get_logger()

#: What others have learned about circuits is not older than this.
REFRESH = timedelta(seconds=2)
#: Between attempts while the ledger is away.
LEDGER_PAUSE = timedelta(seconds=1)
#: Of the grace: kept for handing back what did not get done in the rest.
HAND_BACK = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class ExecutorRules:
    """How one executor works."""

    lease: timedelta
    renew: timedelta
    grace: timedelta


@dataclass(eq=False, slots=True)
class _InHand:
    """A claimed task, until it is settled or handed back."""

    claim: Claim
    running: "asyncio.Task[None]"
    progress: Progress
    settling: bool = False  #: its predictions are in the sinks, and would be made again for nothing
    lost: bool = False  #: somebody else may have it: it was cancelled for that


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
        self._settler = Settler(ledger, clock)
        self._in_hand: dict[int, _InHand] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._faults: asyncio.Queue[BaseException] = asyncio.Queue()

    @property
    def overdue(self) -> list[str]:
        """Tasks that have been worked on for longer than they may, which only a stuck process allows."""
        longest = (self._pipeline.hard_limit + self._rules.grace).total_seconds()
        now = self._clock.monotonic()
        return [f"task-{id_}" for id_, hand in self._in_hand.items() if hand.progress.worked(now) > longest]

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop``, then finish or hand back what is in hand within the grace."""
        await self._until_ledger(lambda: self._ledger.register(self._info), stop)
        try:
            async with asyncio.TaskGroup() as machinery:
                upkeep = [machinery.create_task(self._settler.run(), name="settler")]
                upkeep.append(machinery.create_task(self._renew_leases(), name="leases"))
                upkeep.append(machinery.create_task(self._follow_circuits(), name="circuits"))
                upkeep.append(machinery.create_task(self._raise_fault(), name="faults"))
                # Until the end: when it stops, the queue gives to others whatever is not done. What it brings in
                # meanwhile stays in the gate and goes to them as well.
                upkeep.append(machinery.create_task(self._receive(), name="receiver"))
                dispatcher = machinery.create_task(self._dispatch(), name="dispatcher")
                await stop.wait()
                dispatcher.cancel()
                await self._drain()
                for task in upkeep:
                    task.cancel()
        finally:
            await self._hand_back_rest()
            await self._leave()

    async def _drain(self) -> None:
        if self._running:
            _log.info("executor.draining", tasks=len(self._running))
            within = max(self._rules.grace - HAND_BACK, timedelta(0)).total_seconds()
            await asyncio.wait(self._running, timeout=within)
        await self._hand_back_rest()

    async def _hand_back_rest(self) -> None:
        """What is still running is cancelled and handed back, while there is a ledger to hand it back to.

        What is being settled may finish that.
        """
        late = self._running - {hand.running for hand in self._in_hand.values() if hand.settling}
        for task in late:
            task.cancel()
        if late:
            _log.warning("executor.handed_back", tasks=len(late))
        if self._running:
            await asyncio.wait(self._running, timeout=HAND_BACK.total_seconds())

    async def _leave(self) -> None:
        try:
            await self._ledger.deregister(self._info.id)
        except Unavailable as error:
            _log.warning("executor.left_without_notice", because=str(error))

    async def _receive(self) -> None:
        async with aclosing(self._receiver.receive()) as deliveries:
            async for delivery in deliveries:
                await self._gate.offer(delivery)

    async def _dispatch(self) -> None:
        while True:
            delivery = await self._gate.next()
            task = asyncio.create_task(self._handle(delivery), name=f"task-{delivery.task.id}")
            self._running.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # Everything that a task can do wrong is settled; what comes here is the machinery, and half a service is
            # worse than none.
            _log.error("executor.broken", exc_info=error)
            self._faults.put_nowait(error)

    async def _raise_fault(self) -> None:
        raise await self._faults.get()

    async def _handle(self, delivery: Delivery) -> None:
        """One delivery: claim, run, settle, acknowledge. In this order nothing is lost."""
        task = delivery.task
        bound = {"task": task.id, "model": str(task.ref), "window": str(task.window), "lane": task.lane.value}
        with bound_contextvars(**bound, **({"trace": task.trace} if task.trace else {})):
            try:
                claim = await self._claim(task)
                if claim is not None:
                    await self._work(task, claim)
                await delivery.done()
            finally:
                await self._gate.ended(delivery)

    async def _claim(self, task: Task) -> Claim | None:
        """Until the ledger answers: a delivery that is neither claimed nor done would be forgotten by its queue."""
        while True:
            try:
                with self._metrics.stage("claim"):
                    return await self._ledger.claim(task.id, task.epoch, self._info.id, self._rules.lease)
            except Unavailable as error:
                _log.warning("claim.delayed", because=str(error))
                await self._clock.sleep(LEDGER_PAUSE)

    async def _work(self, task: Task, claim: Claim) -> None:
        this = asyncio.current_task()
        if this is None:
            raise RuntimeError("a task is worked on outside of the event loop")
        progress = Progress(task, stored_in=set(claim.stored_in))
        hand = self._in_hand[claim.task_id] = _InHand(claim, this, progress)
        began = self._clock.monotonic()
        try:
            settlement = await self._attempt(claim, progress)
            if settlement is not None:
                hand.settling = True
                with self._metrics.stage("settle"):
                    counted = await asyncio.shield(self._settler.settle(claim, settlement))
                self._tell(task, claim, settlement, counted=counted, seconds=self._clock.monotonic() - began)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and hand.lost and not this.uncancel():
                return  # somebody else has it: for us it is done, or the queue would hold it against us for ever
            del self._in_hand[claim.task_id]  # or its lease would be found lost while it is handed back
            await asyncio.shield(self._hand_back(claim))
            raise
        finally:
            self._in_hand.pop(claim.task_id, None)

    async def _attempt(self, claim: Claim, progress: Progress) -> Settlement | None:
        """Run the task; None: the claim was lost before it began."""
        try:
            if not claim.isolated:
                return await self._pipeline.run(progress)
            async with self._gate.exclusive():
                if not await self._ledger.start_isolated(claim, self._rules.lease):
                    return None
                _log.warning("task.running_alone")
                return await self._pipeline.run(progress)
        except Exception as error:  # noqa: BLE001 - whatever a task raises is the end of that task only
            return await self._ended_by(error, progress)

    async def _ended_by(self, error: Exception, progress: Progress) -> Settlement:
        settlement = settlement_of(error, progress)
        match settlement:
            case Crashed():
                _log.error("task.crashed", exc_info=error)
            case outcome.Rejected(Reason.COLUMNS_REFUSED, detail) if await self._may_have_changed(progress.task):
                return Deferred(detail, stale_metadata=True)
        return settlement

    async def _may_have_changed(self, task: Task) -> bool:
        """Whether the model may expect other columns because it was built anew behind our back, within its revision."""
        try:
            found = await self._describe(task.ref, task.model.revision)
        except Exception as error:  # noqa: BLE001 - the task is rejected for its own reason, whatever this one is
            _log.warning("metadata.unreadable", because=str(error))
            return isinstance(error, LatigoError) and not isinstance(error, Rejected)  # nobody knows yet
        return found.dataset != task.model.dataset or found.model_offset != task.model.model_offset

    async def _hand_back(self, claim: Claim) -> None:
        try:
            await self._ledger.release([claim])
        except Unavailable as error:  # its lease runs out by itself
            _log.warning("task.not_handed_back", task=claim.task_id, because=str(error))

    def _tell(self, task: Task, claim: Claim, settlement: Settlement, *, counted: bool, seconds: float) -> None:
        project, lane, ended = task.ref.project, task.lane.value, settlement.outcome.value
        self._metrics.tasks.labels(project, lane, ended).inc()
        self._metrics.task_seconds.labels(lane, ended).observe(seconds)
        rows, detail = 0, ""
        match settlement:
            case Stored(rows=rows):
                log = _log.info
                if counted:
                    self._count(task, settlement)
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
            took_s=round(seconds, 3),
            **({"because": detail[:400]} if detail else {}),
        )

    def _count(self, task: Task, stored: Stored) -> None:
        project, slot = task.ref.project, timedelta(seconds=task.slot_seconds)
        slots = Counter({SlotState.COVERED: stored.covered.total // slot})
        for exception in stored.exceptions:
            slots[exception.state] += exception.slots.total // slot
        for state, count in slots.items():
            self._metrics.slots.labels(project, task.lane.value, state.value).inc(count)
        self._metrics.rows.labels(project).inc(stored.rows)

    async def _renew_leases(self) -> None:
        while True:
            await self._clock.sleep(self._rules.renew)
            held = dict(self._in_hand)
            try:
                await self._ledger.heartbeat(self._info.id, in_flight=self._gate.running, limit=self._working_limit())
                if not held:
                    continue
                ours = await self._ledger.renew([hand.claim for hand in held.values()], self._rules.lease)
            except Unavailable as error:
                _log.warning("lease.not_renewed", because=str(error))
                continue
            for task_id, hand in held.items():
                if task_id not in ours and self._in_hand.get(task_id) is hand and not hand.settling:
                    # Someone else has the task by now: going on would be in vain.
                    _log.warning("claim.lost", task=task_id)
                    hand.lost = True
                    hand.running.cancel()

    def _working_limit(self) -> int:
        limits = self._pipeline.limits.values()
        return sum(limit.limit for limit in limits)

    async def _follow_circuits(self) -> None:
        while True:
            try:
                await self._pipeline.circuits.refresh()
            except Unavailable as error:
                _log.warning("circuits.not_read", because=str(error))
            await self._clock.sleep(REFRESH)

    async def _until_ledger(self, work: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await work()
            except Unavailable as error:
                _log.warning("ledger.away", because=str(error))
                await pause(self._clock, LEDGER_PAUSE, stop)
            else:
                return
