"""``latigo serve``."""

import asyncio
import random
import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latigo.cli.exits import Exit
from latigo.cli.options import ConfigOption, settings_of
from latigo.wiring.role_names import RoleName

if TYPE_CHECKING:
    from latigo.wiring.executor_processes import ExecutorProcesses

_MOST_EXECUTORS = 256

EXAMPLES = ("latigo serve --config latigo.toml", "latigo serve --executors auto", "latigo serve --role executor")
OVER_HTTP = "it is the service"


def run(
    role: Annotated[RoleName, typer.Option(help="What this process does; all is the whole of Latigo.")] = RoleName.ALL,
    executors: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Executors, each a process of its own below this one, which starts, watches and drains them; auto: one"
            " for each core. Without it, the executor is in this process.",
        ),
    ] = "",
    config: ConfigOption = None,
    supervised: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Run Latigo until it is stopped.

    The first SIGTERM or Ctrl-C drains: no new work is taken, tasks in flight are finished or handed back within
    executor.grace. A second one ends the process at once. Exit code 0 after a clean drain.
    """
    import gc

    from latigo.runtime.event_loop import run_async
    from latigo.runtime.lifecycle import GraceExceeded, stop_on_signals
    from latigo.service import serve, supervise

    count = _count(executors, role)
    settings = settings_of(config, quiet=False)

    async def work() -> None:
        stop = asyncio.Event()
        with stop_on_signals(stop):
            # What is loaded by now stays for ever; the collector need not visit it again.
            gc.freeze()
            listener = _obey(supervised, stop) if supervised else None
            processes = _processes(count, config, settings.executor.grace) if count else None
            if processes is not None and role is RoleName.EXECUTOR:
                await supervise(settings, processes, stop)
            else:
                await serve(settings, role, stop, processes=processes, listener=listener)

    try:
        run_async(work)
    except GraceExceeded as error:
        typer.echo(f"latigo: {error}", err=True)
        raise typer.Exit(Exit.FAILED) from error


def _count(executors: str, role: RoleName) -> int:
    """Return how many processes are to be started; 0: none."""
    from latigo.runtime.cores import usable_cores

    if not executors:
        return 0
    if role is RoleName.SCHEDULER:
        raise typer.BadParameter("a scheduler has no executors: use --role all or executor", param_hint="--executors")
    if executors == "auto":
        return usable_cores()
    if executors.isdecimal() and 1 <= int(executors) <= _MOST_EXECUTORS:
        return int(executors)
    raise typer.BadParameter(f"takes a number from 1 to {_MOST_EXECUTORS}, or auto", param_hint="--executors")


def _processes(count: int, config: Path | None, grace: timedelta) -> "ExecutorProcesses":
    from latigo.runtime.clock import SystemClock
    from latigo.service import CLOSING
    from latigo.wiring.executor_processes import ExecutorProcesses

    options = ("--config", str(config)) if config else ()
    command = (sys.executable, "-m", "latigo", "serve", "--role", RoleName.EXECUTOR.value, *options)
    return ExecutorProcesses(command, count, grace + CLOSING, SystemClock(), random.random)


def _obey(descriptors: str, stop: asyncio.Event) -> socket.socket:
    """Stop when the process above this one ends, and return the socket that it serves its probes on."""
    listener, lifeline = (int(number) for number in descriptors.split(","))
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(lifeline)
        stop.set()

    loop.add_reader(lifeline, end)
    return socket.socket(fileno=listener)
