"""``latigo pause``."""

import typer

from latigo.cli.options import ConfigOption, JsonOption, SubjectArgument, WhyOption

EXAMPLES = (
    'latigo pause plant-a/pump-001 --reason "sensor is being replaced"',
    'latigo pause plant-a --reason "turnaround until May"',
)
OVER_HTTP = True


def run(subject: SubjectArgument, reason: WhyOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Stop predicting a model or a project for a while.

    Tasks that run end as usual; nothing new is planned or started, also for models that the project gets later.
    Coverage stays, and what becomes due meanwhile is predicted after latigo resume, as far back as
    backfill.max_catch_up. Latigo records who paused, when and why; latigo status shows it. Exit code 2 when there is no
    such project or model.
    """
    from latigo.cli.pausing import change_models
    from latigo.web.api.controls import PAUSE

    changed = change_models(PAUSE, subject, reason, config, as_json=as_json)
    if changed:
        typer.echo(f"Paused {changed}; latigo resume {subject} resumes it")
