"""``latigo serve``."""

from typing import Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, settings_of
from latigo.wiring.role_names import RoleName

EXAMPLES = ("latigo serve --config latigo.toml", "latigo serve --role executor")


def run(
    role: Annotated[RoleName, typer.Option(help="What this process does; all is the whole of Latigo.")] = RoleName.ALL,
    config: ConfigOption = None,
) -> None:
    """Run Latigo until it is stopped.

    The first SIGTERM or Ctrl-C drains: no new work is taken, tasks in flight are finished or handed back within
    executor.grace. A second one ends the process at once. Exit code 0 after a clean drain.
    """
    import asyncio
    import gc

    from latigo.runtime.event_loop import run_async
    from latigo.runtime.lifecycle import GraceExceeded, stop_on_signals
    from latigo.service import serve

    settings = settings_of(config, quiet=False)

    async def work() -> None:
        stop = asyncio.Event()
        with stop_on_signals(stop):
            # What is loaded by now stays for ever; the collector need not visit it again.
            gc.freeze()
            await serve(settings, role, stop)

    try:
        run_async(work)
    except GraceExceeded as error:
        typer.echo(f"latigo: {error}", err=True)
        raise typer.Exit(Exit.FAILED) from error
