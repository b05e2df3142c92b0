"""``latigo sensors exists``."""

from typing import Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, settings_of
from latigo.cli.tables import show_json

EXAMPLES = ("latigo sensors exists GRA-TT-0001.PV",)


def run(
    name: Annotated[str, typer.Argument(help="A tag name.")], config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Check whether the source knows a sensor; of several sources, the one that it would be read from.

    Exit code 2 when it does not; the nearest name that is known is on standard error.
    """
    from latigo.domain.errors import LatigoError
    from latigo.domain.names import unknown_name
    from latigo.providers.parts import parts_of
    from latigo.runtime.clock import SystemClock
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.resources import open_sensors

    settings = settings_of(config)

    async def work() -> tuple[str, str]:
        """Return the source, and what is wrong with the name; empty: nothing."""
        async with open_sensors(settings, SystemClock()) as source:
            (part,) = parts_of(source, [name])
            place = part.source.downstream
            if await source.sensor_exists(name):
                return place, ""
            try:
                return place, str(unknown_name("sensor", name, await source.get_sensor_list()))
            except LatigoError as error:
                return place, f"{name}: unknown sensor; the others cannot be listed: {error}"

    place, problem = run_async(work)
    if as_json:
        show_json({"name": name, "exists": not problem, "source": place})
    else:
        typer.echo(f"{name}: {'not known' if problem else 'known'} to {place}")
    if problem:
        typer.echo(f"latigo: {problem}", err=True)
        raise typer.Exit(Exit.USAGE)
