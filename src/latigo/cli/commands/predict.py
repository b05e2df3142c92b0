"""``latigo predict``: no queue, no ledger, and nothing is written to a sink."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, ModelArgument, model_ref, settings_of
from latigo.cli.prediction_files import draw, join, write
from latigo.cli.tables import show_json, show_pairs, show_table
from latigo.cli.times import parse_time
from latigo.domain.errors import LatigoError, Reason, Rejected
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Frame, Predictions
from latigo.domain.windows import Window, slot_length, to_ns
from latigo.executor.budget import ByteBudget
from latigo.executor.oneshot import PredictedWindow, predict_once, windows_of
from latigo.executor.pipeline import period_of
from latigo.providers.gordo import Gordo, open_gordo
from latigo.runtime.clock import SystemClock
from latigo.runtime.event_loop import run_async
from latigo.scheduler.listing import longest_window
from latigo.settings import Settings, overrides_for
from latigo.wiring.plugins import extra
from latigo.wiring.resources import open_sensors
from latigo.wiring.roster import NoRoster

EXAMPLES = (
    "latigo predict plant-a/pump-001 --from -6h",
    "latigo predict plant-a/pump-001 --from 2024-05-01 --to 2024-05-02 --out pump.parquet --plot pump.html",
    "latigo predict plant-a/pump-001 --from -6h --explain-query",
)


def run(
    model: ModelArgument,
    since: Annotated[str, typer.Option("--from", help="Begin: ISO 8601, or relative such as -6h.")],
    until: Annotated[str, typer.Option("--to", help="End: ISO 8601, relative, or now.")] = "now",
    out: Annotated[Path | None, typer.Option(help="Write the predictions to this .parquet or .csv file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw inputs, outputs and anomaly score into this .html.")] = None,
    revision: Annotated[str, typer.Option(help="Another revision than the newest.")] = "",
    explain_query: Annotated[
        bool, typer.Option("--explain-query", help="Show what the source would be asked for, and predict nothing.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict a stretch of time of one model, here and now.

    Reads the sensors and calls the model server as the service would, window by window; needs no ledger and writes to
    no sink. Exit code 3 when there was nothing to predict from, or no predicted value is finite.
    """
    ref, settings = model_ref(model), settings_of(config)
    _check_files(out, plot)
    now = SystemClock().now()
    try:
        period = Window(parse_time(since, now), parse_time(until, now))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if explain_query:
        requests = run_async(lambda: _requests(settings, ref, period, revision))
        show_json(requests) if as_json else show_table(requests, ("period", "tag", "request"))
        return
    results = run_async(lambda: _predict(settings, ref, period, revision))
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
    summary = _summary(ref, period, predictions, results)
    if as_json:
        show_json(summary)
    else:
        show_pairs(summary, width=12)
    if predictions is None or not len(predictions.finite_times):
        raise typer.Exit(Exit.UNHEALTHY)


def _check_files(out: Path | None, plot: Path | None) -> None:
    """Refuse what cannot be written before anything is predicted."""
    if out is not None and out.suffix not in {".parquet", ".csv"}:
        raise typer.BadParameter(f"--out ends in .parquet or .csv, not {out.suffix or out}")
    for path in (out, plot):
        if path is not None and not path.absolute().parent.is_dir():
            raise typer.BadParameter(f"There is no folder {path.parent}")
    if plot is not None:
        with extra("plots", "--plot"):
            import_module("plotly")


async def _predict(settings: Settings, ref: ModelRef, period: Window, revision: str) -> Sequence[PredictedWindow]:
    clock = SystemClock()
    async with open_gordo(settings.models, NoRoster()) as gordo, open_sensors(settings, clock) as sensors:
        spec = await _spec(gordo, ref, revision)
        slot, windows = _windows(settings, spec, period)
        share = ByteBudget(settings.sensors.read_budget).share
        results: list[PredictedWindow] = []
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            shown = progress.add_task(f"{ref}, windows", total=len(windows))
            async for result in predict_once(sensors, gordo.execution, spec, windows, slot, max_bytes=share):
                results.append(result)
                progress.update(shown, completed=sum(result.window.end >= window.end for window in windows))
        return results


async def _requests(settings: Settings, ref: ModelRef, period: Window, revision: str) -> list[dict[str, str]]:
    """Return what the source would be asked for, in its own terms: a row for each window and tag."""
    async with (
        open_gordo(settings.models, NoRoster()) as gordo,
        open_sensors(settings, SystemClock()) as sensors,
    ):
        spec = await _spec(gordo, ref, revision)
        _, windows = _windows(settings, spec, period)
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
    longest = longest_window(settings.schedule.max_window, slot, spec.dataset.resolution)
    return slot, windows_of(period, slot, longest)


async def _spec(gordo: Gordo, ref: ModelRef, revision: str) -> ModelSpec:
    if revision:
        return await gordo.catalogue.get_model_spec(ref, revision)
    status = await gordo.execution.get_model_status(ref)
    if status.spec is None:
        problem = status.problem or "the model server does not have it"
        raise Rejected(f"{ref}: {problem}", reason=Reason.MODEL_GONE)
    return status.spec


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
