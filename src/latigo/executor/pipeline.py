"""The stages of one task: read ▸ frame ▸ predict ▸ write. Claiming and settling are the loop's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from latigo.dataset.build import Buckets, Dataset
from latigo.dataset.resample import SLOWNESS
from latigo.domain.circuits import System, circuit_name
from latigo.domain.coverage import Coverage
from latigo.domain.errors import LatigoError, NoData, NotThere, RevisionGone, TimedOut, Unavailable
from latigo.domain.lateness import LatenessCounts
from latigo.domain.model import ModelSpec
from latigo.domain.outcome import Compared, Copied, Stored
from latigo.domain.receipt import Score, Stage
from latigo.domain.series import Point, Predictions, Readings, Times
from latigo.domain.task import Task
from latigo.domain.windows import Window, to_ns
from latigo.executor.budget import ByteBudget
from latigo.executor.circuits import CircuitBoard
from latigo.executor.comparing import Comparison
from latigo.executor.copying import rows_within, slots_of, slots_with_rows
from latigo.executor.lateness import observe
from latigo.executor.limiter import ProjectLimits
from latigo.executor.measuring import measure_inputs, measure_score
from latigo.executor.progress import Progress
from latigo.executor.slots import Slots, classify
from latigo.providers.parts import ask_parts, parts_of, read_parts
from latigo.providers.protocols import (
    Execution,
    ModelExecutionProvider,
    Part,
    PredictionStorageProvider,
    SensorDataProvider,
)
from latigo.runtime.clock import Clock
from latigo.runtime.log import get_logger
from latigo.runtime.off_loop import off_loop
from latigo.telemetry.metrics import Metrics

_log = get_logger(__name__)
#: Bytes of buckets, and characters of the row filter times rows, that take several milliseconds.
_MUCH_WORK = 1 << 20
_QUICK_BYTES = 4  #: of readings that take as long as one of buckets, by a quick method
_MANY_SLOTS = 500  #: of which finding out how each ended takes several milliseconds
_MANY_VALUES = 500_000  #: predicted ones of which judging takes several milliseconds
NO_TIMES = np.empty(0, np.int64)
_NOT_MEASURED = nullcontext()


@dataclass(frozen=True, slots=True)
class Sink:
    """A store of predictions; a task is stored once all required sinks have its result."""

    store: PredictionStorageProvider
    required: bool = True
    on_stored: Callable[[Predictions], Awaitable[None]] | None = None  #: called with rows that it holds; never raises


@dataclass(frozen=True)
class Pipeline:
    """The stages that a task passes, with the systems they call."""

    sensors: SensorDataProvider
    models: ModelExecutionProvider
    sinks: Sequence[Sink]
    circuits: CircuitBoard
    budget: ByteBudget
    limits: ProjectLimits
    hard_limit: timedelta  #: of all calls of a task together; a call cut off by it counts as timed out
    clock: Clock
    metrics: Metrics
    lateness: LatenessCounts = field(default_factory=LatenessCounts)
    comparison: Comparison = field(default_factory=Comparison)

    async def run(self, progress: Progress) -> Stored | Copied | Compared:
        """Predict one window and store the result, or copy what other sinks have of it.

        Raises:
            LatigoError: whatever a provider raised; ``progress`` holds the stage and the sinks that are done.
            ClaimLost: another executor may have the task, so nothing more was written.
        """
        task = progress.task
        if task.probe:
            await self._look_at_sinks(progress)
        if task.copy_to:
            return await self._copy(progress)
        dataset = await self._frame(progress, task.window)
        fingerprints = progress.fingerprints
        if progress.recorded is not None and fingerprints is not None:
            recorded, before = progress.recorded, fingerprints
            moved = await off_loop(
                _slots_in(task), _MANY_SLOTS, lambda: self.comparison.moved(task, dataset, recorded, before)
            )
            if moved != Coverage((task.window,)):
                return Compared(moved)
        stored = await self._predict_and_write(progress, dataset)
        if fingerprints is None:
            return stored
        slot, made = timedelta(seconds=task.slot_seconds), fingerprints

        def of_covered() -> Mapping[datetime, bytes]:
            return {part.start: made[part.start] for window in stored.covered for part in window.slots(slot)}

        return replace(stored, fingerprints=await off_loop(_slots_in(task), _MANY_SLOTS, of_covered))

    async def _predict_and_write(self, progress: Progress, dataset: Dataset) -> Stored:
        task = progress.task
        if not has_rows(dataset, task.window):
            return _unpredicted(task, dataset)
        try:
            execution = await self._predict(progress, dataset, task.window)
        except NoData as error:
            _log.debug("task.too_few_rows", reason=str(error))
            return _unpredicted(task, dataset)
        predictions = execution.predictions.between(to_ns(task.window.start), to_ns(task.window.end))

        def judge() -> tuple[Score | None, Times, int]:
            finite = int(np.count_nonzero(np.isfinite(predictions.values)))
            return (
                measure_score(predictions, task.model.dataset.tags),
                predictions.finite_times,
                predictions.values.size - finite,
            )

        progress.score, finite, not_finite = await off_loop(predictions.values.size, _MANY_VALUES, judge)
        slots, rows = await self._write(progress, dataset, predictions, finite)
        return Stored(
            covered=slots.covered,
            exceptions=slots.exceptions,
            rows=rows,
            values=predictions.values.size,
            not_finite=not_finite,
            prediction_only=task.model.anomaly is not False and not execution.anomaly,
            silent_since=slots.silent_since,
        )

    async def _look_at_sinks(self, progress: Progress) -> None:
        """Find out whether required sinks answer whose circuits are open, before a prediction that they may not take.

        An answer does not close the circuit: only a write shows that they take writes.
        """
        for sink in self.sinks:
            downstream = sink.store.downstream
            if sink.required and self.circuits.is_open(downstream):
                progress.stage = "write"
                async with self._limited(progress, downstream, proves=False):
                    with suppress(NotImplementedError):  # it cannot be read
                        await sink.store.ping([progress.task.ref.project])

    async def _copy(self, progress: Progress) -> Copied:
        """Bring a window into one sink: what another sink has of it as it is, and the rest predicted."""
        task, slot = progress.task, timedelta(seconds=progress.task.slot_seconds)
        target = next((sink for sink in self.sinks if sink.store.downstream == task.copy_to), None)
        if target is None:  # its settings are not those of the scheduler
            raise Unavailable(f"this executor has no sink {task.copy_to}", downstream=task.copy_to)
        left, held, rows = Coverage((task.window,)), Coverage(), 0
        full = slot // task.model.dataset.resolution
        for source in sorted(self.sinks, key=lambda sink: not sink.required):
            if source is target or not left:
                continue
            stored = await self._stored(progress, source)
            # An optional sink may have failed within a slot; what a required one has of a slot is all of it.
            has = slots_with_rows(stored, left, slot, fewest=1 if source.required else full)
            for predictions in stored:
                written = await self._put(progress, target, rows_within(predictions, has))
                rows += len(written)
                held |= slots_of(written, has, slot)
            left -= has
        for window in left:
            written = await self._predict_into(progress, target, window)
            rows += len(written)
            held |= slots_of(written, Coverage((window,)), slot)
        return Copied(held, left, rows)

    async def _stored(self, progress: Progress, source: Sink) -> Sequence[Predictions]:
        """Return what a sink has of the window of a task; nothing from a sink that cannot be read."""
        try:
            async with self._call(progress, "read", source.store.downstream):
                return await source.store.get_predictions(progress.task.ref, progress.task.window)
        except NotImplementedError:
            return ()

    async def _predict_into(self, progress: Progress, target: Sink, window: Window) -> Times:
        """Predict a window and write it to one sink; return the rows that it holds."""
        dataset = await self._frame(progress, window)
        if not has_rows(dataset, window):
            return NO_TIMES
        try:
            execution = await self._predict(progress, dataset, window)
        except NoData:
            return NO_TIMES
        predictions = execution.predictions.between(to_ns(window.start), to_ns(window.end))
        return await self._put(progress, target, predictions) if len(predictions.finite_times) else NO_TIMES

    async def _frame(self, progress: Progress, window: Window) -> Dataset:
        spec, period = progress.task.model, period_of(progress.task.model, window)
        tags = len(spec.dataset.tags)
        async with self.budget.reserve(self.budget.estimate(tags, period.length)) as reserved:
            read_at = self.clock.now()
            parts = parts_of(self.sensors, spec.dataset.tags)
            readings = await self._read(progress, parts, period)
            self._observe_lateness(progress.task, parts, readings, read_at)
            nbytes = sum(series.nbytes for series in readings.values())
            reserved.shrink(nbytes)
            self.budget.learn(nbytes, tags, period.length)
            rows = period.length // spec.dataset.resolution
            slowness = SLOWNESS.get(spec.dataset.aggregation, 1)
            work = nbytes * slowness // _QUICK_BYTES + rows * (8 * tags + len(spec.dataset.row_filter))

            def build(before: Mapping[str, Point]) -> Dataset:
                if self._compares(progress, read_at):
                    progress.fingerprints = self.comparison.fingerprints(progress.task, buckets)
                dataset = buckets.dataset(before)
                progress.inputs = measure_inputs(buckets, readings, progress.task.window)
                return dataset

            with self._stage(progress, "frame"):
                buckets = await off_loop(work, _MUCH_WORK, lambda: Buckets.of(spec.dataset, readings, period))
                if not buckets.look_back:
                    return await off_loop(work, _MUCH_WORK, lambda: build({}))
            before = await self._read_before(progress, buckets, period)
            with self._stage(progress, "frame"):
                return await off_loop(work, _MUCH_WORK, lambda: build(before))

    def _compares(self, progress: Progress, now: datetime) -> bool:
        """Return whether what the slots of a task are predicted from is compared, now or later."""
        task = progress.task
        return not task.copy_to and (progress.recorded is not None or self.comparison.keeps(task.window, now))

    async def _read(self, progress: Progress, parts: Sequence[Part], period: Window) -> Readings:
        """Read from every source that has some of the tags, each under its own circuit."""

        async def read(part: Part, max_bytes: int) -> Readings:
            async with self._limited(progress, part.source.downstream):
                return await part.source.get_data_for_range(part.tags, period, max_bytes=max_bytes)

        with self._reading(progress, parts):
            return await read_parts(parts, read, self.budget.share)

    def _observe_lateness(self, task: Task, parts: Sequence[Part], readings: Readings, read_at: datetime) -> None:
        """Count how late the newest slot is, if it was read in its turn."""
        if task.lane.is_live and read_at - task.window.end < timedelta(seconds=task.slot_seconds):
            self.lateness.add(observe(parts, readings, task.window.end, task.model.dataset.resolution, read_at))

    async def _read_before(self, progress: Progress, buckets: Buckets, period: Window) -> Mapping[str, Point]:
        """Read the last value before the period of the tags whose beginning it may fill, as `_read`."""

        async def look_back(part: Part) -> Mapping[str, Point]:
            async with self._limited(progress, part.source.downstream):
                return await read_before(part.source, buckets, period, part.tags)

        parts = parts_of(self.sensors, buckets.look_back)
        with self._reading(progress, parts):
            return await ask_parts(parts, look_back)

    @contextmanager
    def _reading(self, progress: Progress, parts: Sequence[Part]) -> Iterator[None]:
        """Measure calls to all sources of a task; there are none if the circuit of one of them is open."""
        progress.stage = "read"
        for part in parts:  # before the first call, which would be in vain
            self.circuits.require_closed(part.source.downstream, probe=progress.task.probe)
        with self._stage(progress, "read"):
            yield

    async def _predict(self, progress: Progress, dataset: Dataset, window: Window) -> Execution:
        task = progress.task
        project, servers = task.ref.project, self.models.servers(task.ref)
        downstream = circuit_name(System.MODELS, project)
        if servers:
            async with self.circuits.call(downstream, task.ref, probe=task.probe, parts=servers):
                return await self._predict_on(progress, servers, dataset, window, downstream)
        turn = self.limits[project].call(task.ref, live=task.lane.is_live)
        async with turn, self._call(progress, "predict", downstream):
            return await self.models.execute_model(task.model, window, dataset.x, dataset.y)

    async def _predict_on(
        self, progress: Progress, servers: Sequence[str], dataset: Dataset, window: Window, downstream: str
    ) -> Execution:
        """Predict on the first of several servers that answers; each has a circuit and a working limit of its own.

        After a time-out no other is asked: the call would only take as long again, and the first one still works on it.
        The probe of the project asks all, or servers that hang would keep its circuit open: those with a closed circuit
        first, and each for no longer than its part of the time that is left for all of them. Where a server lacks the
        model the next one is asked as well, since it may be late to see the newest files.

        Raises:
            Unavailable, TimedOut: of ``downstream``: no server answers; of a server: a call to it timed out.
            RevisionGone, NotThere: no server that answers has the model.
        """
        task = progress.task
        lacking: LatigoError | None = None
        unavailable = Unavailable(f"the circuits of all {len(servers)} servers are open", downstream=downstream)
        order = sorted(servers, key=self.circuits.is_open) if task.probe else servers
        for place, server in enumerate(order):
            probe = self.circuits.is_open(server) and (task.probe or await self.circuits.may_probe(server))
            if self.circuits.is_open(server) and not probe:
                continue
            try:
                turn = self.limits[server].call(task.ref, live=task.lane.is_live)
                parts = len(order) - place if task.probe else 1
                async with turn, self._call(progress, "predict", server, probe=probe, whole=downstream, parts=parts):
                    try:
                        return await self.models.execute_model(task.model, window, dataset.x, dataset.y, server=server)
                    except Unavailable as error:
                        raise error.at(server) from error
            except Unavailable as error:
                if not task.probe and (isinstance(error, TimedOut) or isinstance(error.__cause__, TimedOut)):
                    raise
                unavailable = error.at(downstream)
                _log.warning("server.passed_over", downstream=server, error=str(error))
            except (RevisionGone, NotThere) as error:
                lacking = error
                _log.warning("server.passed_over", downstream=server, error=str(error))
        raise lacking or unavailable

    async def _write(
        self, progress: Progress, dataset: Dataset, predictions: Predictions, finite: Times
    ) -> tuple[Slots, int]:
        """Write to every sink; return how the slots ended, and the rows that every required sink holds.

        ``finite`` are the labels of rows with a finite value.
        """
        task = progress.task
        slot, count = timedelta(seconds=task.slot_seconds), _slots_in(task)

        async def slots(stored: Times, *withheld_by: str) -> Slots:
            return await off_loop(
                count,
                _MANY_SLOTS,
                lambda: classify(
                    task.window, slot, dataset, predictions.times, finite=finite, stored=stored, withheld_by=withheld_by
                ),
            )

        stored, withheld_by, whole = finite, [], await slots(finite)
        for sink in self.sinks:
            name = sink.store.downstream
            if name in progress.stored_in:
                progress.written_to.append(name)
                continue
            if not len(finite):
                continue
            try:
                held = await self._put(progress, sink, predictions)
            except LatigoError as error:
                if sink.required:
                    raise
                _log.warning("sink.skipped", downstream=name, error=str(error))
                continue
            progress.written_to.append(name)
            lacking = NO_TIMES if np.array_equal(finite, held) else np.setdiff1d(finite, held)
            if len(lacking):
                _log.warning("rows.not_kept", downstream=name, count=len(lacking))
            if sink.required and len(lacking):
                stored = np.setdiff1d(stored, lacking)
                withheld_by.append(name)
            if not (await slots(np.setdiff1d(finite, lacking)) if len(lacking) else whole).exceptions:
                progress.stored_in.add(name)
        return (await slots(stored, *withheld_by) if withheld_by else whole), len(stored)

    async def _put(self, progress: Progress, sink: Sink, predictions: Predictions) -> Times:
        """Write to one sink, if the claim holds; return the rows that it holds."""
        store, guard = sink.store, progress.guard
        # The scheduler does not probe optional sinks, because no task waits for them.
        probe = not sink.required and await self.circuits.may_probe(store.downstream)
        if not store.fenced:
            await guard.begin_write()
        async with self._call(progress, "write", store.downstream, probe=probe):
            with nullcontext() if store.fenced else guard.writing():
                written = await store.put_predictions(predictions, guard.fence)
        if written.newer:
            await guard.check()
            error = _newer_than_the_ledger(store.downstream, progress.task, written.newer)
            await guard.record_newer(str(error))
            raise error
        # A sink that keeps no revisions returns none, so that a copy of its rows cannot describe one.
        if sink.on_stored is not None and len(written) and predictions.revision:
            await sink.on_stored(predictions)
        return written.times

    def _stage(self, progress: Progress, stage: Stage) -> AbstractContextManager[None]:
        """Run a stage, measured."""
        progress.stage = stage
        return self.metrics.stage(stage, progress.stages)

    def _call(
        self, progress: Progress, stage: Stage, downstream: str, *, probe: bool = False, whole: str = "", parts: int = 1
    ) -> AbstractAsyncContextManager[None]:
        """Run a stage that only calls a downstream: under its circuit, within the hard limit, and measured."""
        measured = self._stage(progress, stage)
        return self._limited(progress, downstream, measured, probe=probe, whole=whole, parts=parts)

    @asynccontextmanager
    async def _limited(
        self,
        progress: Progress,
        downstream: str,
        measured: AbstractContextManager[None] = _NOT_MEASURED,
        *,
        probe: bool = False,
        proves: bool = True,
        whole: str = "",
        parts: int = 1,
    ) -> AsyncIterator[None]:
        """Run a call to a downstream under its circuit and within what is left of the hard limit, or a part of that."""
        probe = probe or progress.task.probe
        async with self.circuits.call(downstream, progress.task.ref, probe=probe, proves=proves, whole=whole):
            try:
                with progress.in_call(self.clock):
                    left = self.hard_limit.total_seconds() - progress.spent
                    async with asyncio.timeout(left / parts) as limit:
                        with measured:
                            yield
            except TimeoutError as error:
                if not limit.expired():
                    raise
                longer = "a task may" if parts == 1 else f"1 of {parts} servers may in a probe"
                raise TimedOut(f"took longer than {longer}", downstream=downstream) from error


def _slots_in(task: Task) -> int:
    return task.window.length // timedelta(seconds=task.slot_seconds)


def _newer_than_the_ledger(downstream: str, task: Task, count: int) -> Unavailable:
    return Unavailable(
        f"{downstream} keeps {count} rows of {task.ref} {task.window} that are newer than any claim in the ledger",
        downstream=downstream,
        alarm=True,
    )


def period_of(spec: ModelSpec, window: Window) -> Window:
    """Return the period to read for a window: the window and the context before it, as in Gordo's own client."""
    return Window(window.start - spec.context, window.end)


async def read_before(
    sensors: SensorDataProvider, buckets: Buckets, period: Window, tags: Sequence[str]
) -> Mapping[str, Point]:
    """Read the last value before the period of some of the tags whose beginning it may fill, ``buckets.look_back``."""
    limit = buckets.config.interpolation_limit
    if not tags or limit is None:
        return {}
    return await sensors.get_last_before(tags, period.start, period.start - limit)


def _unpredicted(task: Task, dataset: Dataset) -> Stored:
    slots = classify(task.window, timedelta(seconds=task.slot_seconds), dataset, NO_TIMES)
    return Stored(covered=slots.covered, exceptions=slots.exceptions, silent_since=slots.silent_since)


def has_rows(dataset: Dataset, window: Window) -> bool:
    """Return whether X has a row in the window, so that the model has something to predict."""
    low, high = np.searchsorted(dataset.x.times, (to_ns(window.start), to_ns(window.end)))
    return bool(low < high)
