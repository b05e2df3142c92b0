"""``latigo sensors exists``."""

from typing import Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, settings_of
from latigo.cli.tables import show_json
from latigo.runtime.clock import SystemClock
from latigo.runtime.event_loop import run_async
from latigo.wiring.resources import open_sensors

EXAMPLES = ("latigo sensors exists GRA-TT-0001.PV",)


def run(
    name: Annotated[str, typer.Argument(help="A tag name.")], config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Check whether the source knows a sensor.

    Exit code 3 when it does not.
    """
    settings = settings_of(config)

    async def work() -> bool:
        async with open_sensors(settings, SystemClock()) as source:
            return await source.sensor_exists(name)

    exists = run_async(work)
    if as_json:
        show_json({"name": name, "exists": exists})
    else:
        typer.echo(f"{name}: {'known' if exists else 'not known'}")
    if not exists:
        raise typer.Exit(Exit.UNHEALTHY)
