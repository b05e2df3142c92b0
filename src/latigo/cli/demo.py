"""``latigo demo``: a whole plant on this machine, and the whole of Latigo on it."""

import asyncio
import tempfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ByteSize

from latigo.app import RoleName, World
from latigo.cli.context import JsonOption, run_async, show_json
from latigo.domain.windows import floor_to_slot
from latigo.runtime.clock import SystemClock
from latigo.runtime.lifecycle import pause, stop_on_signals
from latigo.runtime.log import configure_logging
from latigo.service import serve
from latigo.settings import (
    BackfillSettings,
    EmbeddedLedger,
    ExecutorSettings,
    GordoModels,
    HttpSettings,
    ScheduleSettings,
    Settings,
    SimulatedSensors,
)
from latigo.standins.gordo import GordoStandin, demo_faults, demo_project, running_standin
from latigo.standins.gordo.controls import PREDICTING
from latigo.standins.plant import Plant, PlantSensors
from latigo.web.site import Site

PROJECT = "demo"
RESOLUTION = timedelta(seconds=5)
SLOT = timedelta(seconds=30)
DELAY = timedelta(seconds=2)
HISTORY = timedelta(hours=1)
TAGS = 8
#: How often the demo says how far it is.
TELL = timedelta(seconds=2)


def add_to(cli: typer.Typer) -> None:
    """Put the command under ``cli``."""
    cli.command()(demo)


def demo(
    cycles: Annotated[
        int,
        typer.Option(
            min=0, help="End by itself once history and so many live slots of every model are done; 0: run on."
        ),
    ] = 0,
    models: Annotated[int, typer.Option(min=1, max=2000, help="How many models the plant has.")] = 20,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the web pages; 0 lets the system choose.")] = 8080,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every task.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a whole plant on this machine: simulated sensors, a stand-in for Gordo, and all of Latigo.

    Nothing has to be installed or configured, and nothing is left behind. The plant runs fast: a reading a second, a
    row every 5 seconds, slots of 30 seconds, and an hour of history to fill in first. Ctrl-C ends it.
    """
    configure_logging("auto", "info" if verbose else "warning")
    told = run_async(lambda: _demo(cycles, models, port, quiet=as_json))
    if as_json:
        show_json(told)
    else:
        typer.echo("")
        for key, value in told.items():
            typer.echo(f"{key.replace('_', ' '):<22}{value}")


async def _demo(cycles: int, models: int, port: int, *, quiet: bool) -> Mapping[str, Any]:
    clock = SystemClock()
    began = clock.now()
    plant = Plant(7, period=timedelta(seconds=1), tempo=24.0, switch_cycle=timedelta(minutes=2))
    # Models learn from the time just before their revision, which Gordo names by its milliseconds.
    revision = str(int((began - HISTORY).timestamp() * 1000))
    project = demo_project(plant, PROJECT, models, RESOLUTION, TAGS, revision=revision)
    plant.schedule(
        *demo_faults(project, start=began - HISTORY, every=timedelta(minutes=20), length=timedelta(minutes=2))
    )
    told: dict[str, Any] = {}
    stop = asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="latigo-demo-") as folder, stop_on_signals(stop):
        async with running_standin(project, plant) as gordo:
            settings = demo_settings(gordo.url, Path(folder), port)

            async def beside(world: World, site: Site | None, _stopping: asyncio.Event) -> None:
                if site is not None and not quiet:
                    typer.echo(f"{models} models, {HISTORY} of history, live slots of {SLOT}; see {site.url}")
                totals = await _follow(world, gordo, began, models, cycles, stop, quiet=quiet)
                told.update(await _summary(world, gordo, began, totals))

            await serve(settings, RoleName.ALL, stop, sensors=PlantSensors(plant, clock.now), beside=beside)
    return told


def demo_settings(gordo: str, folder: Path, port: int) -> Settings:
    """The settings of the demo plant."""
    return Settings(
        schedule=ScheduleSettings(interval=SLOT, delay=DELAY, max_window=timedelta(minutes=10)),
        backfill=BackfillSettings(horizon=HISTORY),
        ledger=EmbeddedLedger(data_dir=folder / "ledger"),
        models=GordoModels(url=gordo, projects=(PROJECT,), refresh=timedelta(seconds=10)),
        sensors=SimulatedSensors(seed=7, step=timedelta(seconds=1), read_budget=ByteSize(128_000_000)),
        executor=ExecutorSettings(concurrency=16, grace=timedelta(seconds=10)),
        http=HttpSettings(port=port),
    )


async def _follow(
    world: World, gordo: GordoStandin, began: datetime, models: int, cycles: int, stop: asyncio.Event, *, quiet: bool
) -> Mapping[str, Any]:
    """Say how far it is until told to stop, or until every model has its history and its live slots; how far it was."""
    while True:
        stopped = await pause(world.clock, TELL, stop)
        done = await world.reports.live_slots_since(floor_to_slot(began, SLOT))
        totals = await world.reports.totals()
        missing = totals["slots_due"] - totals["slots_covered"] - totals["exceptions"]
        slowest = min(done.values(), default=0)
        if not quiet:
            typer.echo(
                f"{totals['models']:>4} models   {totals['slots_covered']:>7.0f} slots covered   "
                f"{missing:>6.0f} to do   {totals['rows_settled']:>8} rows   {predictions_asked(gordo):>6} calls   "
                f"{slowest:>3} live slots of every model"
            )
        complete = missing <= 0 or totals["parked"]  # what is parked does not come by itself
        if cycles and len(done) == models and slowest >= cycles and complete:
            stop.set()
            stopped = True
        if stopped:
            return totals


async def _summary(world: World, gordo: GordoStandin, began: datetime, totals: Mapping[str, Any]) -> Mapping[str, Any]:
    status = await world.reports.status()
    async with world.database.connection() as connection:
        rows = await connection.fetchval("SELECT count(*) FROM prediction")
    done = await world.reports.live_slots_since(floor_to_slot(began, SLOT))
    return {
        "models": totals["models"],
        "live_slots_of_every_model": min(done.values(), default=0),
        "slots_due": round(totals["slots_due"]),
        "slots_covered": round(totals["slots_covered"]),
        "slots_excepted": round(totals["exceptions"]),
        "exceptions": {each["state"]: round(each["slots"]) for each in status["exceptions"]},
        "rows_settled": totals["rows_settled"],
        "rows_written": rows,
        "gordo_calls": predictions_asked(gordo),
        "tasks_settled": totals["tasks_settled"],
        "parked": totals["parked"],
        "seconds": round((world.clock.now() - began).total_seconds(), 1),
    }


def predictions_asked(gordo: GordoStandin) -> int:
    """How often the model server was asked for predictions."""
    return gordo.controls.count(PREDICTING)
