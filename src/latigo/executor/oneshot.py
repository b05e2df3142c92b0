"""Predict a period of one model without queue, ledger and sinks."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from latigo.dataset.build import Buckets, Dataset
from latigo.dataset.resample import Grid
from latigo.domain.errors import NoData, TooLarge
from latigo.domain.model import ModelSpec
from latigo.domain.receipt import Inputs
from latigo.domain.series import Predictions
from latigo.domain.windows import Window, floor_to_slot, from_ns, span_ns, to_ns
from latigo.executor.measuring import measure_inputs
from latigo.executor.pipeline import NO_TIMES, has_rows, period_of, read_before
from latigo.executor.slots import Slots, classify
from latigo.providers.protocols import ModelExecutionProvider, SensorDataProvider

#: Slots that are searched for a label.
_SLOTS_AHEAD: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class PredictedWindow:
    """One predicted window of the requested period."""

    window: Window
    dataset: Dataset
    predictions: Predictions | None  #: cropped to the window; None where there was nothing to predict from
    slots: Slots
    inputs: Inputs


def windows_of(asked: Window, slot: timedelta, longest: timedelta) -> Sequence[Window]:
    """Return the whole slots that contain ``asked``, folded into windows of at most ``longest``."""
    start = floor_to_slot(asked.start, slot)
    end = floor_to_slot(asked.end, slot)
    if end < asked.end:
        end += slot
    return list(Window(start, end).slots(longest))


def first_label(spec: ModelSpec, slot: timedelta, time: datetime) -> datetime | None:
    """Return the first label of the model at or after ``time``; None if the next slots have none.

    Where a resolution does not divide a day, the labels of a slot depend on the period that is read for it.
    """
    start, step = floor_to_slot(time, slot), span_ns(spec.dataset.resolution)
    for window in Window(start, start + _SLOTS_AHEAD * slot).slots(slot):
        labels = Grid.of(period_of(spec, window), step).labels
        low, high = labels.searchsorted((to_ns(max(time, window.start)), to_ns(window.end)))
        if low < high:
            return from_ns(int(labels[low]))
    return None


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
    inputs = measure_inputs(buckets, readings, window)
    predictions = None
    if has_rows(dataset, window):
        try:
            answer = await models.execute_model(spec, window, dataset.x, dataset.y)
            predictions = answer.predictions.between(to_ns(window.start), to_ns(window.end))
        except NoData:
            predictions = None
    if predictions is None:
        return PredictedWindow(window, dataset, None, classify(window, slot, dataset, NO_TIMES), inputs)
    slots = classify(window, slot, dataset, predictions.times, finite=predictions.finite_times)
    return PredictedWindow(window, dataset, predictions, slots, inputs)
