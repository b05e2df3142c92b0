"""``latigo executors resume``."""

import typer

from latigo.cli.options import ConfigOption, ExecutorArgument, JsonOption, WhyOption
from latigo.cli.tables import show_json

EXAMPLES = ("latigo executors resume worker-3/4711 --reason 'patched'",)
OVER_HTTP = True


def run(
    name: ExecutorArgument, reason: WhyOption = "", config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Let a drained executor start tasks again.

    It learns of it within seconds. Exit code 2 when there is no such executor, or it is not drained.
    """
    from latigo.cli.asking import with_service
    from latigo.web.api.executors import RESUME_EXECUTOR

    resumed = with_service(config, lambda service: service.ask(RESUME_EXECUTOR, executor=name, reason=reason))
    executor = resumed.executor
    if as_json:
        show_json({"executor": executor})
        return
    typer.echo(f"{executor} starts tasks again")
