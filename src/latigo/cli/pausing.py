"""What ``latigo pause`` and ``latigo resume`` have in common."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from latigo.cli.options import selected_subject, settings_of, subject_text, with_ledger
from latigo.cli.tables import show_json
from latigo.runtime.units import counted

if TYPE_CHECKING:
    from latigo.postgres.database import Database


def change_models(
    action: "Callable[[Database, str, str, str | None, str], Awaitable[int]]",
    subject: str,
    reason: str,
    config: Path | None,
    *,
    as_json: bool,
) -> str:
    """Pause or resume a project or model; return what has changed in words, or print it as JSON and return nothing."""
    from latigo.wiring.resources import user_at_host

    selected = selected_subject(subject)
    models = with_ledger(
        settings_of(config),
        lambda database: action(database, user_at_host(), selected.project or "", selected.model, reason),
        selected,
    )
    if as_json:
        show_json({"project": selected.project, "model": selected.model, "models": models})
        return ""
    return f"{subject_text(selected)}: {counted(models, 'model')}"
