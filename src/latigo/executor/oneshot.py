"""Predict a period of one model without queue, ledger and sinks."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from latigo.dataset.build import Buckets, Dataset
from latigo.domain.errors import NoData, TooLarge
from latigo.domain.model import ModelSpec
from latigo.domain.series import Predictions
from latigo.domain.windows import Window, floor_to_slot, to_ns
from latigo.executor.pipeline import NO_TIMES, has_rows, period_of, read_before
from latigo.executor.slots import Slots, classify
from latigo.providers.protocols import ModelExecutionProvider, SensorDataProvider


@dataclass(frozen=True, slots=True, eq=False)
class PredictedWindow:
    """One predicted window of the requested period."""

    window: Window
    dataset: Dataset
    predictions: Predictions | None  #: cropped to the window; None where there was nothing to predict from
    slots: Slots


def windows_of(asked: Window, slot: timedelta, longest: timedelta) -> Sequence[Window]:
    """Return the whole slots that contain ``asked``, folded into windows of at most ``longest``."""
    start = floor_to_slot(asked.start, slot)
    end = floor_to_slot(asked.end, slot)
    if end < asked.end:
        end += slot
    return list(Window(start, end).slots(longest))


async def predict_once(
    sensors: SensorDataProvider,
    models: ModelExecutionProvider,
    spec: ModelSpec,
    windows: Sequence[Window],
    slot: timedelta,
    *,
    max_bytes: int,
) -> AsyncIterator[PredictedWindow]:
    """Predict window after window; halve one that is too large.

    Raises:
        LatigoError: whatever a provider raised.
    """
    todo = list(reversed(windows))
    while todo:
        window = todo.pop()
        try:
            yield await _predict(sensors, models, spec, window, slot, max_bytes)
        except TooLarge:
            half = window.length // slot // 2 * slot
            if not half:
                raise
            middle = window.start + half
            todo += [Window(middle, window.end), Window(window.start, middle)]


async def _predict(
    sensors: SensorDataProvider,
    models: ModelExecutionProvider,
    spec: ModelSpec,
    window: Window,
    slot: timedelta,
    max_bytes: int,
) -> PredictedWindow:
    period = period_of(spec, window)
    readings = await sensors.get_data_for_range(spec.dataset.tags, period, max_bytes=max_bytes)
    buckets = Buckets.of(spec.dataset, readings, period)
    dataset = buckets.dataset(await read_before(sensors, buckets, period, buckets.look_back))
    predictions = None
    if has_rows(dataset, window):
        try:
            answer = await models.execute_model(spec, window, dataset.x, dataset.y)
            predictions = answer.predictions.between(to_ns(window.start), to_ns(window.end))
        except NoData:
            predictions = None
    if predictions is None:
        return PredictedWindow(window, dataset, None, classify(window, slot, dataset, NO_TIMES))
    slots = classify(window, slot, dataset, predictions.times, finite=predictions.finite_times)
    return PredictedWindow(window, dataset, predictions, slots)
