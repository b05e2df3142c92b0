"""``latigo predict``: one stretch of time, here and now; no queue, no ledger, nothing written to a sink."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from latigo.cli.context import (
    ConfigOption,
    Exit,
    JsonOption,
    ModelArgument,
    model_ref,
    run_async,
    settings_of,
    show_json,
)
from latigo.cli.prediction_files import draw, join, write
from latigo.cli.times import parse_time
from latigo.domain.errors import LatigoError, Reason, Rejected
from latigo.domain.model import ModelRef, ModelSpec
from latigo.domain.series import Frame, Predictions
from latigo.domain.windows import Window, slot_length, to_ns
from latigo.executor.budget import SHARES
from latigo.executor.oneshot import Piece, pieces_of, predict_once
from latigo.providers.gordo import Gordo, open_gordo
from latigo.runtime.clock import SystemClock
from latigo.scheduler.listing import longest_window
from latigo.settings import Settings, overrides_for
from latigo.wiring.plugins import extra
from latigo.wiring.resources import open_sensors


class NoRoster:
    """A roster for a command that does not open the ledger: nothing was decided by hand."""

    async def add(self, name: ModelRef, data: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol's
        raise Rejected(f"{name} cannot be registered without the ledger", reason=Reason.BAD_METADATA)

    async def remove(self, name: ModelRef) -> None:
        raise Rejected(f"{name} cannot be unregistered without the ledger", reason=Reason.BAD_METADATA)

    async def entries(self) -> Mapping[ModelRef, bool]:
        return {}


def add_to(cli: typer.Typer) -> None:
    """Put the command under ``cli``."""
    cli.command()(predict)


def predict(
    model: ModelArgument,
    since: Annotated[str, typer.Option("--from", help="Begin: ISO 8601, or relative such as -6h.")],
    until: Annotated[str, typer.Option("--to", help="End: ISO 8601, relative, or now.")] = "now",
    out: Annotated[Path | None, typer.Option(help="Write the predictions to this .parquet or .csv file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw inputs, outputs and anomaly score into this .html.")] = None,
    revision: Annotated[str, typer.Option(help="Another revision than the newest.")] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict a stretch of time of one model, here and now, and say what came of it.

    Reads the sensors and asks the model server as the service would, window by window; needs no ledger and writes to
    no sink. Exit code 3 when there was nothing to predict from.
    """
    ref, settings = model_ref(model), settings_of(config)
    _refuse_files(out, plot)
    now = SystemClock().now()
    try:
        asked = Window(parse_time(since, now), parse_time(until, now))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    pieces = run_async(lambda: _predict(settings, ref, asked, revision))
    start, end = to_ns(asked.start), to_ns(asked.end)
    parts = [piece.predictions.between(start, end) for piece in pieces if piece.predictions is not None]
    predictions = join([part for part in parts if len(part)])
    if predictions is not None:
        try:
            if out is not None:
                write(predictions, out)
            if plot is not None:
                draw(predictions, _inputs(pieces, start, end), plot)
        except OSError as error:
            raise LatigoError(f"the predictions cannot be written: {error}") from error
    told = _summary(ref, asked, predictions, pieces)
    if as_json:
        show_json(told)
    else:
        for key, value in told.items():
            lines = value if isinstance(value, list) else [value]
            for line in lines or ["none"]:
                typer.echo(f"{key:<12}{line}")
    if predictions is None:
        raise typer.Exit(Exit.NOT_AS_WANTED)


def _refuse_files(out: Path | None, plot: Path | None) -> None:
    """What cannot be written is refused before anything is predicted."""
    if out is not None and out.suffix not in {".parquet", ".csv"}:
        raise typer.BadParameter(f"--out ends in .parquet or .csv, not {out.suffix or out}")
    for path in (out, plot):
        if path is not None and not path.absolute().parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.parent}")
    if plot is not None:
        with extra("plots", "--plot"):
            import_module("plotly")


async def _predict(settings: Settings, ref: ModelRef, asked: Window, revision: str) -> Sequence[Piece]:
    clock = SystemClock()
    async with open_gordo(settings.models, NoRoster()) as gordo, open_sensors(settings, clock) as sensors:
        spec = await _spec(gordo, ref, revision)
        slot = slot_length(spec.dataset.resolution, overrides_for(settings, ref).interval)
        windows = pieces_of(asked, slot, longest_window(settings.schedule.max_window, slot, spec.dataset.resolution))
        share = settings.sensors.read_budget // SHARES
        found: list[Piece] = []
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
            shown = progress.add_task(f"{ref}, windows", total=len(windows))
            async for piece in predict_once(sensors, gordo.execution, spec, windows, slot, max_bytes=share):
                found.append(piece)
                progress.update(shown, completed=sum(piece.window.end >= window.end for window in windows))
        return found


async def _spec(gordo: Gordo, ref: ModelRef, revision: str) -> ModelSpec:
    if revision:
        return await gordo.catalogue.get_model_spec(ref, revision)
    status = await gordo.execution.get_model_status(ref)
    if status.spec is None:
        problem = status.problem or "the model server does not have it"
        raise Rejected(f"{ref}: {problem}", reason=Reason.MODEL_GONE)
    return status.spec


def _inputs(pieces: Sequence[Piece], start: int, end: int) -> list[Frame]:
    found = []
    for piece in pieces:
        x = piece.dataset.x
        inside = (x.times >= max(start, to_ns(piece.window.start))) & (x.times < min(end, to_ns(piece.window.end)))
        found.append(Frame(x.times[inside], x.columns, x.values[inside]))
    return found


def _summary(ref: ModelRef, asked: Window, predictions: Predictions | None, pieces: Sequence[Piece]) -> dict[str, Any]:
    exceptions = [
        f"{each.state} {', '.join(map(str, each.slots))}: {each.reason}"
        for piece in pieces
        for each in piece.slots.exceptions
    ]
    return {
        "model": str(ref),
        "revision": predictions.revision if predictions else "",
        "window": str(asked),
        "calls": sum(piece.predictions is not None for piece in pieces),
        "rows": len(predictions) if predictions else 0,
        "columns": len(predictions.columns) if predictions else 0,
        "exceptions": exceptions,
    }
