"""``latigo pause``."""

import typer

from latigo.cli.options import ConfigOption, JsonOption, SubjectArgument, WhyOption
from latigo.cli.pausing import change_models

EXAMPLES = (
    'latigo pause plant-a/pump-001 --reason "sensor is being replaced"',
    'latigo pause plant-a --reason "turnaround until May"',
)


def run(subject: SubjectArgument, reason: WhyOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Stop predicting a model or a project for a while.

    Tasks that run end as usual; nothing new is planned or started, also for models that the project gets later.
    Coverage stays, and what becomes due meanwhile is predicted after latigo resume, as far back as
    backfill.max_catch_up. Latigo records who paused, when and why; latigo status shows it. Exit code 2 when there is no
    such project or model.
    """
    from latigo.actions.pausing import pause

    changed = change_models(pause, subject, reason, config, as_json=as_json)
    if changed:
        typer.echo(f"Paused {changed}; latigo resume {subject} resumes it")
