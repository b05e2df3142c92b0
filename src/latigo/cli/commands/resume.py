"""``latigo resume``."""

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
    from latigo.wiring.resources import user_at_host

    selected = selected_subject(subject)
    models = with_ledger(
        settings_of(config),
        lambda database: resume(database, user_at_host(), selected.project or "", selected.model, reason),
        selected,
    )
    if as_json:
        show_json({"project": selected.project, "model": selected.model, "models": models})
        return
    typer.echo(f"Resumed {subject_text(selected)}: {counted(models, 'model')}")
