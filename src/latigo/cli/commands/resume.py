"""``latigo resume``."""

import typer

from latigo.cli.options import ConfigOption, JsonOption, SubjectArgument, WhyOption, subject_text
from latigo.cli.pausing import change_models
from latigo.cli.tables import show_json
from latigo.runtime.units import counted

EXAMPLES = ("latigo resume plant-a/pump-001", "latigo resume plant-a")


def run(
    subject: SubjectArgument,
    reason: WhyOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict a paused model or project again, and what became due meanwhile.

    A project is resumed with all its models. Exit code 2 when there is no such project or model, or it is not paused.
    """
    from latigo.actions.pausing import resume

    selected, models = change_models(resume, subject, reason, config)
    if as_json:
        show_json({"project": selected.project, "model": selected.model, "models": models})
    else:
        typer.echo(f"Resumed {subject_text(selected)}: {counted(models, 'model')}")
