"""What commands that pause and resume have in common."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from latigo.cli.options import Selected, selected_subject, settings_of, with_ledger
from latigo.cli.tables import cell

if TYPE_CHECKING:
    from latigo.actions.record import Order
    from latigo.postgres.database import Database

T = TypeVar("T")


def change_models(
    action: "Callable[[Database, str, str, str | None, str], Awaitable[T]]",
    subject: str,
    reason: str,
    config: Path | None,
) -> tuple[Selected, T]:
    """Pause or resume a project or model; return which, and what has changed."""
    from latigo.wiring.resources import user_at_host

    selected = selected_subject(subject)
    changed = with_ledger(
        settings_of(config),
        lambda database: action(database, user_at_host(), selected.project or "", selected.model, reason),
        selected,
    )
    return selected, changed


def in_force(what: str, order: "Order") -> str:
    """Return a sentence on an order that was there before, and stays."""
    return f"{what}, since {cell(order.at)} by {order.who}: {order.reason}"
