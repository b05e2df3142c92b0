"""What ``latigo predict`` does: no queue, no ledger, and nothing is written to a sink."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from latigo.cli.prediction_files import draw, join, write
from latigo.domain.errors import LatigoError
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Frame, Predictions
from latigo.domain.windows import Window, iso, slot_length, to_ns
from latigo.executor.budget import ByteBudget
from latigo.executor.oneshot import PredictedWindow, first_label, predict_once, windows_of
from latigo.executor.pipeline import period_of
from latigo.providers.gordo import open_gordo
from latigo.reports.names import KnownNames
from latigo.runtime.clock import SystemClock
from latigo.runtime.units import format_duration
from latigo.scheduler.listing import longest_window
from latigo.settings import Settings, overrides_for
from latigo.wiring.predicting import spec_of
from latigo.wiring.roster import NoRoster
from latigo.wiring.sources import open_sensors


async def predict(
    settings: Settings, ref: ModelRef, period: Window, revision: str, *, out: Path | None, plot: Path | None
) -> dict[str, Any]:
    """Predict ``period`` of a model, write the files that are asked for, and return what came of it; 0 rows: nothing.

    Raises:
        UnknownName: the server does not have the model.
        LatigoError: it cannot be predicted, or a file cannot be written.
    """
    results, reason = await _predict(settings, ref, period, revision)
    start, end = to_ns(period.start), to_ns(period.end)
    parts = [result.predictions.between(start, end) for result in results if result.predictions is not None]
    predictions = join([part for part in parts if len(part)])
    if predictions is not None:
        try:
            if out is not None:
                write(predictions, out)
            if plot is not None:
                draw(predictions, _inputs(results, start, end), plot)
        except OSError as error:
            raise LatigoError(f"the predictions cannot be written: {error}") from error
    return _summary(ref, period, predictions, results) | {"reason": reason}


async def _predict(
    settings: Settings, ref: ModelRef, period: Window, revision: str
) -> tuple[Sequence[PredictedWindow], str]:
    """Return the predicted windows, and why there are none; empty if there are some."""
    clock = SystemClock()
    async with open_gordo(settings.models, NoRoster()) as gordo, open_sensors(settings, clock) as sensors:
        spec = await spec_of(gordo, ref, revision, KnownNames(frozenset(settings.models.projects)))
        slot, windows = _windows(settings, spec, period)
        label = first_label(spec, slot, period.start)
        if label is None or label >= period.end:
            return [], _between_labels(spec, period, label)
        share = ByteBudget(settings.read_budget).share
        results: list[PredictedWindow] = []
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            shown = progress.add_task(f"{ref}, windows", total=len(windows))
            async for result in predict_once(sensors, gordo.execution, spec, windows, slot, max_bytes=share):
                results.append(result)
                progress.update(shown, completed=sum(result.window.end >= window.end for window in windows))
        return results, ""


def _between_labels(spec: ModelSpec, period: Window, label: datetime | None) -> str:
    every = format_duration(spec.dataset.resolution)
    following = "" if label is None else f", the next at {iso(label)}"
    return f"no row of the model has its time in {period}: there is one every {every}{following}"


async def explain(settings: Settings, ref: ModelRef, period: Window, revision: str) -> list[dict[str, str]]:
    """Return what the source would be asked for, in its own terms: a row for each window and tag."""
    async with (
        open_gordo(settings.models, NoRoster()) as gordo,
        open_sensors(settings, SystemClock()) as sensors,
    ):
        spec = await spec_of(gordo, ref, revision, KnownNames(frozenset(settings.models.projects)))
        _, windows = _windows(settings, spec, period)
        with suppress(LatigoError):  # a source may ask by what it has, such as the types of fields in InfluxDB
            await sensors.sensor_exists(spec.dataset.tags[0])
        return [
            {
                "period": str(read),
                "tag": tag,
                "request": sensors.get_native_range_specifier(read, {"tag": tag}),
            }
            for read in (period_of(spec, window) for window in windows)
            for tag in spec.dataset.tags
        ]


def _windows(settings: Settings, spec: ModelSpec, period: Window) -> tuple[timedelta, Sequence[Window]]:
    """Return the length of a slot, and the windows that the period is predicted in."""
    slot = slot_length(spec.dataset.resolution, overrides_for(settings, spec.ref).interval)
    longest = longest_window(settings.schedule.longest_window, slot, spec.dataset.resolution)
    return slot, windows_of(period, slot, longest)


def _inputs(results: Sequence[PredictedWindow], start: int, end: int) -> list[Frame]:
    frames = []
    for result in results:
        x = result.dataset.x
        inside = (x.times >= max(start, to_ns(result.window.start))) & (x.times < min(end, to_ns(result.window.end)))
        frames.append(Frame(x.times[inside], x.columns, x.values[inside]))
    return frames


def _summary(
    ref: ModelRef, period: Window, predictions: Predictions | None, results: Sequence[PredictedWindow]
) -> dict[str, Any]:
    exceptions = [
        f"{exception.state} {', '.join(map(str, exception.slots))}: {exception.reason}"
        for result in results
        for exception in result.slots.exceptions
    ]
    return {
        "model": str(ref),
        "revision": predictions.revision if predictions else "",
        "window": str(period),
        "calls": sum(result.predictions is not None for result in results),
        "rows": len(predictions) if predictions else 0,
        "columns": len(predictions.columns) if predictions else 0,
        "rows_without_values": len(predictions) - len(predictions.finite_times) if predictions else 0,
        "exceptions": exceptions,
    }
