"""What ``latigo pause`` and ``latigo resume`` have in common."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from latigo.cli.asking import with_service
from latigo.cli.options import selected_subject, subject_text
from latigo.cli.tables import show_json
from latigo.runtime.units import counted

if TYPE_CHECKING:
    from latigo.web.api.controls import ChangedModels
    from latigo.web.api.endpoint import Endpoint


def change_models(
    action: "Endpoint[Any, ChangedModels]", subject: str, reason: str, config: Path | None, *, as_json: bool
) -> str:
    """Pause or resume a project or model; return what has changed in words, or print it as JSON and return nothing."""
    selected = selected_subject(subject)
    changed = with_service(
        config, lambda service: service.ask(action, project=selected.project, model=selected.model, reason=reason)
    )
    if as_json:
        show_json({"project": selected.project, "model": selected.model, "models": changed.models})
        return ""
    return f"{subject_text(selected)}: {counted(changed.models, 'model')}"
