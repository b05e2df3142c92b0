"""The journey of one task: read ▸ frame ▸ predict ▸ crop ▸ write. Retries and settling stand around it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import structlog

from latigo.dataset.build import Dataset, build, needs_look_back
from latigo.domain.circuits import System, circuit_name
from latigo.domain.errors import LatigoError, NoData, TimedOut
from latigo.domain.model import ModelSpec
from latigo.domain.outcome import Outcome, Settlement
from latigo.domain.series import Point, Predictions, Readings
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
class Journey:
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

    async def run(self, journey: Journey) -> Settlement:
        """Predict one window and store the result.

        Raises:
            LatigoError: as the providers do; ``journey`` says how far it came.
        """
        task = journey.task
        slot = timedelta(seconds=task.slot_seconds)
        dataset = await self._frame(journey)
        predictions, plain = None, False
        if has_rows(dataset, task.window):
            try:
                execution = await self._predict(journey, dataset)
            except NoData as error:
                _log.debug("task.too_few_rows", because=str(error))
            else:
                predictions = execution.predictions.between(to_ns(task.window.start), to_ns(task.window.end))
                plain = task.model.anomaly is not False and not execution.anomaly
                await self._write(journey, predictions)
        slots = classify(task.window, slot, dataset, NOTHING if predictions is None else predictions.times)
        return Settlement(
            Outcome.STORED,
            covered=slots.covered,
            exceptions=slots.exceptions,
            rows=0 if predictions is None else len(predictions),
            plain=plain,
            silent_since=slots.silent_since,
        )

    async def _frame(self, journey: Journey) -> Dataset:
        spec, period = journey.task.model, period_of(journey.task.model, journey.task.window)
        tags = len(spec.dataset.tags)
        async with self.budget.reserve(self.budget.estimate(tags, period.length)) as reserved:
            async with self._stage(journey, "read", self.sensors.downstream):
                readings, look_back = await read(self.sensors, spec, period, max_bytes=self.budget.share)
            nbytes = sum(series.nbytes for series in readings.values())
            reserved.used(nbytes)
            self.budget.learn(nbytes, tags, period.length)
            journey.stage = "frame"
            with self.metrics.stage("frame"):
                return build(spec.dataset, readings, period, look_back)

    async def _predict(self, journey: Journey, dataset: Dataset) -> Execution:
        task = journey.task
        project = task.ref.project
        async with (
            self.limits[project].call(),
            self._stage(journey, "predict", circuit_name(System.MODELS, project)),
        ):
            return await self.models.execute_model(task.model, task.window, dataset.x, dataset.y)

    async def _write(self, journey: Journey, predictions: Predictions) -> None:
        for sink in self.sinks:
            name = sink.store.downstream
            if name in journey.stored_in or not len(predictions):
                continue
            try:
                # The scheduler sends no probes to a sink that no task has to wait for.
                probe = not sink.required and await self.circuits.may_probe(name)
                async with self._stage(journey, "write", name, probe=probe):
                    await sink.store.put_predictions(predictions)
            except LatigoError as error:
                if sink.required:
                    raise
                _log.warning("sink.skipped", sink=name, because=str(error))
            else:
                journey.stored_in.add(name)

    @asynccontextmanager
    async def _stage(
        self, journey: Journey, stage: str, downstream: str, *, probe: bool = False
    ) -> AsyncIterator[None]:
        """One stage that calls out: under the circuit of what it calls, within the hard limit, and timed."""
        journey.stage = stage
        async with self.circuits.call(downstream, journey.task.ref, probe=probe or journey.task.probe):
            journey.began = self.clock.monotonic()
            try:
                with self.metrics.stage(stage):
                    async with asyncio.timeout(self.hard_limit.total_seconds() - journey.spent) as limit:
                        yield
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise TimedOut("took longer than a task may", downstream=downstream) from error
            finally:
                journey.began, journey.spent = None, journey.worked(self.clock.monotonic())


def period_of(spec: ModelSpec, window: Window) -> Window:
    """What is read for a window: its context before it, as Gordo's own client reads, and the window itself."""
    return Window(window.start - spec.context, window.end)


async def read(
    sensors: SensorDataProvider, spec: ModelSpec, period: Window, *, max_bytes: int
) -> tuple[Readings, Mapping[str, Point]]:
    """The readings of a period, and the last value before it of those tags whose beginning it may fill."""
    readings = await sensors.get_data_for_range(spec.dataset.tags, period, max_bytes=max_bytes)
    wanted = needs_look_back(spec.dataset, readings, period)
    limit = spec.dataset.interpolation_limit
    if not wanted or limit is None:
        return readings, {}
    return readings, await sensors.get_last_before(wanted, period.start, period.start - limit)


def has_rows(dataset: Dataset, window: Window) -> bool:
    """Whether X has a row in the window, so that there is something to ask the model for."""
    low, high = np.searchsorted(dataset.x.times, (to_ns(window.start), to_ns(window.end)))
    return bool(low < high)
