"""``latigo sensors exists``."""

from typing import Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, settings_of
from latigo.cli.tables import show_json

EXAMPLES = ("latigo sensors exists GRA-TT-0001.PV",)
OVER_HTTP = "it asks the source of readings from this machine"


def run(
    name: Annotated[str, typer.Argument(help="A tag name.")], config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Check whether the source knows a sensor.

    Of several sources, the one that it would be read from is asked and named.
    Exit code 2 when it does not; the nearest name that is known is on standard error.
    """
    from latigo.cli.sensors import FoundSensor, find_sensor
    from latigo.runtime.clock import SystemClock
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.sources import open_sensors

    settings = settings_of(config)

    async def work() -> FoundSensor:
        async with open_sensors(settings, SystemClock()) as sensors:
            return await find_sensor(sensors, name)

    source, problem = run_async(work)
    if as_json:
        show_json({"name": name, "exists": problem is None, "source": source})
    else:
        typer.echo(f"{name}: {'known' if problem is None else 'not known'} to {source}")
    if problem is not None:
        typer.echo(f"latigo: {problem}", err=True)
        raise typer.Exit(Exit.USAGE)
