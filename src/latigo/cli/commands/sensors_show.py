"""``latigo sensors show``."""

from typing import Annotated, Any

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, settings_of
from latigo.cli.tables import show_json, show_pairs
from latigo.domain.windows import Window, from_ns
from latigo.runtime.times import parse_time

EXAMPLES = ("latigo sensors show GRA-TT-0001.PV", "latigo sensors show GRA-TT-0001.PV --from -2d --to -1d")
OVER_HTTP = "it asks the source of readings from this machine"


def run(
    name: Annotated[str, typer.Argument(help="A tag name.")],
    since: Annotated[str, typer.Option("--from", help="Begin: ISO 8601, or relative such as -6h.")] = "-1h",
    until: Annotated[str, typer.Option("--to", help="End: ISO 8601, relative, or now.")] = "now",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one sensor: what the source is asked for, and what it answers.

    Exit code 2 when the source does not know the sensor, 3 when it has no readings in the period.
    """
    from latigo.cli.sensors import find_sensor
    from latigo.runtime.clock import SystemClock
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.sources import open_sensors

    settings, now = settings_of(config), SystemClock().now()
    try:
        period = Window(parse_time(since, now), parse_time(until, now))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error

    async def work() -> dict[str, Any]:
        async with open_sensors(settings, SystemClock()) as source:
            place, problem = await find_sensor(source, name)
            if problem is not None:
                raise problem
            readings = await source.get_data_for_range([name], period, max_bytes=settings.read_budget)
            times, values = readings[name].times, readings[name].values
            return {
                "name": name,
                "source": place,
                "period": str(period),
                "request": source.get_native_range_specifier(period, {"tag": name}),
                "readings": len(times),
                "first": from_ns(int(times[0])) if len(times) else None,
                "last": from_ns(int(times[-1])) if len(times) else None,
                "last_value": float(values[-1]) if len(times) else None,
            }

    shown = run_async(work)
    if as_json:
        show_json(shown)
    else:
        show_pairs(shown)
    if not shown["readings"]:
        raise typer.Exit(Exit.UNHEALTHY)
