"""``latigo sensors list``."""

from collections.abc import Mapping, Sequence

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, JsonOption, LimitOption, settings_of
from latigo.cli.tables import show_cut, show_json_list

EXAMPLES = ("latigo sensors list | grep GRA-TT", "latigo sensors list --limit 20 --json")
OVER_HTTP = "it asks the source of readings from this machine"


def run(config: ConfigOption = None, limit: LimitOption = None, as_json: JsonOption = False) -> None:
    """List every tag name that the source knows.

    With several sources, the name of its source follows each tag. One that is unavailable hides no other; the exit code
    is 1.
    """
    from latigo.domain.errors import LatigoError
    from latigo.providers.parts import own_tags, sources_of
    from latigo.runtime.clock import SystemClock
    from latigo.runtime.event_loop import run_async
    from latigo.wiring.sources import open_sensors

    settings = settings_of(config)

    async def work() -> tuple[Sequence[tuple[str, str]], Mapping[str, LatigoError]]:
        """Return tags with the names of their sources, and by name why a source cannot be listed."""
        tags: list[tuple[str, str]] = []
        errors: dict[str, LatigoError] = {}
        async with open_sensors(settings, SystemClock()) as whole:
            for source in sources_of(whole):
                try:
                    tags += [(tag, source.downstream) for tag in await own_tags(whole, source)]
                except LatigoError as error:
                    errors[source.downstream] = error
        return sorted(tags), errors

    tags, errors = run_async(work)
    shown, several = tags[: limit or None], len(settings.sources) > 1
    if errors and not several:
        raise next(iter(errors.values()))
    if as_json:
        rows = [{"name": tag, "source": source} for tag, source in shown] if several else [tag for tag, _ in shown]
        show_json_list(rows, len(tags), limit)
    else:
        for tag, source in shown:
            typer.echo(f"{tag}\t{source}" if several else tag)
    show_cut(len(shown), len(tags))
    for source, error in errors.items():
        typer.echo(f"latigo: {source}: {error}", err=True)
    if errors:
        raise typer.Exit(Exit.FAILED)
