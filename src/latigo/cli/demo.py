"""``latigo demo``: a whole plant on this machine, and the whole of Latigo on it."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from latigo import __version__
from latigo.cli.context import Exit, JsonOption, cell, last_line, run_async, show_json
from latigo.domain.errors import LatigoError
from latigo.domain.windows import floor_to_slot
from latigo.ledger.reports import LedgerReports
from latigo.postgres.database import Database
from latigo.postgres.embedded import open_embedded
from latigo.providers.simulated import PlantSensors
from latigo.runtime.clock import Clock, SystemClock
from latigo.runtime.lifecycle import pause, stop_on_signals
from latigo.runtime.log import configure_logging
from latigo.sandbox.demo import HISTORY, PROJECT, SLOT, DemoPlant, demo_plant
from latigo.sandbox.gordo import SandboxGordo, open_sandbox_gordo
from latigo.sandbox.gordo.controls import PREDICTING
from latigo.service import serve
from latigo.settings import Settings
from latigo.settings.reference import to_toml
from latigo.web.server import Site
from latigo.wiring.plugins import extra
from latigo.wiring.resources import Resources, RoleName, open_ledger

#: How often the demo says how far it is.
TELL = timedelta(seconds=2)
SHORTLY = timedelta(milliseconds=200)
EXECUTORS = 2
PARTITIONS = 8
#: For processes to hand back what they have, and some more.
LEAVE = timedelta(seconds=20)

Tree = dict[str, Any]


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
    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed", help="A scheduler and two executors as processes of their own, over Event Hubs (emulated)."
        ),
    ] = False,
    influx: Annotated[
        bool, typer.Option("--influx", help="Readings out of a real InfluxDB, and predictions into it as well.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every task.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a whole plant on this machine: simulated sensors, a stand-in for Gordo, and all of Latigo.

    Nothing has to be installed or configured, and nothing is left behind. The plant runs fast: a reading a second, a
    row every 5 seconds, slots of 30 seconds, and an hour of history to fill in first. Ctrl-C ends it. Exit code 1 when
    something could not be predicted and is parked.
    """
    configure_logging("auto", "info" if verbose else "warning")
    asked = Asked(cycles, models, port, distributed=distributed, influx=influx, verbose=verbose, quiet=as_json)
    told = run_async(lambda: _demo(asked))
    if as_json:
        show_json(told)
    else:
        typer.echo("")
        for key, value in told.items():
            typer.echo(f"{key.replace('_', ' '):<26}{cell(value)}")
    if told["parked"] and told["slots_left"]:
        raise typer.Exit(Exit.FAILED)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says."""

    cycles: int
    models: int
    port: int
    distributed: bool
    influx: bool
    verbose: bool
    quiet: bool

    def tell(self, text: str) -> None:
        """For people only."""
        if not self.quiet:
            typer.echo(text)


@dataclass(frozen=True)
class Show:
    """The demo under way."""

    asked: Asked
    clock: Clock
    began: datetime
    gordo: SandboxGordo
    stop: asyncio.Event

    async def follow(self, database: Database) -> None:
        """Say how far it is until told to stop, or until all is done that was asked for."""
        reports, told = LedgerReports(database, __version__), ""
        while not (await pause(self.clock, TELL, self.stop)):
            done = await reports.live_slots_since(floor_to_slot(self.began, SLOT))
            totals = await reports.totals()
            missing = totals["slots_due"] - totals["slots_covered"] - totals["exceptions"]
            slowest = min(done.values(), default=0)
            line = (
                f"{totals['models']:>4} models   {totals['slots_covered']:>7.0f} slots covered   "
                f"{missing:>6.0f} to do   {totals['rows_settled']:>8} rows   {self.predictions_asked():>6} calls   "
                f"{slowest:>3} live slots of every model"
            )
            if line != told:
                self.asked.tell(line)
                told = line
            complete = missing <= 0 or totals["parked"]  # what is parked does not come by itself
            if self.asked.cycles and len(done) == self.asked.models and slowest >= self.asked.cycles and complete:
                self.stop.set()

    async def drained(self, database: Database) -> None:
        """Wait until nobody works on anything any more; for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE.total_seconds()):
                while await in_hand(database):
                    await self.clock.sleep(SHORTLY)

    async def sum_up(self, database: Database) -> Mapping[str, Any]:
        """What came of it, when nobody works on anything any more."""
        reports = LedgerReports(database, __version__)
        totals, status = await reports.totals(), await reports.status()
        async with database.connection() as connection:
            rows = await connection.fetchval("SELECT count(*) FROM prediction")
        done = await reports.live_slots_since(floor_to_slot(self.began, SLOT))
        return {
            "models": totals["models"],
            "live_slots_of_every_model": min(done.values(), default=0),
            "slots_due": round(totals["slots_due"]),
            "slots_covered": round(totals["slots_covered"]),
            "slots_excepted": round(totals["exceptions"]),
            # Due since it was told to stop, parked, or still in hand of a process that was killed.
            "slots_left": round(totals["slots_due"] - totals["slots_covered"] - totals["exceptions"]),
            "exceptions": {each["state"]: round(each["slots"]) for each in status["exceptions"]},
            "rows_settled": totals["rows_settled"],
            "rows_written": rows,
            "gordo_calls": self.predictions_asked(),
            "tasks_settled": totals["tasks_settled"],
            "parked": totals["parked"],
            "parked_because": {each["reason"]: last_line(each["example"]) for each in status["failures"]},
            "in_hand": await in_hand(database),
            "seconds": round((self.clock.now() - self.began).total_seconds(), 1),
        }

    def predictions_asked(self) -> int:
        """How often the model server was asked for predictions."""
        return self.gordo.controls.count(PREDICTING)


