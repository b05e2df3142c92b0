"""Commands that run or prepare the service: serve, check, config, migrate."""

import asyncio
import gc
from collections.abc import Awaitable
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console

from latigo import app, systems
from latigo.cli.config import effective_configuration
from latigo.cli.context import ConfigOption, Exit, JsonOption, run_async, settings_of, show_json
from latigo.domain.errors import ConfigurationError, LatigoError
from latigo.domain.model import ModelRef
from latigo.domain.windows import DAY, EPOCH, Window
from latigo.executor.pipeline import Sink
from latigo.ledger.schema import bring_up_to_date
from latigo.runtime.clock import SystemClock
from latigo.runtime.lifecycle import GraceExceeded, stop_on_signals
from latigo.service import serve as run_service
from latigo.settings import EventHubQueue, Settings
from latigo.systems import RoleName

#: Time that an event hub gets to answer `check`.
QUEUE_LIMIT = timedelta(seconds=20)


def add_to(cli: typer.Typer) -> None:
    """Put the commands of this file under ``cli``."""
    cli.command()(serve)
    cli.command()(check)
    cli.command("config")(config_)
    cli.command("migrate")(migrate_)


def serve(
    role: Annotated[RoleName, typer.Option(help="What this process does; all is the whole of Latigo.")] = RoleName.ALL,
    config: ConfigOption = None,
) -> None:
    """Run Latigo until it is told to stop.

    The first SIGTERM or Ctrl-C drains: no new work is taken, what is in hand is finished or handed back within
    executor.grace. A second one ends the process at once. Exit code 0 after a clean drain.
    """
    settings = settings_of(config, quiet=False)

    async def work() -> None:
        stop = asyncio.Event()
        with stop_on_signals(stop):
            # What is loaded by now stays for ever; the collector need not look at it again.
            gc.freeze()
            await run_service(settings, role, stop)

    try:
        run_async(work)
    except GraceExceeded as error:
        Console(stderr=True).print(f"latigo: {error}", markup=False)
        raise typer.Exit(Exit.FAILED) from error


def config_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the settings in effect, from file and environment, secrets masked.

    The output is a configuration file again, but for its secrets.
    """
    typer.echo(effective_configuration(settings_of(config), as_json=as_json))


def migrate_(config: ConfigOption = None) -> None:
    """Bring the ledger's schema up to date. Harmless when it is; serve does it by itself."""
    settings = settings_of(config)

    async def work() -> tuple[str | None, str]:
        async with systems.ledger_url(settings) as url:
            return await bring_up_to_date(url)

    before, after = run_async(work)
    typer.echo(f"schema {after} already" if before == after else f"schema {before or 'none'} -> {after}")


def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Read the configuration, reach every system, and say what is wrong.

    Does what each system is used for and no more. Exit code 0 when all is well, 1 when something cannot be reached,
    78 when the configuration cannot be used.
    """
    settings = settings_of(config)
    found = run_async(lambda: _check(settings))
    if as_json:
        show_json(found)
    else:
        for each in found:
            mark = "ok  " if each["ok"] else "FAIL"
            typer.echo(f"{mark} {each['system']}: {each['answer']}")
    if not all(each["ok"] for each in found):
        raise typer.Exit(Exit.FAILED)


async def _check(settings: Settings) -> list[dict[str, Any]]:
    try:
        async with app.open_world(settings) as world:
            reached = await world.models.ping()
            found = [
                await _try("ledger", _ledger(world)),
                await _try("sensors", _sensors(world)),
                await _try("task_queue", _queue(settings)),
                *[_project(each) for each in reached],
                *[await _try(sink.store.downstream, _sink(sink)) for sink in world.sinks],
            ]
            if not reached:
                found.append({"system": "models", "ok": False, "answer": "models.projects names no project"})
            return found
    except ConfigurationError:
        raise
    except LatigoError as error:
        return [{"system": "ledger", "ok": False, "answer": str(error)}]


async def _try(system: str, work: Awaitable[str]) -> dict[str, Any]:
    try:
        return {"system": system, "ok": True, "answer": await work}
    except LatigoError as error:
        return {"system": system, "ok": False, "answer": str(error)}


async def _ledger(world: app.World) -> str:
    row = await world.database.row("clock")
    skew = (row["ledger"] - SystemClock().now()).total_seconds() if row else 0.0
    return f"schema up to date, clock {skew:+.1f} s"


async def _sensors(world: app.World) -> str:
    tags = await world.sensors.get_sensor_list()
    return f"{world.sensors.downstream}, {len(tags)} tags"


async def _queue(settings: Settings) -> str:
    if not isinstance(settings.task_queue, EventHubQueue):
        return "within this process"
    address = systems.hub_address(settings.task_queue)
    from latigo.task_queue.eventhub.connection import open_hub  # noqa: PLC0415 - an extra

    async with open_hub(address, SystemClock()) as hub:
        client = hub.producer()
        try:
            return f"{hub.channel}, {len(await hub.partition_ids(client, QUEUE_LIMIT))} partitions"
        finally:
            await hub.close(client)


async def _sink(sink: Sink) -> str:
    try:
        await sink.store.get_predictions(ModelRef("latigo-check", "latigo-check"), Window(EPOCH, EPOCH + DAY))
    except NotImplementedError:
        return "cannot be read back, so it was not tried"
    return "can be read"


def _project(reached: Any) -> dict[str, Any]:
    if reached.error is not None:
        return {"system": f"gordo/{reached.project}", "ok": False, "answer": str(reached.error)}
    return {
        "system": f"gordo/{reached.project}",
        "ok": True,
        "answer": f"revision {reached.revision}, {reached.models} models",
    }
