"""``latigo pause``."""

import typer

from latigo.cli.options import ConfigOption, JsonOption, SubjectArgument, WhyOption, subject_text
from latigo.cli.pausing import change_models, in_force
from latigo.cli.tables import show_json, show_line
from latigo.runtime.units import counted

EXAMPLES = (
    'latigo pause plant-a/pump-001 --reason "sensor is being replaced"',
    'latigo pause plant-a --reason "turnaround until May"',
)


def run(subject: SubjectArgument, reason: WhyOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Stop predicting a model or a project for a while.

    Tasks that run end as usual; nothing new is planned or started, also for models that the project gets later.
    Coverage stays, and what becomes due meanwhile is predicted after latigo resume, as far back as
    backfill.max_catch_up. Latigo records who paused, when and why; latigo status shows it, of the first when it is
    paused again. Exit code 2 when there is no such project or model.
    """
    from latigo.actions.pausing import pause

    selected, paused = change_models(pause, subject, reason, config)
    if as_json:
        already = paused.already and paused.already._asdict()
        show_json({"project": selected.project, "model": selected.model, "models": paused.models, "already": already})
        return
    if paused.already:
        show_line(in_force(f"{subject_text(selected)} is paused already", paused.already))
    else:
        typer.echo(f"Paused {subject_text(selected)}: {counted(paused.models, 'model')}")
    typer.echo(f"latigo resume {subject} resumes it")
