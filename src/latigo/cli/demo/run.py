"""The demo: opens the plant and the sandbox's servers, and runs Latigo in this process or in several."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from latigo.cli.demo.progress import Options, Progress
from latigo.postgres.places import temporary_home
from latigo.providers.simulated import PlantSensors
from latigo.runtime.clock import SystemClock
from latigo.runtime.lifecycle import stop_on_signals
from latigo.sandbox.demo import HISTORY, PROJECT, SLOT, DemoPlant, demo_plant
from latigo.sandbox.gordo import open_sandbox_gordo
from latigo.service import serve
from latigo.settings import Settings
from latigo.web.server import ServerAddress
from latigo.wiring.plugins import extra
from latigo.wiring.resources import Resources
from latigo.wiring.role_names import RoleName

#: The name of the token of the demo.
TOKEN = "demo"  # noqa: S105 - a name


async def run_demo(options: Options, report: Callable[[str], None]) -> Mapping[str, Any]:
    """Run the demo until Ctrl-C, or until ``options.cycles`` are done; return its summary."""
    clock = SystemClock()
    began = clock.now()
    demo = demo_plant(began, options.models)
    stop = asyncio.Event()
    async with AsyncExitStack() as opened:
        opened.enter_context(stop_on_signals(stop))
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="latigo-demo-")))
        data_dir = opened.enter_context(temporary_home())
        gordo = await opened.enter_async_context(open_sandbox_gordo(demo.project, demo.plant))
        progress = Progress(options, clock, began, gordo, stop, report)
        tree = demo_settings(gordo.url, data_dir, options.port)
        report(f"{options.models} models, {HISTORY} of history, live slots of {SLOT}")
        count_points = None
        if options.influx:
            count_points = await opened.enter_async_context(_influx(folder, demo, progress, tree))
        elif options.timeseries_api:
            count_points = await opened.enter_async_context(_timeseries_api(demo, progress, tree))
        if options.distributed or options.executors:
            from latigo.cli.demo.processes import run_distributed

            summary = await run_distributed(progress, tree, folder, seen_at(f"http://127.0.0.1:{options.port}/", tree))
        else:
            summary = await _run_in_this_process(progress, demo, tree)
        if count_points is not None:
            where = "influxdb" if options.influx else "timeseries_api"
            summary = {**summary, f"points_in_{where}": await count_points()}
        return summary


def demo_settings(gordo: str, data_dir: Path, port: int) -> dict[str, Any]:
    """Return the configuration of the demo plant."""
    return {
        "schedule": {"interval": "30s", "delay": "2s", "max_window": "10m"},
        "backfill": {"horizon": "1h"},
        "ledger": {"kind": "embedded", "data_dir": str(data_dir)},
        "models": {"url": gordo, "projects": [PROJECT], "refresh": "10s"},
        "sensors": {"kind": "simulated"},
        "predictions": [{"kind": "postgres"}],
        "executor": {"concurrency": 16, "grace": "10s"},
        "http": {"port": port, "tokens": {TOKEN: {"token": secrets.token_urlsafe(12), "may": "act"}}},
    }


def seen_at(url: str, tree: Mapping[str, Any]) -> str:
    """Return where the demo is seen, and the token by which it is acted on."""
    return f"See {url}, and act there with the token {tree['http']['tokens'][TOKEN]['token']}"


async def _run_in_this_process(progress: Progress, demo: DemoPlant, tree: dict[str, Any]) -> Mapping[str, Any]:
    """Run every role here; ``sensors`` is given where readings are in no server."""
    summary: dict[str, Any] = {}

    async def follow(resources: Resources, address: ServerAddress | None, _stopping: asyncio.Event) -> None:
        if address is not None:
            progress.report(seen_at(address.url, tree))
        await progress.follow(resources.database)
        await progress.drained(resources.database)
        summary.update(await progress.summary(resources.database))

    sensors = None if progress.options.readings_in_a_server else PlantSensors(demo.plant, progress.clock.now)
    await serve(Settings.model_validate(tree), RoleName.ALL, progress.stop, sensors=sensors, extra_role=follow)
    return summary


@asynccontextmanager
async def _influx(
    folder: Path, demo: DemoPlant, progress: Progress, tree: dict[str, Any]
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Run a real InfluxDB that holds the plant's readings; yield what counts its points of predictions."""
    with extra("influx", "--influx"):
        from latigo.cli.demo.influx import open_plant_influx

    async with open_plant_influx(folder / "influxd", demo.plant, progress.clock, progress.began - HISTORY) as influx:
        progress.report(f"InfluxDB is on {influx.url}, and holds the plant's readings")
        tree["sensors"] = {"kind": "influx", "url": influx.url, "database": "sensors"}
        tree["predictions"] = [*tree["predictions"], {"kind": "influx", "url": influx.url, "database": "predictions"}]
        yield influx.points


@asynccontextmanager
async def _timeseries_api(
    demo: DemoPlant, progress: Progress, tree: dict[str, Any]
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Run an emulator that has the plant's readings; yield what counts its points of predictions."""
    from latigo.cli.demo.timeseries import FACILITY, TOKEN, open_plant_timeseries

    async with open_plant_timeseries(demo.plant, progress.clock) as api:
        progress.report(f"The Timeseries API (emulated) is on {api.url}, and has the plant's readings")
        section = {"kind": "timeseries_api", "url": api.url, "facility": FACILITY, "token": TOKEN}
        tree["sensors"] = section
        tree["predictions"] = [*tree["predictions"], section]
        yield api.points
