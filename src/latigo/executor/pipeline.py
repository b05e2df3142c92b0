"""The progress of one task: read ▸ frame ▸ predict ▸ crop ▸ write. Retries and settling stand around it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import structlog

from latigo.dataset.build import Buckets, Dataset
from latigo.domain.errors import LatigoError, NoData, TimedOut
from latigo.domain.model import ModelSpec
from latigo.domain.outcome import Stored
from latigo.domain.series import Point, Predictions
from latigo.domain.task import Task
from latigo.domain.windows import Window, to_ns
from latigo.executor.budget import ByteBudget
from latigo.executor.circuits import CircuitBoard
from latigo.executor.limiter import AdaptiveLimit
from latigo.executor.slots import classify
from latigo.providers.protocols import (
    Execution,
    ModelExecutionProvider,
    PredictionStorageProvider,
    SensorDataProvider,
)
from latigo.runtime.clock import Clock
from latigo.telemetry.metrics import Metrics

_log = structlog.get_logger()
#: No times at all.
NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Sink:
    """A place for predictions; a task is stored when all required ones have it."""

    store: PredictionStorageProvider
    required: bool = True


@dataclass(slots=True)
class Progress:
    """A task under way: what happened so far, for whoever has to explain why it ended."""

    task: Task
    stored_in: set[str] = field(default_factory=set)
    stage: str = "claim"
    began: float | None = None  #: the stage that calls out now, by the monotonic clock
    spent: float = 0.0  #: seconds in those before it

    def worked(self, now: float) -> float:
        """Seconds that it has called out until ``now``. Waiting for its turn is no work."""
        return self.spent + (0.0 if self.began is None else now - self.began)


@dataclass(frozen=True)
class Pipeline:
    """Everything that a task passes, in order."""

    sensors: SensorDataProvider
    models: ModelExecutionProvider
    sinks: Sequence[Sink]
    circuits: CircuitBoard
    budget: ByteBudget
    limits: Mapping[str, AdaptiveLimit]  #: by project; makes one when asked for a new one
    hard_limit: timedelta  #: of the work of a task; a call that is cut by it counts as one without an answer
    clock: Clock
    metrics: Metrics

    async def run(self, progress: Progress) -> Stored:
        """Predict one window and store the result.

        Raises:
            LatigoError: as the providers do; ``progress`` says how far it came.
        """
        task = progress.task
        slot = timedelta(seconds=task.slot_seconds)
        dataset = await self._frame(progress)
        predictions, prediction_only = None, False
        if has_rows(dataset, task.window):
            try:
                execution = await self._predict(progress, dataset)
            except NoData as error:
                _log.debug("task.too_few_rows", because=str(error))
            else:
                predictions = execution.predictions.between(to_ns(task.window.start), to_ns(task.window.end))
                prediction_only = task.model.anomaly is not False and not execution.anomaly
                await self._write(progress, predictions)
        slots = classify(task.window, slot, dataset, NOTHING if predictions is None else predictions.times)
        return Stored(
            covered=slots.covered,
            exceptions=slots.exceptions,
            rows=0 if predictions is None else len(predictions),
            prediction_only=prediction_only,
            silent_since=slots.silent_since,
        )

    async def _frame(self, progress: Progress) -> Dataset:
        spec, period = progress.task.model, period_of(progress.task.model, progress.task.window)
        tags = len(spec.dataset.tags)
        async with self.budget.reserve(self.budget.estimate(tags, period.length)) as reserved:
            async with self._stage(progress, "read", self.sensors.downstream):
                buckets, look_back, nbytes = await read(self.sensors, spec, period, max_bytes=self.budget.share)
            reserved.used(nbytes)
            self.budget.learn(nbytes, tags, period.length)
            progress.stage = "frame"
            with self.metrics.stage("frame"):
                return buckets.dataset(look_back)

    async def _predict(self, progress: Progress, dataset: Dataset) -> Execution:
        task = progress.task
        project = task.ref.project
        async with (
            self.limits[project].call(),
            self._stage(progress, "predict", f"gordo/{project}"),
        ):
            return await self.models.execute_model(task.model, task.window, dataset.x, dataset.y)

    async def _write(self, progress: Progress, predictions: Predictions) -> None:
        for sink in self.sinks:
            name = sink.store.downstream
            if name in progress.stored_in or not len(predictions):
                continue
            try:
                # The scheduler sends no probes to a sink that no task has to wait for.
                probe = not sink.required and await self.circuits.may_probe(name)
                async with self._stage(progress, "write", name, probe=probe):
                    await sink.store.put_predictions(predictions)
            except LatigoError as error:
                if sink.required:
                    raise
                _log.warning("sink.skipped", sink=name, because=str(error))
            else:
                progress.stored_in.add(name)

    @asynccontextmanager
    async def _stage(
        self, progress: Progress, stage: str, downstream: str, *, probe: bool = False
    ) -> AsyncIterator[None]:
        """One stage that calls out: under the circuit of what it calls, within the hard limit, and timed."""
        progress.stage = stage
        async with self.circuits.call(downstream, progress.task.ref, probe=probe or progress.task.probe):
            progress.began = self.clock.monotonic()
            try:
                with self.metrics.stage(stage):
                    async with asyncio.timeout(self.hard_limit.total_seconds() - progress.spent) as limit:
                        yield
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise TimedOut("took longer than a task may", downstream=downstream) from error
            finally:
                progress.began, progress.spent = None, progress.worked(self.clock.monotonic())


def period_of(spec: ModelSpec, window: Window) -> Window:
    """What is read for a window: its context before it, as Gordo's own client reads, and the window itself."""
    return Window(window.start - spec.context, window.end)


async def read(
    sensors: SensorDataProvider, spec: ModelSpec, period: Window, *, max_bytes: int
) -> tuple[Buckets, Mapping[str, Point], int]:
    """Read and aggregate a period.

    Returns:
        The buckets, the last value before the period of the tags whose beginning it may fill, and the size of the
        readings in bytes.
    """
    readings = await sensors.get_data_for_range(spec.dataset.tags, period, max_bytes=max_bytes)
    buckets = Buckets.of(spec.dataset, readings, period)
    nbytes = sum(series.nbytes for series in readings.values())
    tags, limit = buckets.look_back, spec.dataset.interpolation_limit
    if not tags or limit is None:
        return buckets, {}, nbytes
    return buckets, await sensors.get_last_before(tags, period.start, period.start - limit), nbytes


def has_rows(dataset: Dataset, window: Window) -> bool:
    """Whether X has a row in the window, so that there is something to ask the model for."""
    low, high = np.searchsorted(dataset.x.times, (to_ns(window.start), to_ns(window.end)))
    return bool(low < high)
