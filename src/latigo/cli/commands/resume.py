"""``latigo resume``."""

import typer

from latigo.cli.options import ConfigOption, JsonOption, SubjectArgument, WhyOption

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

    if changed := change_models(RESUME, subject, reason, config, as_json=as_json):
        typer.echo(f"Resumed {changed}")