async def in_hand(database: Database) -> int:
    """Tasks that somebody has begun and not settled."""
    async with database.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM task WHERE state = 'claimed'")
        return count


async def _demo(asked: Asked) -> Mapping[str, Any]:
    clock = SystemClock()
    began = clock.now()
    demo = demo_plant(began, asked.models)
    stop, told = asyncio.Event(), dict[str, Any]()
    async with AsyncExitStack() as opened:
        opened.enter_context(stop_on_signals(stop))
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="latigo-demo-")))
        gordo = await opened.enter_async_context(open_sandbox_gordo(demo.project, demo.plant))
        show = Show(asked, clock, began, gordo, stop)
        tree = demo_settings(gordo.url, folder, asked.port)
        asked.tell(f"{asked.models} models, {HISTORY} of history, live slots of {SLOT}")
        points = None
        if asked.influx:
            points = await opened.enter_async_context(_influx(folder, demo, show, tree))
        run = _distributed if asked.distributed else _in_one_process
        told.update(await run(show, demo, tree, folder))
        if points is not None:
            told["points_in_influxdb"] = await points()
    return told


def demo_settings(gordo: str, folder: Path, port: int) -> Tree:
    """The configuration of the demo plant."""
    return {
        "schedule": {"interval": "30s", "delay": "2s", "max_window": "10m"},
        "backfill": {"horizon": "1h"},
        "ledger": {"kind": "embedded", "data_dir": str(folder / "ledger")},
        "models": {"url": gordo, "projects": [PROJECT], "refresh": "10s"},
        "sensors": {"kind": "simulated"},
        "predictions": [{"kind": "postgres"}],
        "executor": {"concurrency": 16, "grace": "10s"},
        "http": {"port": port},
    }


async def _in_one_process(show: Show, demo: DemoPlant, tree: Tree, _folder: Path) -> Mapping[str, Any]:
    """Everything in this process; the plant's sensors are handed over where they are not in InfluxDB."""
    told: dict[str, Any] = {}

    async def beside(resources: Resources, site: Site | None, _stopping: asyncio.Event) -> None:
        if site is not None:
            show.asked.tell(f"see {site.url}")
        await show.follow(resources.database)
        await show.drained(resources.database)
        told.update(await show.sum_up(resources.database))

    sensors = None if show.asked.influx else PlantSensors(demo.plant, show.clock.now)
    await serve(Settings.model_validate(tree), RoleName.ALL, show.stop, sensors=sensors, beside=beside)
    return told


# --- with InfluxDB ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _influx(folder: Path, demo: DemoPlant, show: Show, tree: Tree) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """A real InfluxDB that holds the plant's readings; yields what counts its points of predictions."""
    with extra("influx", "--influx"):
        from latigo.cli.demo_influx import open_plant_influx  # noqa: PLC0415 - an extra

    async with open_plant_influx(folder / "influxd", demo.plant, show.clock, show.began - HISTORY) as influx:
        show.asked.tell(f"InfluxDB is on {influx.url}, and holds the plant's readings")
        tree["sensors"] = {"kind": "influx", "url": influx.url, "database": "sensors"}
        tree["predictions"] = [*tree["predictions"], {"kind": "influx", "url": influx.url, "database": "predictions"}]
        yield influx.points


# --- as several processes ---------------------------------------------------------------------------------------------


async def _distributed(show: Show, _demo: DemoPlant, tree: Tree, folder: Path) -> Mapping[str, Any]:
    """A scheduler and two executors on one ledger, and an emulated event hub between them."""
    from latigo.sandbox.eventhub import open_event_hubs  # noqa: PLC0415 - only where it is asked for

    if not show.asked.influx:
        options = {"began": show.began.isoformat(), "models": show.asked.models}
        tree["sensors"] = {"kind": "python:latigo.sandbox.demo:open_demo_sensors", "options": options}
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(open_embedded(folder / "ledger"))
        hub = await opened.enter_async_context(open_event_hubs(hubs={"latigo": PARTITIONS}))
        tree["ledger"] = {"kind": "postgres", "url": url}
        # Faster than by default, since the demo does not run for long.
        tree["task_queue"] = {
            "kind": "eventhub",
            "connection_string": hub.connection_string("latigo"),
            "balance": "2s",
            "expiration": "10s",
        }
        config = folder / "latigo.toml"
        config.write_text(to_toml(tree), encoding="utf-8")
        database = await opened.enter_async_context(open_ledger(Settings.model_validate(tree), migrate=True))
        async with AsyncExitStack() as running:
            ports = [(RoleName.SCHEDULER, show.asked.port), *[(RoleName.EXECUTOR, 0)] * EXECUTORS]
            processes = [
                await running.enter_async_context(_process(role, config, port, verbose=show.asked.verbose))
                for role, port in ports
            ]
            numbers = ", ".join(str(each.pid) for each in processes)
            show.asked.tell(f"a scheduler and {EXECUTORS} executors are processes {numbers}: kill one and see")
            await show.follow(database)
        return await show.sum_up(database)


@asynccontextmanager
async def _process(
    role: RoleName, config: Path, port: int, *, verbose: bool
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``latigo serve`` in a process of its own; drained at the end."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("LATIGO_")}
    level = "info" if verbose else "error"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "latigo", "serve", "--role", role.value, "--config", str(config)),
        env={**inherited, "LATIGO_HTTP__PORT": str(port), "LATIGO_LOG__LEVEL": level},
        start_new_session=True,  # Ctrl-C is for us, who then end it
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(LEAVE.total_seconds()):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if process.returncode not in {0, -signal.SIGKILL}:  # somebody may have tried what a killed one does
            raise LatigoError(f"the process of the {role.value} ended with exit code {process.returncode}")
