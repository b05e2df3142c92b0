"""``latigo executors drain``."""

from typing import Annotated

import typer

from latigo.cli.options import ConfigOption, ExecutorArgument, JsonOption, WhyOption
from latigo.cli.tables import show_json

EXAMPLES = (
    "latigo executors drain worker-3/4711 --reason 'the host is being patched'",
    "latigo executors drain worker-3/4711 --stop --reason 'the host is being patched'",
)
OVER_HTTP = True


def run(
    name: ExecutorArgument,
    reason: WhyOption,
    stop: Annotated[bool, typer.Option("--stop", help="End its process when its tasks have ended.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let an executor finish its tasks and start no more.

    It learns of it within seconds. Once its tasks have ended, it stays idle until latigo executors resume; with --stop,
    its process ends with 0, and a supervisor that restarts it starts a new executor. An event hub gives what it had not
    begun to others. Exit code 2 when there is no such executor.
    """
    from latigo.cli.asking import with_service
    from latigo.runtime.units import counted
    from latigo.web.api.executors import DRAIN

    drained = with_service(config, lambda service: service.ask(DRAIN, executor=name, reason=reason, stop=stop))
    executor, tasks = drained.executor, drained.in_flight
    if as_json:
        show_json({"executor": executor, "in_flight": tasks, "stop": stop})
        return
    finishes = f", finishes {counted(tasks, 'task')}" if tasks else ""
    then = "ends" if stop else f"stays idle until latigo executors resume {executor}"
    typer.echo(f"{executor} starts no more tasks{finishes} and {then}")
