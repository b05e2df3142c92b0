"""``latigo sensors list``."""

from collections.abc import Sequence

import typer

from latigo.cli.options import ConfigOption, JsonOption, settings_of
from latigo.cli.tables import show_json
from latigo.runtime.clock import SystemClock
from latigo.runtime.event_loop import run_async
from latigo.wiring.resources import open_sensors

EXAMPLES = ("latigo sensors list | grep GRA-TT",)


def run(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List every tag name that the source knows."""
    settings = settings_of(config)

    async def work() -> Sequence[str]:
        async with open_sensors(settings, SystemClock()) as source:
            return await source.get_sensor_list()

    names = run_async(work)
    if as_json:
        show_json(list(names))
        return
    for name in names:
        typer.echo(name)
