"""``latigo sensors list``."""

from collections.abc import Sequence

import typer

from latigo.cli.options import ConfigOption, JsonOption, LimitOption, settings_of
from latigo.cli.tables import show_cut, show_json_list

EXAMPLES = ("latigo sensors list | grep GRA-TT", "latigo sensors list --limit 20 --json")


def run(config: ConfigOption = None, limit: LimitOption = None, as_json: JsonOption = False) -> None:
    """List every tag name that the source knows."""
    from latigo.runtime.clock import SystemClock
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.resources import open_sensors

    settings = settings_of(config)

    async def work() -> Sequence[str]:
        async with open_sensors(settings, SystemClock()) as source:
            return await source.get_sensor_list()

    names = run_async(work)
    shown = names[: limit or None]
    if as_json:
        show_json_list(shown, len(names), limit)
    else:
        for name in shown:
            typer.echo(name)
    show_cut(len(shown), len(names))
