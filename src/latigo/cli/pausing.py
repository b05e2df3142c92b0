"""What commands that pause and resume have in common."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from latigo.cli.asking import with_service
from latigo.cli.options import selected_subject, subject_text
from latigo.cli.tables import cell

if TYPE_CHECKING:
    from latigo.actions.record import Order
    from latigo.reports.base import Report
    from latigo.web.api.endpoint import Endpoint

A = TypeVar("A", bound="Report")


def change_models(action: "Endpoint[Any, A]", subject: str, reason: str, config: Path | None) -> tuple[str, A]:
    """Pause or resume a project or model; return which in words, and what has changed."""
    selected = selected_subject(subject)
    changed = with_service(
        config, lambda service: service.ask(action, project=selected.project, model=selected.model, reason=reason)
    )
    return subject_text(selected), changed


def in_force(what: str, order: "Order") -> str:
    """Return a sentence on an order that was there before, and stays."""
    return f"{what}, since {cell(order.at)} by {order.who}: {order.reason}"
