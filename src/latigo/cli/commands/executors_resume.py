"""``latigo executors resume``."""

import typer

from latigo.cli.options import ConfigOption, ExecutorArgument, JsonOption, WhyOption, settings_of, with_ledger
from latigo.cli.tables import show_json

EXAMPLES = ("latigo executors resume worker-3/4711 --reason 'patched'",)


def run(
    name: ExecutorArgument, reason: WhyOption = "", config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Let a drained executor start tasks again.

    It learns of it within seconds. Exit code 2 when there is no such executor, or it is not drained.
    """
    from latigo.actions.draining import resume_executor
    from latigo.wiring.resources import user_at_host

    executor = with_ledger(
        settings_of(config), lambda database: resume_executor(database, user_at_host(), name, reason)
    )
    if as_json:
        show_json({"executor": executor})
        return
    typer.echo(f"{executor} starts tasks again")
