"""``latigo demo``."""

from typing import Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.tables import cell, show_json

EXAMPLES = (
    "latigo demo",
    "latigo demo --cycles 2 --models 6 --json",
    "latigo demo --executors 2",
    "latigo demo --distributed --influx",
    "latigo demo --timeseries-api",
)
OVER_HTTP = "it runs a service of its own"


def run(
    cycles: Annotated[
        int,
        typer.Option(
            min=0, help="End by itself once history and so many live slots of every model are done; 0: run on."
        ),
    ] = 0,
    models: Annotated[int, typer.Option(min=1, max=2000, help="How many models the plant has.")] = 20,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the web pages; 0 lets the system choose.")] = 8080,
    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed", help="A scheduler and two executors as processes of their own, over Event Hubs (emulated)."
        ),
    ] = False,
    executors: Annotated[
        int,
        typer.Option(min=0, max=16, help="So many executors as processes of their own, over the ledger's database."),
    ] = 0,
    influx: Annotated[
        bool, typer.Option("--influx", help="Readings out of a real InfluxDB, and predictions into it as well.")
    ] = False,
    timeseries_api: Annotated[
        bool,
        typer.Option(
            "--timeseries-api",
            help="Readings out of an emulated Omnia Timeseries API, and predictions into it as well.",
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every task.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Run Latigo on a simulated plant on this machine.

    Simulated sensors, a sandbox server in the place of Gordo, and all of Latigo. Nothing has to be installed or
    configured, and nothing is left behind. The plant runs fast: a reading a second, a row every 5 seconds, slots of 30
    seconds, and an hour of history to fill in first. Ctrl-C ends it. Exit code 1 when something could not be predicted
    and is parked.
    """
    from latigo.cli.demo.progress import Options
    from latigo.cli.demo.run import run_demo
    from latigo.runtime.event_loop import run_async
    from latigo.runtime.log import configure_logging

    if influx and timeseries_api:
        raise typer.BadParameter("readings come from one server: --influx or --timeseries-api")
    configure_logging("auto", "info" if verbose else "warning")
    options = Options(
        cycles,
        models,
        port,
        distributed=distributed,
        executors=executors,
        influx=influx,
        timeseries_api=timeseries_api,
        verbose=verbose,
    )
    report = (lambda _line: None) if as_json else typer.echo
    summary = run_async(lambda: run_demo(options, report))
    if as_json:
        show_json(summary)
    else:
        typer.echo("")
        for key, value in summary.items():
            typer.echo(f"{key.replace('_', ' '):<26}{cell(value)}")
    if summary["parked"] and summary["slots_left"]:
        raise typer.Exit(Exit.FAILED)
