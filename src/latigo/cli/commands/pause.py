"""``latigo pause``."""

import typer

from latigo.cli.options import (
    ConfigOption,
    JsonOption,
    SubjectArgument,
    WhyOption,
    selected_subject,
    settings_of,
    subject_text,
    with_ledger,
)
from latigo.cli.tables import show_json
from latigo.runtime.units import counted

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
    from latigo.wiring.resources import user_at_host

    selected = selected_subject(subject)
    models = with_ledger(
        settings_of(config),
        lambda database: pause(database, user_at_host(), selected.project or "", selected.model, reason),
        selected,
    )
    if as_json:
        show_json({"project": selected.project, "model": selected.model, "models": models})
        return
    paused = subject_text(selected)
    typer.echo(f"Paused {paused}: {counted(models, 'model')}; latigo resume {paused} resumes it")
