"""``latigo predict``: no queue, no ledger, and nothing is written to a sink."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, ModelArgument, model_ref, settings_of
from latigo.cli.tables import show_json, show_pairs, show_table
from latigo.domain.windows import Window
from latigo.runtime.times import parse_time

EXAMPLES = (
    "latigo predict plant-a/pump-001 --from -6h",
    "latigo predict plant-a/pump-001 --from 2024-05-01 --to 2024-05-02 --out pump.parquet --plot pump.html",
    "latigo predict plant-a/pump-001 --from -6h --explain-query",
)
OVER_HTTP = "it reads, predicts and writes from this machine"


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
    no sink. Exit code 3 when there was nothing to predict from, which includes a period between two rows of the model,
    or no predicted value is finite; 2 when the server does not have the model.
    """
    from latigo.cli.prediction import explain, predict
    from latigo.runtime.clock import SystemClock
    from latigo.runtime.event_loop import run_async

    ref, settings = model_ref(model), settings_of(config)
    _check_files(out, plot)
    now = SystemClock().now()
    try:
        period = Window(parse_time(since, now), parse_time(until, now))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if explain_query:
        requests = run_async(lambda: explain(settings, ref, period, revision))
        show_json(requests) if as_json else show_table(requests, ("period", "tag", "request"))
        return
    summary = run_async(lambda: predict(settings, ref, period, revision, out=out, plot=plot))
    if as_json:
        show_json(summary)
    else:
        show_pairs(summary)
    if summary["rows"] == summary["rows_without_values"]:
        raise typer.Exit(Exit.UNHEALTHY)


def _check_files(out: Path | None, plot: Path | None) -> None:
    """Refuse what cannot be written before anything is predicted."""
    if out is not None and out.suffix not in {".parquet", ".csv"}:
        raise typer.BadParameter(f"--out ends in .parquet or .csv, not {out.suffix or out}")
    for path in (out, plot):
        if path is not None and not path.absolute().parent.is_dir():
            raise typer.BadParameter(f"There is no folder {path.parent}")
    if plot is not None:
        from latigo.wiring.plugins import extra

        with extra("plots", "--plot"):
            import_module("plotly")
