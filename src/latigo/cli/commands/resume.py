"""``latigo resume``."""

import typer

from latigo.cli.options import ConfigOption, JsonOption, SubjectArgument, WhyOption
from latigo.cli.tables import show_json
from latigo.runtime.units import counted

EXAMPLES = ("latigo resume plant-a/pump-001", "latigo resume plant-a")
OVER_HTTP = True


def run(
    subject: SubjectArgument,
    reason: WhyOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict a paused model or project again, and what became due meanwhile.

    A project is resumed with all its models. Exit code 2 when there is no such project or model, or it is not paused.
    """
    from latigo.cli.pausing import change_models
    from latigo.web.api.controls import RESUME

    what, resumed = change_models(RESUME, subject, reason, config)
    if as_json:
        show_json(resumed)
    else:
        typer.echo(f"Resumed {what}: {counted(resumed.models, 'model')}")
