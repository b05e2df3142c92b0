"""``latigo pause``."""

import typer

from latigo.cli.options import ConfigOption, JsonOption, SubjectArgument, WhyOption
from latigo.cli.tables import show_json, show_line
from latigo.runtime.units import counted

EXAMPLES = (
    'latigo pause plant-a/pump-001 --reason "sensor is being replaced"',
    'latigo pause plant-a --reason "turnaround until May"',
)
OVER_HTTP = True


def run(subject: SubjectArgument, reason: WhyOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Stop predicting a model or a project for a while.

    Tasks that run end as usual; nothing new is planned or started, also for models that the project gets later.
    Coverage stays, and what becomes due meanwhile is predicted after latigo resume, as far back as
    backfill.max_catch_up. Latigo records who paused, when and why; latigo status shows it, of the first when it is
    paused again. Exit code 2 when there is no such project or model.
    """
    from latigo.cli.pausing import change_models, in_force
    from latigo.web.api.controls import PAUSE

    what, paused = change_models(PAUSE, subject, reason, config)
    if as_json:
        show_json(paused)
        return
    if paused.already:
        show_line(in_force(f"{what} is paused already", paused.already))
    else:
        typer.echo(f"Paused {what}: {counted(paused.models, 'model')}")
    typer.echo(f"latigo resume {subject} resumes it")
